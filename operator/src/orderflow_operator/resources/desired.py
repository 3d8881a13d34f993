"""From a flow to all the objects it wants. Pure: the same flow and context give the same objects."""

from collections.abc import Iterator

from orderflow_model.flow import OrderFlow
from orderflow_model.spec.kafka import Provisioner
from orderflow_model.spec.services import Service
from orderflow_operator.kafka.connection import KafkaConnection, kafka_connection
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
from orderflow_operator.resources.build_context import BuildContext


def desired(flow: OrderFlow, context: BuildContext) -> list[Object]:
    """Return every object the flow wants, in the order in which they are best made: what is needed first, first."""
    connection = kafka_connection(flow)
    return [
        *_kafka(flow, context, connection),
        networkpolicy.build(flow, context),
        serviceaccount.build(flow),
        *(built for entry in flow.services for built in _service(flow, entry, context, connection)),
        *_monitoring(flow, context),
    ]


def by_lag(flow: OrderFlow, context: BuildContext) -> list[Service]:
    """Return the services that KEDA scales."""
    return [entry for entry in flow.services if scaler(entry, context.keda) is Scaler.LAG]


def _kafka(flow: OrderFlow, context: BuildContext, connection: KafkaConnection) -> Iterator[Object]:
    strimzi = flow.spec.kafka.provisioner is Provisioner.STRIMZI
    scaled = by_lag(flow, context)
    if strimzi:
        yield from kafkatopic.build(flow)
        yield from (kafkauser.build(flow, entry) for entry in flow.services)
    if strimzi and scaled:
        yield kafkauser.build_autoscaler(flow, scaled)
    if scaled and connection.mechanism:
        yield configmap.build_autoscaler(flow)
    if scaled and triggerauthentication.is_needed(connection):
        yield triggerauthentication.build(flow, connection)


def _service(flow: OrderFlow, entry: Service, context: BuildContext, connection: KafkaConnection) -> Iterator[Object]:
    yield migrationjob.build(flow, entry, context)
    yield service.build(flow, entry.name)
    if poddisruptionbudget.is_needed(entry, context):
        yield poddisruptionbudget.build(flow, entry.name)
    yield deployment.build(flow, entry, context, connection)
    match scaler(entry, context.keda):
        case Scaler.LAG:
            yield scaledobject.build(flow, entry, connection)
        case Scaler.LOAD:
            yield horizontalpodautoscaler.build(flow, entry)


def _monitoring(flow: OrderFlow, context: BuildContext) -> Iterator[Object]:
    if context.monitoring is not None:
        yield podmonitor.build(flow, context.monitoring)
        yield prometheusrule.build(flow, context.monitoring)
        yield dashboard.build(flow)
