"""Start the payment provider simulator: `python -m orderflow_provider`.

Environment: ORDERFLOW_HTTP_HOST (default 127.0.0.1) and ORDERFLOW_HTTP_PORT (default 8080), where it listens;
PROVIDER_STATE, a file in which it remembers what it did (unset: in memory only);
PROVIDER_SEED, a number that its faults are drawn from (default 0).
"""

import os
from pathlib import Path
from random import Random

import uvloop
from aiohttp import web

from orderflow_provider.app import make_app
from orderflow_provider.journal import Journal, read_journal
from orderflow_provider.ledger import Ledger


def open_ledger(state: str | None, seed: int) -> Ledger:
    """Give the ledger, with what it remembers in the file `state`."""
    random = Random(seed)  # noqa: S311  (it draws simulated faults)
    if state is None:
        return Ledger(random)
    path = Path(state)
    entries = list(read_journal(path))
    ledger = Ledger(random, Journal(path).write)
    for entry in entries:
        ledger.restore(entry)
    return ledger


def main() -> None:
    """Serve until SIGINT or SIGTERM."""
    ledger = open_ledger(os.environ.get("PROVIDER_STATE"), int(os.environ.get("PROVIDER_SEED", "0")))
    web.run_app(
        make_app(ledger),
        host=os.environ.get("ORDERFLOW_HTTP_HOST", "127.0.0.1"),
        port=int(os.environ.get("ORDERFLOW_HTTP_PORT", "8080")),
        loop=uvloop.new_event_loop(),
        access_log=None,
        print=None,
        shutdown_timeout=1,
    )


if __name__ == "__main__":
    main()
