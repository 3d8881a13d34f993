"""The README's "Add a service", walked: made by command, tested, and run with the flow."""

import os
import shutil
import sys
from pathlib import Path

import asyncpg

from orderflow_cli.local.running_flow import find_flow
from support.flow.cli_process import FLOW, OrderFlowProcess, orderflow
from support.tools.scratch import scratch_directory
from support.tools.servers import kafka_program


async def test_a_new_service_runs_with_the_flow() -> None:
    """Ten orders end, and the new service has taken in each once; nothing of it was written by hand."""
    kafka_program()
    with scratch_directory() as folder:
        flow = shutil.copy(FLOW, folder / "shop.yaml")
        new = orderflow("service", "new", "loyalty", "--flow", str(flow), "--on", "ORDER_COMPLETED", cwd=folder)
        assert new.returncode == 0, new.stdout
        path = {"PYTHONPATH": os.pathsep.join([str(folder / "services" / "src"), *sys.path])}
        running = OrderFlowProcess("run", str(flow), "--orders", "10", cwd=folder, env=path)
        try:
            running.wait_for("orders: POST")
            assert await _seen(folder) == 10
        finally:
            assert running.interrupt().returncode == 0


async def _seen(folder: Path) -> int:
    """How many events the service has kept, once there are ten of them."""
    connection = await asyncpg.connect(find_flow(folder / ".orderflow").database_of_all().render())
    try:
        for _ in range(300):
            if (count := await connection.fetchval("SELECT count(DISTINCT key) FROM loyalty.seen")) >= 10:
                break
            await connection.fetch("SELECT pg_sleep(0.1)")
        return int(count)
    finally:
        await connection.close()
