"""What the console refuses to be told."""

from pathlib import Path

import pytest

from orderflow_console.settings import ConsoleConfig, Settings, SettingsError
from orderflow_model import environment
from orderflow_model.loading.load import load_flow
from support.flow.cli_process import FLOW


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.7", "::", "localhost", ""])  # noqa: S104 - to be refused
def test_it_listens_for_this_machine_alone(tmp_path: Path, host: str) -> None:
    """It has no login, so an address that others reach, or a name that may be one, is refused before it listens."""
    config = ConsoleConfig(flow=load_flow(FLOW), urls={}, state=tmp_path, command=())
    (file := tmp_path / "console.json").write_text(config.model_dump_json())
    env = {
        environment.CONFIG: str(file),
        environment.DATABASE_URL: "postgresql://u@127.0.0.1:1/x",
        environment.KAFKA_BOOTSTRAP: "127.0.0.1:1",
        environment.HTTP_PORT: "8000",
    }
    assert Settings.read(env).host == "127.0.0.1"
    with pytest.raises(SettingsError, match=r"settings cannot be read"):
        Settings.read(env | {environment.HTTP_HOST: host})
