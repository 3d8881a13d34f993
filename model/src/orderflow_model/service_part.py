"""A service's part of the resource, as its process is told it: derived here, for a pod and for a laptop alike."""

from collections.abc import Mapping
from math import ceil

from pydantic import JsonValue

from orderflow_model.flow import Metadata, OrderFlow
from orderflow_model.names import dead_letter_topic_name, group_name
from orderflow_model.service_config import (
    Channel,
    DeliveryConfig,
    LakeConfig,
    LakeEvent,
    ObjectiveConfig,
    PrivacyRole,
    PushConfig,
    SagaConfig,
    ServiceConfig,
    TracingConfig,
)
from orderflow_model.spec.analytics import SINK
from orderflow_model.spec.console import CONSOLE
from orderflow_model.spec.delivery import Delivery
from orderflow_model.spec.events import Event
from orderflow_model.spec.lake import LAKE, EventRetention, days
from orderflow_model.spec.saga import Tracing
from orderflow_model.spec.services import Service
from orderflow_model.topics import DAY_MS, Topic, dead_letter_topic, event_topic, longest_retention


def service_config(flow: OrderFlow, service: str) -> ServiceConfig:
    """Return the configuration of a service of the flow; KeyError when the flow has no such service."""
    entry = flow.service(service)
    own = None if service in {one.name for one in flow.spec.services} else service  # what the resource implies
    return ServiceConfig(
        flow=flow.metadata.name,
        service=service,
        group=group_name(flow.metadata.name, service),
        dead_letter_topic=dead_letter_topic_name(flow.metadata.name, service),
        subscribes=_channels(flow, entry.subscribes, {pace.event: pace.within.milliseconds for pace in entry.pace}),
        publishes=_channels(flow, entry.publishes, {}),
        delivery=_delivery(entry.delivery.over(flow.spec.defaults.delivery)),
        inbox_days=_inbox_days(flow, entry),
        tracing=_tracing(flow.spec.tracing),
        saga=_saga(flow, entry),
        objectives=_objectives(flow, entry),
        privacy=_privacy(flow, service),
        lake=lake_config(flow) if own == LAKE else None,
        push=_push(flow, entry),
        console=console_config(flow) if own == CONSOLE else None,
    )


def console_config(flow: OrderFlow) -> dict[str, JsonValue]:
    """Return what the console is told: the resource, without what the cluster alone knows of it."""
    named = Metadata(name=flow.metadata.name, namespace=flow.metadata.namespace)
    told = flow.model_copy(update={"metadata": named, "status": None})
    return told.model_dump(mode="json", exclude_none=True)


def lake_config(flow: OrderFlow) -> LakeConfig:
    """Return what a run of the lake is told of a flow that keeps its events; ValueError when it keeps none."""
    analytics = flow.spec.analytics
    if analytics is None:
        raise ValueError(f"flow {flow.metadata.name} keeps no events; say so in its spec.analytics")
    kept = analytics.retention
    return LakeConfig(
        url=analytics.lake.url if analytics.lake else None,
        events=tuple(_lake_event(flow, event, kept.of(event.name)) for event in flow.spec.events),
        contracts=analytics.contracts,
        models=analytics.models,
        schedule=analytics.schedule,
        stored_days=days(kept.stored),
        lake_days=days(kept.lake),
    )


def _lake_event(flow: OrderFlow, event: Event, kept: EventRetention) -> LakeEvent:
    return LakeEvent(
        name=event.name,
        topic=event_topic(flow, event).name,
        personal=event.personal_data,
        stored_days=days(kept.stored),
        lake_days=days(kept.lake),
    )


def _channels(flow: OrderFlow, events: tuple[str, ...], within: Mapping[str, int]) -> tuple[Channel, ...]:
    return tuple(_channel(name, event_topic(flow, flow.spec.event(name)), within.get(name)) for name in events)


def _channel(event: str, topic: Topic, within: int | None) -> Channel:
    limit = topic.config.get("max.message.bytes")
    return Channel(event=event, topic=topic.name, max_message_bytes=int(limit) if limit else None, within_ms=within)


def _delivery(delivery: Delivery) -> DeliveryConfig:
    return DeliveryConfig(
        retries=delivery.retries,
        backoff=delivery.backoff,
        delay_ms=delivery.delay.milliseconds,
        max_delay_ms=delivery.max_delay.milliseconds,
        timeout_ms=delivery.timeout.milliseconds,
        on_exhausted=delivery.on_exhausted,
    )


def _tracing(tracing: Tracing) -> TracingConfig:
    return TracingConfig(
        consumer=tracing.consumer,
        share=float(tracing.sampling) / 100,
        endpoint=tracing.endpoint,
        protocol=tracing.protocol,
    )


def _saga(flow: OrderFlow, service: Service) -> SagaConfig | None:
    saga = flow.spec.saga
    if saga is None or not {saga.begins, *saga.ends} & set(service.publishes):
        return None
    return SagaConfig(begins=saga.begins, ends=saga.ends, deadline_ms=saga.deadline.milliseconds)


def _objectives(flow: OrderFlow, service: Service) -> tuple[ObjectiveConfig, ...]:
    if flow.spec.saga is None or not set(flow.spec.saga.ends) & set(service.publishes):
        return ()
    return tuple(
        ObjectiveConfig(name=objective.name, within_ms=objective.within.milliseconds)
        for objective in flow.spec.objectives
    )


def _privacy(flow: OrderFlow, service: str) -> PrivacyRole | None:
    analytics = flow.spec.analytics
    keeps = (SINK, *([LAKE] if analytics.lake else [])) if analytics else ()
    if flow.spec.privacy is None or service in keeps:
        return None
    return PrivacyRole.READER if service in flow.spec.privacy.readers else PrivacyRole.MASKED


def _push(flow: OrderFlow, service: Service) -> PushConfig | None:
    if service.push is None:
        return None
    declared = [flow.spec.event(name) for name in service.publishes]
    return PushConfig(
        protocol=service.push.protocol,
        path=service.push.path,
        concurrency=service.push.concurrency,
        batch=service.push.batch,
        contracts={event.name: event.payload_schema for event in declared if event.payload_schema is not None},
    )


def _inbox_days(flow: OrderFlow, service: Service) -> int:
    """Return for how many days an event can come back: from its topic, then from the dead letters."""
    remembered = longest_retention(flow, service) + dead_letter_topic(flow, service).retention_ms
    return ceil(remembered / DAY_MS)
