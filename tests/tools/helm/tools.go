//go:build tools

// Package tools keeps Helm 3 in go.mod: as a second `tool` it would be installed under the name of the first.
package tools

import _ "helm.sh/helm/v3/cmd/helm"
