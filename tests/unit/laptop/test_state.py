"""The state directory: the same ports and passwords next time, private, and one owner at a time."""

import json
import stat
from pathlib import Path

import pytest

from orderflow_cli.errors import AlreadyRunningError, NotRunningError, StateError
from orderflow_cli.local.running_flow import find_flow
from orderflow_cli.local.state import open_state


def test_ports_and_passwords_stay(tmp_path: Path) -> None:
    """A second start finds the same addresses and secrets, and counts itself."""
    seen = []
    for _ in range(2):
        with open_state(tmp_path, "shop") as state:
            seen.append((state.port("order"), state.password("order")))
            run = state.next_run()
    assert (seen[0], run) == (seen[1], 2)


def test_names_do_not_share(tmp_path: Path) -> None:
    """Each service has a port and a password of its own."""
    with open_state(tmp_path, "shop") as state:
        assert state.port("order") != state.port("payment")
        assert state.password("order") != state.password("payment")


def test_secrets_are_private_and_ignored_by_git(tmp_path: Path) -> None:
    """Only the owner reads the passwords, and no commit takes them along by accident."""
    with open_state(tmp_path / "state", "shop") as state:
        state.password("order")
        assert stat.S_IMODE((state.path / "state.json").stat().st_mode) == 0o600
    assert (tmp_path / "state" / ".gitignore").read_text() == "*\n"


def test_a_second_owner_is_refused(tmp_path: Path) -> None:
    """Two runs of a flow never share a directory; another flow may run beside it."""
    with (
        open_state(tmp_path, "shop"),
        open_state(tmp_path, "other"),
        pytest.raises(AlreadyRunningError, match="flow shop is already running"),
        open_state(tmp_path, "shop"),
    ):
        pass


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    """What cannot be read is not guessed, and the way out is said."""
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "state.json").write_text("{")
    with pytest.raises(StateError, match=r"state.json is damaged.*--state"), open_state(tmp_path, "shop"):
        pass


@pytest.mark.parametrize("name", ["new\nline", "tab\there", "bell\a", "\udcff"], ids=ascii)
def test_a_path_that_no_program_takes_is_refused_before_anything_is_made(tmp_path: Path, name: str) -> None:
    """A sentence names it and the way out, and the disk is as it was."""
    with pytest.raises(StateError, match=r"state directory.*--state"), open_state(tmp_path / name, "shop"):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_path_too_long_for_postgres_is_refused(tmp_path: Path) -> None:
    """Postgres would fail in its middle, with a message of its own."""
    deep = tmp_path.joinpath(*["x" * 200] * 5)
    with pytest.raises(StateError, match=r"bytes.*--state"), open_state(deep, "shop"):
        pass
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("inside", ["file/below", "x" * 300], ids=["below a file", "a name too long"])
def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path, inside: str) -> None:
    """What the system says becomes a sentence with the way out."""
    (tmp_path / "file").write_text("")
    with pytest.raises(StateError, match=r"cannot be used.*--state"), open_state(tmp_path / inside, "shop"):
        pass


def test_somebodys_gitignore_stays(tmp_path: Path) -> None:
    """A folder that was there keeps its own rules; the passwords are ignored all the same."""
    (tmp_path / ".gitignore").write_text("build/\n")
    for _ in range(2):
        with open_state(tmp_path, "shop"):
            pass
    assert (tmp_path / ".gitignore").read_text() == "build/\n"
    assert (tmp_path / "shop" / ".gitignore").read_text() == "*\n"


@pytest.mark.parametrize("port", [0, -1, 65_536])
def test_a_port_that_is_none_is_named(tmp_path: Path, port: int) -> None:
    """Whoever starts the flow or looks at it is told its place in the file, before anything connects."""
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "state.json").write_text(json.dumps({"ports": {"order": port}}))
    with (
        pytest.raises(StateError, match=r"state.json is damaged: ports.order: .*--state"),
        open_state(tmp_path, "shop"),
    ):
        pass
    with pytest.raises(StateError, match=r"state.json is damaged: ports.order: .*--state"):
        find_flow(tmp_path)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    """A folder in its place is told of by whoever starts the flow or looks at it."""
    (tmp_path / "shop" / "state.json").mkdir(parents=True)
    with pytest.raises(StateError, match=r"state.json cannot be read.*--state"), open_state(tmp_path, "shop"):
        pass
    with pytest.raises(StateError, match=r"state.json cannot be read.*--state"):
        find_flow(tmp_path)


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    """What would not be remembered is not given out."""
    with open_state(tmp_path, "shop") as state:
        (state.path / "state.new").mkdir()  # where the next content is written first
        with pytest.raises(StateError, match=r"state.json cannot be written.*--state"):
            state.port("order")


@pytest.mark.parametrize("name", ["kafka", "logs"])
def test_a_file_in_a_folders_place_is_named(tmp_path: Path, name: str) -> None:
    """It may be somebody's, so it stays, and the way out is said."""
    with open_state(tmp_path, "shop") as state:
        (state.path / name).write_text("mine")
        with pytest.raises(StateError, match=rf"shop/{name} cannot be used.*--state"):
            state.folder(name)
        assert (state.path / name).read_text() == "mine"


def test_a_mock_that_is_gone_is_told_of(tmp_path: Path) -> None:
    """Its address is in a file that only a run writes."""
    with open_state(tmp_path, "shop") as state:
        state.use_kafka("mock")
        (state.path / "kafka").write_text("no folder")
    with pytest.raises(NotRunningError, match="runs no kafka here"):
        find_flow(tmp_path).bootstrap()
