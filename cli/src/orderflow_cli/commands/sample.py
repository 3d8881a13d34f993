"""`orderflow orders sample`: sample orders for a flow that runs here, besides those that its run places."""

import asyncio
import time
from itertools import islice
from pathlib import Path

import click

from orderflow_cli.commands.lint import FILE
from orderflow_cli.commands.run import failure_rates
from orderflow_cli.local.running_flow import find_flow
from orderflow_cli.local.state import DEFAULT_BASE
from orderflow_cli.shop.posting import Posted, post_orders
from orderflow_cli.shop.sample_orders import FailureRates, sample_orders


@click.command("sample")
@click.option("--orders", "number", type=click.IntRange(1, 100_000), default=20, show_default=True, help="How many.")
@click.option("--fail", callback=failure_rates, default="", help="Shares that fail: payment=5%,shipping=1%,unknown=1%")
@click.option("--flow", help="The flow's name, where several run from the state directory.")
@click.option("--state", "base", type=FILE, default=DEFAULT_BASE, show_default=True, help="As in orderflow run.")
def sample(number: int, fail: FailureRates, flow: str | None, base: Path) -> None:
    """Place sample orders; each time others."""
    posted = Posted()
    drawn = islice(sample_orders(f"{time.time_ns()}", fail), number)
    asyncio.run(post_orders(find_flow(base, flow).entry_url(), drawn, None, posted))
    click.echo(f"{posted.orders:,} orders placed")
