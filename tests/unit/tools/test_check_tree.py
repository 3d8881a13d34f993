"""`tools/check_tree.py`: the tree's own rules, each told with its place."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]


def test_a_top_level_folder_without_a_readme_is_told(tmp_path: Path) -> None:
    """Whoever opens a folder at the top reads there what lives in it; a hidden one has no front page."""
    (tmp_path / "pyproject.toml").write_text("[project]\ndependencies = []\noptional-dependencies = {}\n")
    (tmp_path / "requirements.lock").write_text("")
    for folder in ("docs", "plans", ".ci"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "page.md").write_text("A page.\n")
    (tmp_path / "docs" / "README.md").write_text("# docs\n")
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    program = ROOT / "tools" / "check_tree.py"
    run = subprocess.run([sys.executable, program], cwd=tmp_path, capture_output=True, text=True)
    assert run.returncode == 1
    assert run.stdout.splitlines()[:-1] == ["plans/: has no README.md that says what lives there and what may not"]
