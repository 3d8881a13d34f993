"""The graph: `raw.events` in Postgres, the raw zone, curated tables, the quarantine, dbt's models and their tests.

Each asset is a step of the pipeline, so whoever brings it up to date does what `orderflow analytics run` does. Steps of
one run follow each other in one process; runs are kept apart as always, by the lease and by the tables' own logs.
"""

import asyncio
from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from typing import Any

import dagster as dg
from dagster_dbt import dbt_assets

from orderflow_analytics.contracts.contract import Contract
from orderflow_analytics.marts.build import ModelsFailError
from orderflow_analytics.orchestration.results import check_results, model_keys
from orderflow_analytics.orchestration.steps import Steps, giving_up
from orderflow_model.spec.analytics import Analytics

JOB = "refresh"
_LONG_AGO = date(2020, 1, 1)
"""Where days begin as long as the lake has none."""
_EPOCH = date(1970, 1, 1)
"""Where they begin at the earliest: of the year 1, as a clock may say, there would be 700,000."""
STORED, RAW, QUARANTINE = (
    dg.AssetKey(["raw", "events"]),
    dg.AssetKey(["raw", "delta"]),
    dg.AssetKey(["lake", "quarantine"]),
)
_RETRIES = dg.RetryPolicy(max_retries=3, delay=5, backoff=dg.Backoff.EXPONENTIAL, jitter=dg.Jitter.PLUS_MINUS)


def graph(steps: Steps, analytics: Analytics, manifest: Mapping[str, Any] | None) -> dg.Definitions:
    """Return all assets with their checks, the job that brings them up to date, and its schedule where there is one."""
    curated = [_curated(steps, contract, analytics) for contract in steps.pipeline.contracts]
    assets = [_stored(steps), _raw(steps, analytics), *curated, _quarantine(steps, curated)]
    if manifest is not None:
        assets.append(_models(steps, manifest))
    job = dg.define_asset_job(JOB, dg.AssetSelection.all() - dg.AssetSelection.assets(STORED))
    schedules = []
    if analytics.schedule is not None:
        running = dg.DefaultScheduleStatus.RUNNING
        schedules = [dg.ScheduleDefinition(job=job, cron_schedule=analytics.schedule, default_status=running)]
    checks = [] if analytics.freshness is None else [_fresh(steps, analytics.freshness.seconds)]
    return dg.Definitions(
        assets,
        asset_checks=checks,
        jobs=[job, _rebuild_day(steps)],
        schedules=schedules,
        executor=dg.in_process_executor,
    )


def _freshness(analytics: Analytics) -> Any:
    if analytics.freshness is None:
        return None
    return dg.FreshnessPolicy.time_window(fail_window=timedelta(seconds=max(60, analytics.freshness.seconds)))


def _stored(steps: Steps) -> Any:
    def observe() -> Any:
        count, seconds = asyncio.run(steps.waiting())
        return dg.ObserveResult(metadata={"waiting": count, "oldest, seconds": seconds})

    words = "Every event of the flow as it came, in Postgres; the sink writes it."
    return dg.observable_source_asset(key=STORED, description=words, group_name="lake")(observe)


def _raw(steps: Steps, analytics: Analytics) -> Any:
    def raw() -> Any:
        with giving_up():
            return dg.MaterializeResult(metadata={"events": asyncio.run(steps.export())})

    return dg.asset(
        key=RAW,
        deps=[STORED],
        retry_policy=_RETRIES,
        group_name="lake",
        freshness_policy=_freshness(analytics),
        description="Every stored event in the lake, as it came.",
    )(raw)


def _curated(steps: Steps, contract: Contract, analytics: Analytics) -> Any:
    def curated() -> Any:
        with giving_up():
            count = asyncio.run(steps.curate(contract))
        told = {"taken": count.taken, "refused": count.refused, "repeated": count.repeated}
        return dg.MaterializeResult(metadata=told)

    return dg.asset(
        key=["lake", contract.table],
        deps=[RAW],
        retry_policy=_RETRIES,
        group_name="lake",
        freshness_policy=_freshness(analytics),
        description=contract.kind.__doc__,
    )(curated)


def _quarantine(steps: Steps, curated: list[Any]) -> Any:
    def quarantine() -> Any:
        with giving_up():
            return dg.MaterializeResult(metadata={"events": asyncio.run(steps.tidy())})

    return dg.asset(
        key=QUARANTINE,
        deps=curated,
        retry_policy=_RETRIES,
        group_name="lake",
        description="Events that do not fit their contract, each with the reason.",
    )(quarantine)


def _models(steps: Steps, manifest: Mapping[str, Any]) -> Any:
    def models(context) -> Iterator[Any]:  # type: ignore[no-untyped-def]  # dagster looks at the name alone
        try:
            with giving_up():
                built = asyncio.run(steps.build())
        except ModelsFailError as error:
            yield from check_results(manifest, error.made, context.selected_asset_check_keys)
            raise dg.Failure(str(error), allow_retries=False) from error
        for key in filter(context.selected_asset_keys.__contains__, model_keys(manifest)):
            yield dg.MaterializeResult(asset_key=key, metadata={"written": key.path[-1] in built.marts})
        yield from check_results(manifest, built.made, context.selected_asset_check_keys)

    return dbt_assets(manifest=manifest, name="models", retry_policy=_RETRIES)(models)


def _rebuild_day(steps: Steps) -> Any:
    """Return the job that makes a day of all curated tables anew; a backfill runs it for many."""

    def rebuild(context) -> None:  # type: ignore[no-untyped-def]  # dagster looks at the name alone
        day = date.fromisoformat(context.partition_key)
        with giving_up():
            for contract in steps.pipeline.contracts:
                count = asyncio.run(steps.rebuild(contract, day))
                context.log.info(f"{contract.event}: {count.taken:,} taken, {count.refused:,} in quarantine")

    step = dg.op(name="rebuild", retry_policy=_RETRIES)(rebuild)
    first = steps.pipeline.lake.first_day(steps.pipeline.contracts) or _LONG_AGO
    days = dg.DailyPartitionsDefinition(max(first, _EPOCH).isoformat(), end_offset=1)

    def rebuild_day() -> None:
        step()

    words = "Makes a day of every curated table anew from the raw zone; the next refresh makes the marts of it."
    return dg.job(name="rebuild_day", description=words, partitions_def=days)(rebuild_day)


def _fresh(steps: Steps, seconds: int) -> Any:
    def fresh() -> Any:
        count, oldest = asyncio.run(steps.waiting())
        return dg.AssetCheckResult(passed=oldest <= seconds, metadata={"waiting": count, "oldest, seconds": oldest})

    words = f"No stored event older than {seconds} s is missing in the lake."
    return dg.asset_check(asset=RAW, name="fresh", description=words)(fresh)
