"""Start the payment provider simulator: `python -m orderflow_provider`.

Environment: ORDERFLOW_HTTP_HOST (default 127.0.0.1) and ORDERFLOW_HTTP_PORT (default 8080), where it listens;
ORDERFLOW_HTTP_DRAIN, whole seconds that it serves on, not ready any more, when it is told to end (default 0);
PROVIDER_STATE, a file in which it remembers what it did (unset: in memory only);
PROVIDER_SEED, a number that its faults are drawn from (default 0).
"""

import asyncio
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from random import Random

import uvloop
from aiohttp import web

from orderflow_provider.app import make_app
from orderflow_provider.journal import Journal, read_journal
from orderflow_provider.ledger import Ledger
from orderflow_runtime import MisconfiguredError, whole_number
from orderflow_runtime.ending import Ending

_LAST_REQUESTS_SECONDS = 3


def open_ledger(state: str | None, seed: int) -> Ledger:
    """Return the ledger, with what it remembers in the file `state`."""
    random = Random(seed)  # noqa: S311 - it draws simulated faults
    if state is None:
        return Ledger(random)
    path = Path(state)
    entries = list(read_journal(path))
    ledger = Ledger(random, Journal(path).write)
    for entry in entries:
        ledger.restore(entry)
    return ledger


async def serve(ledger: Ledger, host: str, port: int, ending: Ending) -> None:
    """Serve until SIGINT or SIGTERM and the drain after it, then finish the requests under way."""
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ending.ask)
    runner = web.AppRunner(make_app(ledger, ending), access_log=None, shutdown_timeout=_LAST_REQUESTS_SECONDS)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
        await ending.due.wait()
    finally:
        await runner.cleanup()


def main() -> None:
    """Serve what the environment says; raise `SystemExit` with 78 and one line when that is wrong."""
    try:
        _serve(os.environ)
    except MisconfiguredError as error:
        print(f"payment-provider: {error}", file=sys.stderr)
        sys.exit(os.EX_CONFIG)


def _serve(env: Mapping[str, str]) -> None:
    host = env.get("ORDERFLOW_HTTP_HOST") or "127.0.0.1"
    port = whole_number(env, "ORDERFLOW_HTTP_PORT", 8080, 65_535)
    ending = Ending(whole_number(env, "ORDERFLOW_HTTP_DRAIN", 0, 3_600))
    seed, state = whole_number(env, "PROVIDER_SEED", 0, 2**31), env.get("PROVIDER_STATE") or None
    try:
        ledger = open_ledger(state, seed)
    except (OSError, ValueError) as error:
        raise MisconfiguredError(f"PROVIDER_STATE={state}: {error}") from None
    try:
        uvloop.run(serve(ledger, host, port, ending))
    except (OSError, UnicodeError) as error:
        raise MisconfiguredError(f"ORDERFLOW_HTTP_HOST and ORDERFLOW_HTTP_PORT: {host}:{port}: {error}") from None


if __name__ == "__main__":
    main()
