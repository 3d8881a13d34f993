"""`orderflow lint` and `orderflow graph` as a person uses them."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from orderflow_cli.commands.lint import graph, lint


@pytest.fixture
def broken(tmp_path: Path, shop_text: str) -> Path:
    """The reference flow with one misspelt subscription."""
    file = tmp_path / "broken.yaml"
    file.write_text(shop_text.replace("subscribes: [STOCK_RESERVED,", "subscribes: [STOCK_RESERVD,"))
    return file


def test_lint_of_a_sound_flow_ends_well(shop_file: Path) -> None:
    """A sound file is called sound, and the exit code is 0."""
    result = CliRunner().invoke(lint, [str(shop_file)])
    assert result.exit_code == 0
    assert "sound (5 services, 12 events)" in result.output


def test_lint_names_file_line_and_place(broken: Path, shop_file: Path) -> None:
    """One broken file among sound ones gives exit code 1 and a line that an editor can jump to."""
    result = CliRunner().invoke(lint, [str(broken), str(shop_file)])
    assert result.exit_code == 1
    assert f"{broken}:60: error: spec.services[2].subscribes[0]: nobody publishes" in result.output
    assert "sound" in result.output


def test_a_warning_does_not_fail_lint(tmp_path: Path, shop_text: str) -> None:
    """What is legal but odd is printed, and the exit code stays 0."""
    file = tmp_path / "odd.yaml"
    file.write_text(shop_text.replace("max: 12", "max: 13"))
    result = CliRunner().invoke(lint, [str(file)])
    assert result.exit_code == 0
    assert "warning: spec.services[1].scale.max" in result.output


def test_a_file_of_endless_errors_prints_a_bounded_list(tmp_path: Path, shop_text: str) -> None:
    """Hundreds of findings are cut, and the rest counted."""
    file = tmp_path / "endless.yaml"
    unknown = ", ".join(f"X{number}" for number in range(150))
    text = shop_text.replace("subscribes: [STOCK_RESERVED,", f"subscribes: [{unknown},")
    file.write_text(text.replace("subscribes: [INVENTORY_UPDATED", f"publishes: [{unknown}"))
    result = CliRunner().invoke(lint, [str(file)])
    assert result.exit_code == 1
    assert len(result.output.splitlines()) <= 101


def test_graph_prints_a_flowchart(shop_file: Path) -> None:
    """The picture goes to standard output, ready for a Markdown page."""
    result = CliRunner().invoke(graph, [str(shop_file)])
    assert result.exit_code == 0
    assert result.output.startswith("flowchart LR\n")


def test_graph_of_a_broken_flow_says_why(broken: Path) -> None:
    """Nothing is drawn of a flow that is refused; the findings go to standard error."""
    result = CliRunner().invoke(graph, [str(broken)])
    assert result.exit_code == 1
    assert result.stdout == ""
    assert "did you mean STOCK_RESERVED?" in result.stderr
