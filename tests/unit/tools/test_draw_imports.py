"""`tools/draw_imports.py`: ARCHITECTURE.md shows who may import whom as .importlinter has it."""

import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).parents[3] / "tools" / "draw_imports.py"
CONTRACTS = """\
[importlinter]
root_packages =
    top
    left
    right
    leaf
[importlinter:contract:leaf]
name = The leaf is a leaf
type = forbidden
source_modules =
    leaf
forbidden_modules =
    # all of us
    top
    left
    right
[importlinter:contract:apart]
name = Left and right are apart
type = independence
modules =
    left
    right
[importlinter:contract:low]
name = Nobody looks up
type = forbidden
source_modules =
    left
    right
forbidden_modules =
    top
[importlinter:contract:top]
name = The top knows of the leaf its words alone
type = forbidden
source_modules =
    top
forbidden_modules =
    leaf
ignore_imports =
    top.** -> leaf.words.short
[importlinter:contract:layers]
name = Inside the top
type = layers
containers =
    top
layers =
    main
    one | two
"""


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A tree whose page has room for the drawing."""
    (tmp_path / ".importlinter").write_text(CONTRACTS)
    package = tmp_path / "trees" / "src" / "top"
    (package / "two").mkdir(parents=True)
    (package / "main.py").write_text('"""Starts all, e.g. a server. And more."""\n')
    (package / "one.py").write_text('"""Goes\nfirst; `two/` does not.\n\nBy design."""\n')
    (package / "two" / "__init__.py").write_text('"""Goes second."""\n')
    begin, end = "<!-- drawn by tools/draw_imports.py from .importlinter -->", "<!-- end of drawing -->"
    (tmp_path / "ARCHITECTURE.md").write_text(f"Before.\n{begin}\n{end}\nAfter.\n")
    return tmp_path


def run(tree: Path, *options: str) -> tuple[int, str]:
    """Draw or check there; return the exit code and the page."""
    code = subprocess.run([sys.executable, PROGRAM, *options], cwd=tree, capture_output=True).returncode
    return code, (tree / "ARCHITECTURE.md").read_text()


def test_what_no_contract_forbids_is_an_arrow(tree: Path) -> None:
    """Packages kept apart are one box; an exception is dotted and says what it reaches; layers say what they are."""
    code, page = run(tree)
    assert code == 0
    assert page.startswith("Before.\n")
    assert page.endswith("After.\n")
    assert "  left[left, right]\n" in page
    arrows = {line.strip() for line in page.splitlines() if "->" in line and line.startswith("  ")}
    assert arrows == {"top --> left", "left --> leaf", "top -. words .-> leaf"}
    assert page.index("| 1 | `main.py` | Starts all, e.g. a server. |\n") < page.index(
        "| 2 | `one.py` | Goes first; `two/` does not. |\n| 2 | `two/` | Goes second. |\n"
    )
    assert "- Nobody looks up." in page


def test_a_drawing_of_other_contracts_is_told(tree: Path) -> None:
    """Lint fails from the edit of a contract until the page is drawn anew, and changes nothing itself."""
    assert run(tree, "--check")[0] == 1
    drawn = run(tree)[1]
    assert run(tree, "--check") == (0, drawn)
    (tree / ".importlinter").write_text(CONTRACTS.replace("    one | two\n", "    one\n    two\n"))
    assert run(tree, "--check") == (1, drawn)
