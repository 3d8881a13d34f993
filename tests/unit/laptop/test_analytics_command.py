"""`orderflow analytics run` says in one line what it lacks."""

import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from orderflow_cli.commands import analytics
from orderflow_cli.errors import CannotRunHereError
from orderflow_cli.main import main

SHOP = Path(__file__).parents[3] / "manifests" / "flows" / "shop.yaml"


def test_a_flow_that_does_not_run_here_is_named(tmp_path: Path) -> None:
    """Without a running flow there is nothing stored; the line says how to start it."""
    result = CliRunner().invoke(main, ["analytics", "run", str(SHOP), "--state", str(tmp_path)])
    assert result.exit_code == 1
    assert "has no flow shop. Start it with orderflow run" in result.output


def test_a_file_that_is_no_flow_is_refused_with_its_place(tmp_path: Path) -> None:
    """A flow that is not sound ends in words, not in a traceback."""
    (file := tmp_path / "flow.yaml").write_text("kind: OrderFlow\n")
    result = CliRunner().invoke(main, ["analytics", "run", str(file), "--state", str(tmp_path)])
    assert (result.exit_code, "spec: is required" in result.output) == (1, True)


def test_where_the_lakes_packages_are_missing_the_line_says_how_to_get_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are in an environment of their own, which a make target makes."""
    monkeypatch.setattr(sys, "prefix", str(tmp_path / ".venv"))
    monkeypatch.setattr(analytics, "find_spec", lambda _: None)
    with pytest.raises(CannotRunHereError, match="make install-analytics"):
        analytics._python()
