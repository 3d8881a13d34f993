"""Draws in ARCHITECTURE.md who may import whom, from .importlinter; `--check`, which `make lint` runs, only tells.

An arrow is what no contract forbids; a dotted one is an exception, with the folders that it reaches. Packages that are
kept apart from each other are one box. What lives in a layer is the first sentence of its docstring.
"""

import ast
import configparser
import re
import sys
from collections.abc import Iterator
from itertools import product
from pathlib import Path

_PAGE = Path("ARCHITECTURE.md")
_BEGIN, _END = "<!-- drawn by tools/draw_imports.py from .importlinter -->\n", "<!-- end of drawing -->\n"


class Contracts:
    """What .importlinter says, as sets of packages and of pairs (importer, imported)."""

    def __init__(self, text: str) -> None:
        self._config = configparser.ConfigParser()
        self._config.read_string(text)
        self._sections = [name for name in self._config.sections() if ":contract:" in name]
        self.packages = self._list("importlinter", "root_packages")
        self.apart = [self._list(name, "modules") for name in self._of("independence")]
        self.layers = {self._list(name, "containers")[0]: self._list(name, "layers") for name in self._of("layers")}
        self.rules = [self._config[name]["name"] for name in self._sections if name not in self._of("layers")]
        self.forbidden = {
            pair
            for name in self._of("forbidden")
            for pair in product(self._list(name, "source_modules"), self._list(name, "forbidden_modules"))
        } | {pair for group in self.apart for pair in product(group, group)}

    def _of(self, kind: str) -> list[str]:
        return [name for name in self._sections if self._config[name]["type"] == kind]

    def _list(self, section: str, key: str) -> list[str]:
        """Return the lines of a value, without comments."""
        return re.findall(r"^(?!#)\S.*$", self._config[section].get(key, ""), re.MULTILINE)

    def exceptions(self) -> dict[tuple[str, str], set[str]]:
        """Return by pair of packages what one may import of the other all the same: its folders."""
        found: dict[tuple[str, str], set[str]] = {}
        for name in self._of("forbidden"):
            for importer, _, imported in (line.partition(" -> ") for line in self._list(name, "ignore_imports")):
                package, folder = imported.split(".")[:2]
                found.setdefault((importer.split(".")[0], package), set()).add(folder)
        return {pair: folders for pair, folders in found.items() if pair in self.forbidden}


def draw(contracts: Contracts) -> str:
    """Return the drawing as Markdown: packages, the layers inside them, and every rule by its name."""
    return "\n".join(
        [
            *("```mermaid", "flowchart TD", *_boxes(contracts), *_arrows(contracts), "```", ""),
            *(f"- {rule}." for rule in contracts.rules),
            *(line for package, layers in contracts.layers.items() for line in _table(package, layers)),
            "",
        ]
    )


def _table(package: str, layers: list[str]) -> Iterator[str]:
    """Yield a package's layers from the top, each module or folder with what lives in it."""
    yield from ("", f"| layer of `{package}` | | what lives there |", "|---|---|---|")
    for number, layer in enumerate(layers, 1):
        for name in layer.split(" | "):
            path, about = _about(package, name)
            yield f"| {number} | `{path}` | {about} |"


def _about(package: str, name: str) -> tuple[str, str]:
    """Return the path of a layer's member, below the package's folder, and the first sentence of its docstring."""
    folder = next(Path().glob(f"*/src/{package}"))
    is_folder = (folder / name).is_dir()
    source = folder / name / "__init__.py" if is_folder else folder / f"{name}.py"
    text = " ".join((ast.get_docstring(ast.parse(source.read_text(encoding="utf-8"))) or "").split())
    return f"{name}/" if is_folder else source.name, re.split(r"(?<=\.) (?=[A-Z`])", text)[0]


def _box(contracts: Contracts, package: str) -> str:
    """Return the package that stands for this one's box."""
    return next((group[0] for group in contracts.apart if package in group), package)


def _boxes(contracts: Contracts) -> Iterator[str]:
    for package in contracts.packages:
        members = next((group for group in contracts.apart if group[0] == package), [package])
        if _box(contracts, package) == package:
            yield f"  {package}[{', '.join(members)}]"


def _arrows(contracts: Contracts) -> list[str]:
    exceptions, arrows = contracts.exceptions(), []
    for pair in product(contracts.packages, contracts.packages):
        importer, imported = (_box(contracts, package) for package in pair)
        if importer == imported:
            continue
        if pair not in contracts.forbidden:
            arrows.append(f"  {importer} --> {imported}")
        elif pair in exceptions:
            arrows.append(f"  {importer} -. {', '.join(sorted(exceptions[pair]))} .-> {imported}")
    return list(dict.fromkeys(arrows))


def main() -> int:
    """Write or check the drawing; give the exit code."""
    page = _PAGE.read_text(encoding="utf-8")
    before, _, rest = page.partition(_BEGIN)
    drawn = before + _BEGIN + draw(Contracts(Path(".importlinter").read_text(encoding="utf-8"))) + _END
    drawn += rest.partition(_END)[2]
    if "--check" not in sys.argv[1:]:
        _PAGE.write_text(drawn, encoding="utf-8")
    elif drawn != page:
        print(f"{_PAGE}: the drawing of imports is not that of .importlinter; run python tools/draw_imports.py")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
