"""What the steps of a flow's lake are told: by its resource, and by the environment.

ORDERFLOW_LAKE says where the lake is, unless a pod is told; ORDERFLOW_DATABASE_URL is the flow's database, as a role
that may read `raw.events`. For lineage alone: ORDERFLOW_KAFKA_BOOTSTRAP, the Kafka that the sink hears, and
OPENLINEAGE_URL, an endpoint.
"""

import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import asyncpg

from orderflow_analytics.contracts.contract import Contract, load_contracts
from orderflow_analytics.errors import AnalyticsError
from orderflow_analytics.lake.zones import Lake
from orderflow_analytics.lineage.datasets import stored, topic
from orderflow_analytics.lineage.telling import ENDPOINT, Lineage
from orderflow_analytics.pipeline import Pipeline
from orderflow_model import environment
from orderflow_model.flow import OrderFlow
from orderflow_model.names import schema_name
from orderflow_model.postgres_uri import PostgresUri
from orderflow_model.service_config import LakeConfig
from orderflow_model.service_part import lake_config
from orderflow_model.spec.analytics import SINK, Analytics
from orderflow_runtime.postgres.connecting import connect
from orderflow_runtime.settings import required

_ODD = re.compile(r"[%\[\]\\^|\x00-\x1f\x7f]")


def pipeline_of(flow: OrderFlow, env: Mapping[str, str]) -> Pipeline:
    """Return the steps of a flow's lake; raise `AnalyticsError` or `MisconfiguredError`."""
    analytics_of(flow)
    return pipeline_told(flow.metadata.name, lake_config(flow.pictured()), env)


def pipeline_told(flow: str, told: LakeConfig, env: Mapping[str, str]) -> Pipeline:
    """Return the same of what a pod is told; raise `AnalyticsError` or `MisconfiguredError`."""
    place, bootstrap = (
        lake_place(told.url or required(env, environment.LAKE)),
        env.get(environment.KAFKA_BOOTSTRAP),
    )
    folder = None if "://" in place else Path(place)
    return Pipeline(
        Lake(place, flow),
        load_contracts(told.contracts, {event.name: event.personal for event in told.events}),
        None if told.models is None else Path(told.models),
        Lineage(flow, lambda: datetime.now(UTC), folder, env.get(ENDPOINT)),
        stored(_database(env)),
        told,
        [topic(bootstrap, event.topic) for event in told.events] if bootstrap else (),
    )


@asynccontextmanager
async def connected(env: Mapping[str, str]) -> AsyncIterator[asyncpg.Connection]:
    """Yield a connection whose search path is the sink's schema; raise `CannotConnectError` or `InvalidUriError`."""
    connection = await connect(_database(env), {"search_path": schema_name(SINK)})
    try:
        yield connection
    finally:
        await connection.close()


def contracts_of(flow: OrderFlow) -> tuple[Contract, ...]:
    """Return the contracts of a flow's events, with what its resource calls personal; raise `ContractError`."""
    personal = {event.name: event.personal_data for event in flow.spec.events}
    return load_contracts(analytics_of(flow).contracts, personal)


def project_of(flow: OrderFlow) -> Path | None:
    """Return the folder of the flow's dbt project, if it has one."""
    models = analytics_of(flow).models
    return None if models is None else Path(models)


def analytics_of(flow: OrderFlow) -> Analytics:
    """Return what the flow says of its lake; raise `AnalyticsError` where it keeps no events."""
    if flow.spec.analytics is None:
        raise AnalyticsError(f"flow {flow.metadata.name} keeps no events; say so in its spec.analytics")
    return flow.spec.analytics


def lake_place(given: str) -> str:
    """Return a URL as it is, and a folder seen from the root, since dbt looks from a folder of its own."""
    if "://" in given:
        return given
    folder = str(Path(given).absolute())
    if odd := _ODD.search(folder):
        raise AnalyticsError(f"{environment.LAKE}: {folder} has {odd[0]!r} in it, with which Delta finds no folder")
    return folder


def _database(env: Mapping[str, str]) -> PostgresUri:
    return PostgresUri.parse(required(env, environment.DATABASE_URL))
