"""From a flow to all the objects it wants. Pure: the same flow and context give the same objects."""

from collections.abc import Iterator

from orderflow_model.flow import OrderFlow
from orderflow_model.placement import ServiceProcess, processes
from orderflow_model.spec.kafka import Provisioner
from orderflow_model.spec.services import Service
from orderflow_operator.kafka.connection import KafkaConnection, kafka_connection
from orderflow_operator.kubernetes.labels import Object
from orderflow_operator.kubernetes.wanted_object import WantedObject
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


def desired(flow: OrderFlow, context: BuildContext) -> list[WantedObject]:
    """Return every object the flow wants, in the order in which they are best made: what is needed first, first."""
    return list(map(WantedObject, _objects(flow, context, kafka_connection(flow))))


def by_lag(flow: OrderFlow, context: BuildContext) -> list[Service]:
    """Return the services whose lag KEDA looks at."""
    scaled = (process for process in processes(flow) if scaler(process, context.keda) is Scaler.LAG)
    return [service for process in scaled for service in process.services if service.subscribes]


def _objects(flow: OrderFlow, context: BuildContext, connection: KafkaConnection) -> Iterator[Object]:
    yield from _kafka(flow, context, connection)
    yield networkpolicy.build(flow, context)
    yield from serviceaccount.build(flow)
    for process in processes(flow):
        yield from _process(flow, process, context, connection)
    yield from _monitoring(flow, context)


def _kafka(flow: OrderFlow, context: BuildContext, connection: KafkaConnection) -> Iterator[Object]:
    strimzi = flow.spec.kafka.provisioner is Provisioner.STRIMZI
    scaled = by_lag(flow, context)
    if strimzi:
        yield from kafkatopic.build(flow)
        yield from (kafkauser.build(flow, entry) for entry in flow.services if entry.uses_kafka)
    if strimzi and scaled:
        yield kafkauser.build_autoscaler(flow, scaled)
    if scaled and connection.mechanism:
        yield configmap.build_autoscaler(flow)
    if scaled and triggerauthentication.is_needed(connection):
        yield triggerauthentication.build(flow, connection)


def _process(
    flow: OrderFlow, process: ServiceProcess, context: BuildContext, connection: KafkaConnection
) -> Iterator[Object]:
    """Yield what each service has by itself, then what they have together: pods, and who scales and guards them."""
    for one in process.services:
        yield migrationjob.build(flow, one, context)
        yield service.build(flow, one.name, process)
    if poddisruptionbudget.is_needed(process, context):
        yield poddisruptionbudget.build(flow, process.name)
    yield deployment.build(flow, process, context, connection)
    match scaler(process, context.keda):
        case Scaler.LAG:
            yield scaledobject.build(flow, process, connection)
        case Scaler.LOAD:
            yield horizontalpodautoscaler.build(flow, process)


def _monitoring(flow: OrderFlow, context: BuildContext) -> Iterator[Object]:
    if context.monitoring is not None:
        yield podmonitor.build(flow, context.monitoring)
        yield prometheusrule.build(flow, context.monitoring)
        yield dashboard.build(flow)
