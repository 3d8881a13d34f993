"""All that a run needs is here: it works where there is no network but the machine's own loopback."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2] / "analytics" / "shop"
CUT = ["unshare", "--net", *([] if os.geteuid() == 0 else ["--map-root-user"])]
SERVED = """
import asyncio, fcntl, socket, struct, subprocess, sys
from pathlib import Path
from support.analytics.stored import Site, cancelled, ran
from support.tools.servers import new_postgres
from orderflow_cli.servers.postgres import create_database

IFREQ, GET_FLAGS, SET_FLAGS, UP = "16sh14x", 0x8913, 0x8914, 1
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
    found = fcntl.ioctl(any_socket, GET_FLAGS, struct.pack(IFREQ, b"lo", 0))
    fcntl.ioctl(any_socket, SET_FLAGS, struct.pack(IFREQ, b"lo", struct.unpack(IFREQ, found)[1] | UP))

async def main(folder, project):
    server = new_postgres(folder)
    server.start()
    try:
        await create_database(server.admin_url(), "shop")
        site = Site(server.admin_url("shop"), folder, {"models": project})
        await site.prepare()
        await site.put([cancelled("o1")])
        print(await ran(site))
    finally:
        server.stop()

with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as outside:
    outside.settimeout(5)
    assert outside.connect_ex(("192.0.2.1", 80)) != 0
asyncio.run(main(Path(sys.argv[1]), sys.argv[2]))
"""
"""Brings loopback up, sees that nothing else is reached, and runs the analytics beside a Postgres of its own."""


def can_cut() -> bool:
    """Whether a process may have a network of its own here."""
    if shutil.which("unshare") is None:
        return False
    return subprocess.run([*CUT, "true"], capture_output=True, check=False).returncode == 0


@pytest.mark.skipif(not can_cut(), reason="no network namespaces here (unshare --net)")
def test_a_run_needs_no_network(tmp_path: Path) -> None:
    """From stored events to marts, with models by dbt, where nothing can be fetched and nobody called."""
    env = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}
    command = [*CUT, sys.executable, "-c", SERVED, str(tmp_path), str(PROJECT)]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    assert "curated ORDER_CANCELLED: 1 taken" in done.stdout
    assert "marts: event_quality, orders" in done.stdout
