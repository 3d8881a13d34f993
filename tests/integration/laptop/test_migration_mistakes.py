"""A mistake in a service's SQL ends `orderflow run` with the file and its line, and nothing else to look for."""

from pathlib import Path

import pytest
import yaml

from orderflow_cli.errors import StartError
from orderflow_cli.local import stack
from orderflow_cli.local.state import open_state
from orderflow_model.flow import OrderFlow
from orderflow_model.loading.load import load_flow
from support.flow.cli_process import FLOW


def _flow(migrations: Path) -> OrderFlow:
    resource = yaml.safe_load(FLOW.read_text())
    resource["spec"]["services"][0]["migrations"] = str(migrations)
    return load_flow(yaml.safe_dump(resource))


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        (b"CREATE TABLE points (\n  order_id text,\n  points bigin\n);\n", r'0001_points.sql, line 3: type "bigin"'),
        (b"CREATE TABLE points (a int);\n-- caf\xe9\n", "0001_points.sql, line 2: it is not UTF-8"),
    ],
    ids=["no type", "no UTF-8"],
)
async def test_a_mistake_in_sql_is_told_with_its_file_and_line(tmp_path: Path, sql: bytes, words: str) -> None:
    """The sentence names the place; mended, the same folder goes on."""
    file = tmp_path / "sql" / "0001_points.sql"
    file.parent.mkdir()
    file.write_bytes(sql)
    flow = _flow(file.parent)

    async def begin() -> None:
        with open_state(tmp_path / "state", "shop") as state:
            async with stack.database(flow, state, lambda _: None):
                pass

    with pytest.raises(StartError, match=words) as refused:
        await begin()
    assert "logs" not in str(refused.value)
    file.write_text("CREATE TABLE points (order_id text, points bigint);\n")
    await begin()
