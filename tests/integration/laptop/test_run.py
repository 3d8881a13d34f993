"""`orderflow run` from outside: it ends orders, leaves nothing behind, goes on where it was and survives kills."""

import asyncio
import shutil
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest
import yaml

from orderflow_cli.local.running_flow import find_flow
from orderflow_cli.servers.kafka import Kafka
from orderflow_cli.servers.ports import free_port
from support.flow.cli_process import FLOW, OrderFlowProcess, all_gone, orderflow, ports_of
from support.tools.scratch import scratch_directory
from support.tools.servers import kafka_program

FAILURES = "payment=5%,shipping=3%,unknown=2%"
PLACED = "orders sent"
AGAIN = {
    "order": "order was ended by SIGKILL; starting it again",
    "payment": "payment was ended by SIGKILL; starting it again",
    "payment-provider": "payment-provider was ended by SIGKILL; starting it again",
    "postgres": "Postgres ended; starting it again",
    "kafka": "Kafka ended; starting it again",
}
TOGETHER_AGAIN = {name: line for name, line in AGAIN.items() if name != "payment"} | {
    "order": "together was ended by SIGKILL; starting it again"
}
"""Who kills payment kills the order service too: once is enough."""


@pytest.fixture
def folder() -> Iterator[Path]:
    """An empty folder to run in."""
    kafka_program()
    with scratch_directory() as folder:
        yield folder


@pytest.fixture
def start(folder: Path) -> Iterator["Starter"]:
    """Starts commands in the folder and leaves none running."""
    starter = Starter(folder)
    yield starter
    for process in starter.started:
        process.interrupt_hard()


class Starter:
    """Starts `orderflow run` on the reference flow."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.started: list[OrderFlowProcess] = []

    def __call__(self, *options: str) -> OrderFlowProcess:
        """Start it with these options."""
        self.started.append(OrderFlowProcess("run", str(FLOW), *options, cwd=self.folder))
        return self.started[-1]


def _state(folder: Path) -> Path:
    return folder / ".orderflow" / "shop"


def test_orders_end_with_money_and_stock_conserved(folder: Path) -> None:
    """Five hundred orders, some failing in each way, all end, and exit code 0 says that every invariant holds.

    The order service is at the port that was asked for, and a plan compares with what was run.
    """
    port = str(free_port())
    options = ("--orders", "500", "--fail", FAILURES, "--until-done", "--port", port)
    ended = orderflow("run", str(FLOW), *options, cwd=folder)
    assert (ended.returncode, ended.stdout.count("✓"), ended.stdout.count("✗")) == (0, 5, 0), ended.stdout
    assert "500 orders placed" in ended.stdout
    assert f"POST http://127.0.0.1:{port}/orders" in ended.stdout
    assert orderflow("plan", str(FLOW), cwd=folder).stdout == "nothing changes\n"


def test_ctrl_c_leaves_nothing_and_a_second_start_goes_on(start: Starter, folder: Path) -> None:
    """Orders that Ctrl-C caught half-way end after the second start, and between the two nothing runs or listens."""
    first = start("--orders", "1500", "--fail", FAILURES)
    first.wait_for(f"{PLACED} 1,500")
    processes = first.children()
    assert first.interrupt().returncode == 0
    assert all_gone(processes, ports_of(_state(folder)))
    assert not list((_state(folder) / "pids").iterdir())
    second = start("--orders", "0", "--until-done").finish()
    assert (second.returncode, second.stdout.count("✗")) == (0, 0), second.stdout
    assert _ended_orders(second.stdout) == 1500


def _ended_orders(output: str) -> int:
    line = next(line for line in output.splitlines() if "every order ended" in line)
    return sum(int(part.split()[-1]) for part in line.split("ended")[1].split(","))


def test_a_killed_run_leaves_no_process_and_the_next_goes_on(start: Starter, folder: Path) -> None:
    """SIGKILL of the command itself takes everything with it, and the orders end on the next start."""
    first = start("--orders", "1000", "--fail", FAILURES)
    first.wait_for(f"{PLACED} 1,000")
    processes = first.children()
    first.kill()
    assert all_gone(processes, ports_of(_state(folder)))
    second = start("--orders", "0", "--until-done").finish()
    assert (second.returncode, _ended_orders(second.stdout)) == (0, 1000), second.stdout


@pytest.mark.parametrize(
    ("placed", "again"),
    [pytest.param((), TOGETHER_AGAIN, id="together"), pytest.param(("--apart",), AGAIN, id="apart")],
)
def test_killed_parts_are_started_again_and_lose_nothing(
    start: Starter, folder: Path, placed: tuple[str, ...], again: dict[str, str]
) -> None:
    """`orderflow kill` of services and servers while orders are placed: each comes back, and every order ends."""
    running = start("--orders", "2500", "--rate", "250", "--fail", FAILURES, "--until-done", *placed)
    running.wait_for(f"{PLACED} ")
    assert ("together: one process of order, inventory" in running.output) is not bool(placed)
    for victim, line in again.items():
        killed = orderflow("kill", victim, cwd=folder)
        assert killed.stdout.startswith(f"killed {victim}"), killed.stdout
        running.wait_for(line)
    ended = running.finish()
    assert (ended.returncode, _ended_orders(ended.stdout)) == (0, 2500), ended.stdout


def test_an_order_of_the_running_flow_is_told(start: Starter, folder: Path) -> None:
    """`orderflow trace` finds the database by the state directory, and tells the order from its beginning on."""
    start("--orders", "20").wait_for(f"{PLACED} 20")
    order = asyncio.run(_some_order(find_flow(folder / ".orderflow").database_of_all().render()))
    told = orderflow("trace", order, cwd=folder)
    assert told.returncode == 0, told.stdout
    head, *lines = (line.split("\t") for line in told.stdout.splitlines())
    assert head[0] == order
    assert [line[4] for line in lines][:1] == ["ORDER_CREATED"]


async def _some_order(database: str) -> str:
    connection = await asyncpg.connect(database)
    try:
        return str(await connection.fetchval('SELECT order_id FROM "order".orders LIMIT 1'))
    finally:
        await connection.close()


def test_a_second_run_of_the_same_flow_is_refused(start: Starter, folder: Path) -> None:
    """Two runs of one flow in one folder would share ports and data: the second says so and stops."""
    first = start("--orders", "0")
    first.wait_for("flow shop")
    second = start("--orders", "0").finish()
    assert second.returncode == 1
    assert "flow shop is already running here" in second.stdout
    first.interrupt()


def test_a_service_that_cannot_run_here_is_named(folder: Path) -> None:
    """Without its module and without docker the run is refused before anything takes orders, and leaves nothing."""
    flow = yaml.safe_load(FLOW.read_text())
    flow["spec"]["services"][3]["command"] = ["python", "-m", "parcel_robot"]
    (folder / "flow.yaml").write_text(yaml.safe_dump(flow))
    refused = orderflow("run", "flow.yaml", "--orders", "0", cwd=folder, env={"PATH": _path_of(folder)})
    assert refused.returncode == 1
    assert "service shipping cannot run here: there is no module parcel_robot" in refused.stdout
    assert not (folder / ".orderflow" / "shop" / "state.json").exists(), "no port was asked for"


def test_a_variable_that_only_the_cluster_knows_is_asked_for_first(folder: Path) -> None:
    """The service and the variable are named before a server is started."""
    flow = yaml.safe_load(FLOW.read_text())
    secret = {"name": "NOWHERE_SET", "valueFrom": {"secretKeyRef": {"name": "keys", "key": "one"}}}
    flow["spec"]["services"][3]["env"] = [secret]
    (folder / "flow.yaml").write_text(yaml.safe_dump(flow))
    refused = orderflow("run", "flow.yaml", "--orders", "0", cwd=folder)
    assert refused.returncode == 1
    assert "service shipping takes NOWHERE_SET from a Secret" in refused.stdout
    assert not (folder / ".orderflow" / "shop" / "state.json").exists(), "no port was asked for"


def test_a_given_kafka_carries_the_flow(kafka: Kafka, folder: Path, flow_name: str) -> None:
    """With --kafka no broker is started, and the flow's topics are made on the one that is there."""
    (folder / "flow.yaml").write_text(FLOW.read_text().replace("name: shop\n", f"name: {flow_name}\n", 1))
    options = ["--orders", "100", "--until-done", "--kafka", kafka.bootstrap]
    ended = orderflow("run", "flow.yaml", *options, cwd=folder)
    assert ended.returncode == 0, ended.stdout
    assert not (folder / ".orderflow" / flow_name / "kafka").exists()


def test_without_java_the_mock_carries_the_flow_and_says_so(folder: Path) -> None:
    """On a machine with neither Java nor Maven the same command ends the same orders."""
    env = {"PATH": _path_of(folder, "setpriv"), "JAVA_HOME": ""}
    ended = orderflow("run", str(FLOW), "--orders", "100", "--until-done", cwd=folder, env=env)
    assert ended.returncode == 0, ended.stdout
    assert "a mock in memory" in ended.stdout
    assert "Java is not here" in ended.stdout


def _path_of(folder: Path, *programs: str) -> str:
    """A PATH on which only these programs are, as far as this machine has them."""
    tools = folder / "tools"
    tools.mkdir()
    for program in programs:
        if found := shutil.which(program):
            (tools / program).symlink_to(found)
    return str(tools)
