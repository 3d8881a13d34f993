#!/usr/bin/env bash
# structured-merge-diff 6.3.2, which decides in Kubernetes' API server who owns which field (server-side apply, `managedFields`).
#
# Two lists are applied empty: one that is taken as a whole (`atomic`), one whose entries are told apart by a key
# (`associative`, as a pod's volumes or containers' env). One would guess that whoever applies a field owns it, empty or not.
# Seen: the first is owned, the second is nobody's. An applier that compares what it owns with what it applied finds a
# difference at every look, for ever; leaving the field out says the same and has no such trouble. Needs Go 1.24.
#
# Output seen: applied {"command": [], "volumes": []}, owned: .command
# shellcheck source=findings/lib.sh
. "$(dirname "$0")/lib.sh"
cat >"$work/main.go" <<'GO'
package main

import (
	"fmt"
	"strings"

	"sigs.k8s.io/structured-merge-diff/v6/typed"
)

const schema = `types:
- name: pod
  map:
    fields:
    - {name: command, type: {list: {elementRelationship: atomic, elementType: {scalar: string}}}}
    - {name: volumes, type: {list: {elementRelationship: associative, keys: [name], elementType: {namedType: volume}}}}
- name: volume
  map:
    fields: [{name: name, type: {scalar: string}}]
`

func main() {
	parser, err := typed.NewParser(schema)
	if err != nil {
		panic(err)
	}
	applied := typed.YAMLObject(`{"command": [], "volumes": []}`)
	value, err := parser.Type("pod").FromYAML(applied)
	if err != nil {
		panic(err)
	}
	owned, err := value.ToFieldSet()
	if err != nil {
		panic(err)
	}
	fmt.Printf("applied %s, owned: %s\n", applied, strings.TrimSpace(owned.String()))
}
GO
(cd "$work" && go mod init finding && go get sigs.k8s.io/structured-merge-diff/v6@v6.3.2 && go mod tidy) >/dev/null 2>&1
seen=$(cd "$work" && go run .)
echo "$seen"
[ "$seen" = 'applied {"command": [], "volumes": []}, owned: .command' ]
