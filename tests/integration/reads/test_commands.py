"""The commands that read, as people and scripts call them, on a real Postgres and Kafka."""

import asyncio
import json
import subprocess
from pathlib import Path

import asyncpg
import pytest
import yaml

from orderflow_cli.exit_codes import ExitCode
from orderflow_cli.servers.kafka import Kafka
from support.flow.cli_process import FLOW, OrderFlowProcess, invoke
from support.records.stored_orders import bury, order_id, park, set_state, store_orders


async def ask(database: str, *arguments: str, code: int = ExitCode.DONE) -> subprocess.CompletedProcess[str]:
    """Run a command on this database; its exit code has to be this one."""
    done = await asyncio.to_thread(invoke, *arguments, "--database", database)
    assert done.returncode == code, done.stdout + done.stderr
    return done


async def test_orders_are_listed_page_by_page_in_every_form(admin: asyncpg.Connection, shop_database: str) -> None:
    """JSON, YAML and the table tell the same, and a script that follows `next` sees each order once."""
    await store_orders(admin, 30)
    found, onward = [], []
    while True:
        page = json.loads((await ask(shop_database, "orders", "list", "--limit", "12", "-o", "json", *onward)).stdout)
        found += page["items"]
        if page["next"] is None:
            break
        onward = ["--after", page["next"]]
    assert [one["id"] for one in found] == [order_id(number) for number in range(30, 0, -1)]
    assert set(found[0]) == {"id", "begunAt", "state", "phase", "reason", "customer"}
    whole = yaml.safe_load((await ask(shop_database, "orders", "list", "-o", "yaml")).stdout)
    assert [one["id"] for one in whole["items"]] == [one["id"] for one in found]
    table = await ask(shop_database, "orders", "list", "--limit", "12")
    assert [line.split("\t")[0] for line in table.stdout.splitlines()] == [one["id"] for one in found[:12]]
    assert "--after" in table.stderr
    assert "example.org" not in table.stdout


async def test_orders_are_found_by_what_is_asked(admin: asyncpg.Connection, shop_database: str) -> None:
    """By state, by time, stuck, retried and why; a state that is none is refused with those that are."""
    await store_orders(admin, 40)
    await set_state(admin, order_id(3), "COMPENSATION_FAILED")
    await park(admin, order_id(4), "provider: refused")

    async def ids(*options: str) -> list[str]:
        page = json.loads((await ask(shop_database, "orders", "list", "-o", "json", *options)).stdout)
        return [one["id"] for one in page["items"]]

    assert await ids("--stuck") == await ids("--in", "COMPENSATION_FAILED") == [order_id(3)]
    assert await ids("--retrying") == await ids("--because", "refused") == [order_id(4)]
    assert await ids("--in", "CANCELLED", "--reason", "CUSTOMER") == [order_id(40), order_id(20)]
    assert await ids("--until", "2026-11-01T00:00:03") == [order_id(2), order_id(1)]
    assert await ids("--since", "2026-11-01T00:00:40", "--customer", "c40") == [order_id(40)]
    refused = await ask(shop_database, "orders", "list", "--in", "PAYED", code=ExitCode.REFUSED)
    assert "COMPENSATION_FAILED" in refused.stderr
    one = json.loads((await ask(shop_database, "orders", "get", order_id(4), "-o", "json")).stdout)
    assert [step["what"] for step in one["timeline"]["steps"]] == ["WAITING"]
    unknown = await ask(shop_database, "orders", "get", "nobody", code=ExitCode.UNKNOWN)
    assert "there is no nobody" in unknown.stderr


async def test_dead_letters_are_counted_listed_and_looked_at(
    admin: asyncpg.Connection, shop_database: str, kafka: Kafka
) -> None:
    """Of all services or of one, by reason, and one with all that is known of it."""
    await bury(admin, "payment", 3, "no such card")
    at = ["--bootstrap", kafka.bootstrap, "--flow", "none"]
    groups = json.loads((await ask(shop_database, "dead-letters", "list", "--by-reason", "-o", "json", *at)).stdout)
    assert [(one["service"], one["letters"]) for one in groups["items"]] == [("payment", 3)]
    listed = json.loads((await ask(shop_database, "dead-letters", "list", "payment", "-o", "json", *at)).stdout)
    assert len(listed["items"]) == 3
    assert "3 dead letters" in (await ask(shop_database, "dead-letters", "list", *at)).stdout
    nobody = await ask(shop_database, "dead-letters", "list", "nobody", *at, code=ExitCode.UNKNOWN)
    assert "no service nobody" in nobody.stderr


async def test_status_tells_where_it_hurts(admin: asyncpg.Connection, shop_database: str, kafka: Kafka) -> None:
    """What is open, retried and given up, with reasons, in one answer."""
    await store_orders(admin, 4)
    await set_state(admin, order_id(1), "PAID", deadline=True)
    await park(admin, order_id(1), "provider: refused")
    await bury(admin, "shipping", 2, "no such street")
    at = ["--bootstrap", kafka.bootstrap, "--flow", "none"]
    status = json.loads((await ask(shop_database, "status", "-o", "json", *at)).stdout)
    assert status["openRuns"]["PAID"] == 1
    assert [one["reason"] for one in status["retrying"]] == ["provider: refused"]
    assert [one["letters"] for one in status["deadLetters"]] == [2]
    assert "no such street" in (await ask(shop_database, "status", *at)).stdout


async def test_status_goes_on_until_ctrl_c(shop_database: str, kafka: Kafka, tmp_path: Path) -> None:
    """It looks again and again, and its end is no fault."""
    at = ("--bootstrap", kafka.bootstrap, "--flow", "none", "--database", shop_database)
    watching = OrderFlowProcess("status", "--watch", *at, cwd=tmp_path)
    try:
        await asyncio.to_thread(watching.wait_for, "runs not ended")
        ended = await asyncio.to_thread(watching.interrupt)
    finally:
        watching.interrupt_hard()
    assert (ended.returncode, "Traceback" in ended.stdout, "Aborted" in ended.stdout) == (0, False, False)


async def test_a_plan_names_what_is_in_flight(admin: asyncpg.Connection, shop_database: str, tmp_path: Path) -> None:
    """Of what a service that goes has parked and given up, and of which orders; of runs that have not ended."""
    await store_orders(admin, 3)
    await set_state(admin, order_id(1), "PAID", deadline=True)
    await park(admin, order_id(1), "away")
    await bury(admin, "payment", 2, "no such card")
    await bury(admin, "shipping", 1, "of another event")
    data = yaml.safe_load(FLOW.read_text())
    payment = next(one for one in data["spec"]["services"] if one["name"] == "payment")
    payment["delivery"] = {"retries": 9}
    (tmp_path / "new.yaml").write_text(yaml.safe_dump(data))
    new = str(tmp_path / "new.yaml")
    touched = json.loads((await ask(shop_database, "plan", str(FLOW), new, "-o", "json")).stdout)["touched"]
    assert touched["openRuns"]["PAID"] == 1
    assert touched["inFlight"] == [
        {"service": "payment", "parked": 1, "timers": 0, "calls": 0, "deadLetters": 2, "keys": [order_id(1)]}
    ]
    assert "payment: touched: parked 1, dead letters 2" in (await ask(shop_database, "plan", str(FLOW), new)).stdout


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_is_told_how_to_complete(shell: str) -> None:
    """The script names the command that it completes."""
    assert "_ORDERFLOW_COMPLETE" in invoke("completion", shell).stdout


async def test_a_flow_that_does_not_run_here_is_said_so(tmp_path: Path) -> None:
    """Without an address and a running flow each command says where it looked and what to do."""
    for command in (["orders", "list"], ["status"], ["topics", "list"], ["dead-letters", "list"]):
        refused = await asyncio.to_thread(invoke, *command, "--state", str(tmp_path))
        assert refused.returncode == ExitCode.REFUSED
        assert "orderflow run" in refused.stderr
