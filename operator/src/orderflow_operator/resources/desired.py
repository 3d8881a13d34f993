"""From a flow to all the objects it wants. Pure: the same flow and surroundings give the same objects."""

from collections.abc import Iterator

from orderflow_model.flow import OrderFlow
from orderflow_model.spec.kafka import Provisioner
from orderflow_model.spec.services import Service
from orderflow_operator.kafka.connection import broker
from orderflow_operator.kubernetes.labels import Object
from orderflow_operator.resources import (
    configmap,
    dashboard,
    deployment,
    horizontalpodautoscaler,
    kafkatopic,
    kafkauser,
    migrationjob,
    networkpolicy,
    poddisruptionbudget,
    podmonitor,
    prometheusrule,
    scaledobject,
    service,
    serviceaccount,
    triggerauthentication,
)
from orderflow_operator.resources.autoscaling import Scaler, scaler
from orderflow_operator.resources.build_context import Database, Surroundings


def desired(flow: OrderFlow, around: Surroundings) -> list[Object]:
    """Return every object the flow wants, in the order in which they are best made: what is needed first, first."""
    return [
        *_kafka(flow, around),
        networkpolicy.build(flow, around),
        *(built for entry in flow.spec.services for built in _service(flow, entry, around)),
        *_monitoring(flow, around),
    ]


def by_lag(flow: OrderFlow, around: Surroundings) -> list[Service]:
    """Return the services that KEDA scales."""
    return [entry for entry in flow.spec.services if scaler(entry, around.keda) is Scaler.LAG]


def _kafka(flow: OrderFlow, around: Surroundings) -> Iterator[Object]:
    strimzi = flow.spec.kafka.provisioner is Provisioner.STRIMZI
    scaled = by_lag(flow, around)
    reach = broker(flow)
    if strimzi:
        yield from kafkatopic.build(flow)
        yield from (kafkauser.build(flow, entry) for entry in flow.spec.services)
    if strimzi and scaled:
        yield kafkauser.build_autoscaler(flow, scaled)
    if scaled and reach.mechanism:
        yield configmap.build_autoscaler(flow)
    if scaled and triggerauthentication.is_needed(reach):
        yield triggerauthentication.build(flow, reach)


def _service(flow: OrderFlow, entry: Service, around: Surroundings) -> Iterator[Object]:
    yield serviceaccount.build(flow, entry.name)
    yield configmap.build(flow, entry.name)
    yield migrationjob.build(flow, entry, around.database or Database(), around.proofs.migrations.get(entry.name, ""))
    yield service.build(flow, entry.name)
    if entry.scale.max > 1:
        yield poddisruptionbudget.build(flow, entry.name)
    yield deployment.build(flow, entry, around)
    match scaler(entry, around.keda):
        case Scaler.LAG:
            yield scaledobject.build(flow, entry)
        case Scaler.LOAD:
            yield horizontalpodautoscaler.build(flow, entry)


def _monitoring(flow: OrderFlow, around: Surroundings) -> Iterator[Object]:
    if around.monitoring is not None:
        yield podmonitor.build(flow, around.monitoring)
        yield prometheusrule.build(flow, around.monitoring)
        yield dashboard.build(flow)
