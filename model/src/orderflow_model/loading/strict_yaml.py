"""YAML as strict as Kubernetes needs it: one document, plain data, no key twice, no bomb.

`load` reads every file through here. What the API server would read differently (a tag, a key that is no
string) is refused, not guessed.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml
from yaml._yaml import CParser  # the public yaml.cyaml has it too, but its stubs do not export it
from yaml.composer import Composer
from yaml.constructor import SafeConstructor
from yaml.resolver import Resolver

from orderflow_model.findings import Finding, InvalidResourceError, Place, path_of, shortened

MOST_BYTES = 524_288
MOST_DEPTH = 64
MOST_NODES = 100_000

_STRING = "tag:yaml.org,2002:str"
_MERGE = "tag:yaml.org,2002:merge"
_TIMESTAMP = "tag:yaml.org,2002:timestamp"


@dataclass(frozen=True)
class Document:
    """The data of one YAML document, and where in the text each place of it stands."""

    data: Any
    root: yaml.Node

    def line(self, place: Place) -> int:
        """Return the line, from 1, of a place or of the innermost part of it that is there."""
        node, line = self.root, self.root.start_mark.line
        for step in place:
            found = _child(node, step)
            if found is None:
                break
            node, line = found
        return int(line) + 1


def read_yaml(text: str) -> Document:
    """Return the one document in the text, or raise `InvalidResourceError`."""
    if len(text) > MOST_BYTES:
        raise _refused(f"the file is too large: more than {MOST_BYTES} bytes")
    try:
        return _read(text)
    except yaml.YAMLError as error:
        raise _refused(*_explained(error)) from None
    except ValueError as error:
        if isinstance(error, InvalidResourceError):
            raise
        raise _refused(f"not readable: {shortened(str(error))}") from None


def _read(text: str) -> Document:
    loader = _Loader(text)
    try:
        root = loader.get_single_node()
        if root is None:
            raise _refused("the file is empty")
        _Inspection().visit(root, ())
        return Document(loader.construct_document(root), root)
    finally:
        loader.dispose()


def _refused(message: str, line: int | None = None, path: str = "") -> InvalidResourceError:
    return InvalidResourceError([Finding(path, message, line)])


def _explained(error: yaml.YAMLError) -> tuple[str, int | None]:
    if not isinstance(error, yaml.MarkedYAMLError):
        return f"not YAML: {shortened(str(error))}", None
    line = error.problem_mark.line + 1 if error.problem_mark else None
    if error.problem and "another document" in error.problem:
        return "holds more than one document; give each flow a file of its own", line
    return f"not YAML: {shortened(error.problem or error.context or 'unreadable')}", line


class _Loader(Composer, CParser, SafeConstructor, Resolver):
    """libyaml's parser under PyYAML's composer, the one place where depth and tags can be watched."""

    def __init__(self, text: str) -> None:
        CParser.__init__(self, text)
        Composer.__init__(self)
        SafeConstructor.__init__(self)
        Resolver.__init__(self)
        self._depth = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        event: Any = self.peek_event()  # an alias has no tag, every other has
        line = event.start_mark.line + 1
        if tag := getattr(event, "tag", None):
            raise _refused(f"tags such as {shortened(tag)} are not plain data; leave the tag out", line)
        if self._depth >= MOST_DEPTH:
            raise _refused(f"nested deeper than {MOST_DEPTH} levels", line)
        self._depth += 1
        try:
            return super().compose_node(parent, index)
        finally:
            self._depth -= 1


# A date stays the text it is, as for the API server.
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != _TIMESTAMP]
    for first, resolvers in Resolver.yaml_implicit_resolvers.items()
}


class _Inspection:
    """One walk over the nodes that finds keys that stand twice and aliases that grow or loop.

    Each node is visited once, however often it is aliased, so the walk is linear in the text.
    """

    def __init__(self) -> None:
        self._sizes: dict[yaml.Node, int] = {}
        self._open: set[yaml.Node] = set()

    def visit(self, node: yaml.Node, place: Place) -> int:
        """Return how many nodes this one stands for with every alias written out."""
        if node in self._open:
            raise _refused("an alias stands within what it names", _line(node), path_of(place))
        if node not in self._sizes:
            self._open.add(node)
            self._sizes[node] = 1 + self._visit_children(node, place)
            self._open.remove(node)
        return self._sizes[node]

    def _visit_children(self, node: yaml.Node, place: Place) -> int:
        size = 0
        for step, child in _children(node, place):
            size += self.visit(child, (*place, step))
            if size > MOST_NODES:
                raise _refused(f"stands for more than {MOST_NODES} values", _line(node), path_of(place))
        return size


def _children(node: yaml.Node, place: Place) -> Iterator[tuple[str | int, yaml.Node]]:
    if isinstance(node, yaml.SequenceNode):
        yield from enumerate(node.value)
    elif isinstance(node, yaml.MappingNode):
        lines: dict[str, int] = {}
        for key, value in node.value:
            yield _new_key(key, lines, place), value


def _new_key(key: yaml.Node, lines: dict[str, int], place: Place) -> str:
    """Return the key's text, or raise when it is no string or stands twice."""
    if not isinstance(key, yaml.ScalarNode) or key.tag not in (_STRING, _MERGE):
        raise _refused("a key must be a string; put it in quotes", _line(key), path_of(place))
    name = str(key.value)
    if name in lines:
        where = path_of((*place, name))
        raise _refused(f"stands twice, first on line {lines[name]}", _line(key), where)
    lines[name] = _line(key)
    return name


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1


def _child(node: yaml.Node, step: str | int) -> tuple[yaml.Node, int] | None:
    """Return a child and its line from 0: of the key in a mapping, of the entry in a list."""
    if isinstance(node, yaml.MappingNode):
        found = next(((key, value) for key, value in node.value if key.value == step), None)
        return (found[1], found[0].start_mark.line) if found else None
    if isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
        return node.value[step], node.value[step].start_mark.line
    return None
