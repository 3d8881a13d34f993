"""One run of a flow's analytics: `python -m orderflow_analytics FLOW.yaml`.

Environment: ORDERFLOW_DATABASE_URL, the flow's database as a role that may read `raw.events`; ORDERFLOW_LAKE, where the
lake is. Exits with 1, and one line that says why, when it could not end.
"""

import asyncio
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from deltalake.exceptions import DeltaError

from orderflow_analytics.contracts.contract import load_contracts
from orderflow_analytics.errors import AnalyticsError
from orderflow_analytics.lake.zones import Lake, missing
from orderflow_analytics.pipeline import Report, fill_lake
from orderflow_model import environment
from orderflow_model.findings import InvalidResourceError
from orderflow_model.flow import OrderFlow
from orderflow_model.loading.load import load_flow
from orderflow_model.names import schema_name
from orderflow_model.postgres_uri import InvalidUriError, PostgresUri
from orderflow_model.spec.analytics import SINK
from orderflow_runtime.postgres.connecting import connect
from orderflow_runtime.postgres.connection_failures import CannotConnectError

_REFUSED = (AnalyticsError, CannotConnectError, InvalidResourceError, InvalidUriError, DeltaError, OSError)


def main(arguments: list[str]) -> int:
    """Do one run and print what it did; return the exit code."""
    try:
        (file,) = arguments
    except ValueError:
        print("usage: python -m orderflow_analytics FLOW.yaml", file=sys.stderr)
        return 2
    try:
        asyncio.run(_run(load_flow(Path(file)), os.environ))
    except _REFUSED as error:
        print(f"orderflow analytics: {error}", file=sys.stderr)
        return 1
    return 0


async def _run(flow: OrderFlow, env: Mapping[str, str]) -> None:
    analytics = flow.spec.analytics
    if analytics is None:
        raise AnalyticsError(f"flow {flow.metadata.name} keeps no events; say so in its spec.analytics")
    contracts, lake = load_contracts(analytics.contracts), Lake(_required(env, environment.LAKE))
    uri = PostgresUri.parse(_required(env, environment.DATABASE_URL))
    connection = await connect(uri, {"search_path": schema_name(SINK)})
    try:
        report = await fill_lake(connection, lake, contracts)
    finally:
        await connection.close()
    _tell(report, missing((event.name for event in flow.spec.events), contracts))


def _tell(report: Report, raw_only: list[str]) -> None:
    print(f"raw: {report.exported:,} events")
    for event, count in report.curated.items():
        print(f"curated {event}: {count.taken:,} taken, {count.refused:,} in quarantine, {count.repeated:,} repeated")
    if raw_only:
        print(f"in the raw zone alone, for want of a contract: {', '.join(raw_only)}")


def _required(env: Mapping[str, str], name: str) -> str:
    if not env.get(name):
        raise AnalyticsError(f"{name} is not set")
    return env[name]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
