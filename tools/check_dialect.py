"""How code speaks, as far as a machine can tell; ruff's D401 tells the rest. `make lint` runs it.

- A function's docstring begins with a verb: Return or Yield where it gives something, else what it does. Properties may
  be nouns. Tests are free.
- What it raises is written: raise `X` when ...
- A `noqa` or `type: ignore` has its reason beside it.
- Constants of time and size say their unit.
"""

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from tools.check_tree import tracked_files
from tools.prose import comments

_NO_VERB = re.compile(
    "(?:All|An?|Every|Everything|False|For|How|If|In|Its?|No|None|Nothing|Of|On|One|That|The|There|These|This|True|"
    r"What|When|Where|Whether|Which|Who|Why|With|[a-z`].*)\b"
)
_NOT_RETURN = re.compile(r"(?:Give(?! back| up (?!to))|(?:Tell|Know) (?:how|what|whether|which|why))\b")
_RAISES = re.compile(r"\braises? [A-Z]\w*(?:Error|Exception)\b|[;.] [Rr]aises `")
_IGNORED = re.compile(r"#\s*(?:noqa|type:\s*ignore)")
_WITH_REASON = re.compile(r"# noqa: [A-Z0-9, ]+ - \S|# type: ignore\[[\w, -]+\]  # \S")
_OF_TIME = re.compile(r"_?(?:\w+_)?(?:AFTER|DEADLINE|DELAY|EVERY|GRACE|INTERVAL|PATIENCE|PAUSE|POLL|TIMEOUT|WAIT|S)")
_BINARY = re.compile(r"\* 1024\b")
_OF_SIZE = re.compile(r"_?(?:\w+_)?(?:CHUNK|LENGTH|SIZE)")

Function = ast.FunctionDef | ast.AsyncFunctionDef


def main() -> int:
    """Print every finding with its place; give the exit code."""
    findings = [
        f"{path}:{line}: {what}"
        for path in tracked_files()
        if path.suffix == ".py"
        for line, what in _check(path, path.read_text(encoding="utf-8"))
    ]
    print("\n".join([*findings, f"dialect: {len(findings)} findings" if findings else "dialect: ok"]))
    return 1 if findings else 0


def _check(path: Path, source: str) -> Iterator[tuple[int, str]]:
    for line, comment in comments(source):
        if _IGNORED.search(comment) and not _WITH_REASON.search(comment):
            yield line, "write `# noqa: X - why`, or `# type: ignore[x]  # why`"
    if path.parts[0] != "tests":
        tree = ast.parse(source)
        yield from _constants(tree)
        for node in ast.walk(tree):
            if isinstance(node, Function) and (text := ast.get_docstring(node)):
                yield from ((node.body[0].lineno, what) for what in _docstring(node, text))


def _docstring(function: Function, text: str) -> Iterator[str]:
    first = text.split("\n")[0]
    is_property = any("property" in ast.unparse(decorator) for decorator in function.decorator_list)
    if not is_property and _NO_VERB.match(first):
        yield f"the docstring of {function.name} does not begin with a verb: {first}"
    if _NOT_RETURN.match(first) and function.returns is not None and ast.unparse(function.returns) != "None":
        yield f"the docstring of {function.name} begins with Return or Yield: {first}"
    if _RAISES.search(text):
        yield f"the docstring of {function.name} says: raise `X` when ..."


def _constants(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Name the numbers of the module whose names speak of time or size and not of a unit."""
    for line, name, value in _assigned(tree):
        is_size = _OF_SIZE.fullmatch(name) or _BINARY.search(ast.unparse(value))
        if _is_number(value) and _OF_TIME.fullmatch(name):
            yield line, f"{name} is a time: say _SECONDS or _MS"
        elif _is_number(value) and is_size and not name.endswith(("_BYTES", "_CHARACTERS")):
            yield line, f"{name} is a size: say _BYTES or _CHARACTERS"


def _assigned(tree: ast.Module) -> Iterator[tuple[int, str, ast.expr]]:
    """Yield line, name and value of what the module assigns, also of `A, B = 1, 2`."""
    for node in tree.body:
        match node:
            case ast.Assign(targets=[ast.Tuple(elts=names)], value=ast.Tuple(elts=values)):
                pairs = list(zip(names, values, strict=True))
            case ast.Assign(targets=[name], value=value):
                pairs = [(name, value)]
            case _:
                pairs = []
        yield from ((node.lineno, name.id, value) for name, value in pairs if isinstance(name, ast.Name))


def _is_number(value: ast.expr) -> bool:
    """Return whether it is a number or made of such."""
    if isinstance(value, ast.BinOp):
        return _is_number(value.left) and _is_number(value.right)
    return isinstance(value, ast.Constant) and type(value.value) in (int, float)


if __name__ == "__main__":
    sys.exit(main())
