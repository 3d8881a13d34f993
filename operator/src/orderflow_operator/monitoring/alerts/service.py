"""Alerts on each service: it is away, it falls behind, it stands still, or it gives events up.

A gauge that a service measures in its database is the same in all its pods, so the greatest of them is taken.
"""

from collections.abc import Iterator

from orderflow_model.flow import OrderFlow
from orderflow_model.placement import ServiceProcess, processes_by_service
from orderflow_model.spec.delivery import OnExhausted
from orderflow_model.spec.services import Service
from orderflow_operator.monitoring.alerts import thresholds
from orderflow_operator.monitoring.alerts.alert import Alert, Severity
from orderflow_operator.monitoring.alerts.recording import LAG
from orderflow_operator.monitoring.promql import BY_SERVICE, IDENTITY, Scope, lasting

_GROWTH = "10m"
_DEAD_FOR = "1h"
_RECOVERIES, _RECOVERIES_IN = 10, "15m"


def alerts(flow: OrderFlow) -> Iterator[Alert]:
    """Return the alerts on each service, then those that are the same for all."""
    scope = Scope.of(flow)
    running = processes_by_service(flow)
    for service in flow.services:
        yield _down(scope, service, running[service.name])
        if service.subscribes:
            yield _lag_growing(scope, service)
            yield _stalled(flow, scope, service)
            yield _topic_unread(scope, service)
            yield _parked(flow, scope, service)
        if service.publishes:
            yield _outbox(flow, scope, service)
        yield _calls(flow, scope, service)
    yield _dead_letters(scope)
    yield _recoveries(scope)


def _down(scope: Scope, service: Service, process: ServiceProcess) -> Alert:
    return Alert(
        "OrderFlowServiceDown",
        Severity.CRITICAL,
        f"absent({scope.series('up', service=process.name)} == 1)",
        f"No pod of {service.name} answers",
        f"Prometheus has reached no pod of service {service.name} for 2 minutes: none runs, or none serves /metrics.",
        hold=120,
        labels={"service": service.name},
    )


def _lag_growing(scope: Scope, service: Service) -> Alert:
    lag, most = scope.series(LAG, service=service.name), service.scale.max * service.scale.lag
    return Alert(
        "OrderFlowLagGrowing",
        Severity.WARNING,
        f"{lag} > {most} and deriv({lag}[{_GROWTH}]) > 0",
        f"{service.name} falls behind",
        f"{{{{ $value | humanize }}}} events wait for {service.name}, and their number grows; "
        f"its {service.scale.max} pods at most are meant to have {service.scale.lag} each.",
        hold=300,
        labels={"service": service.name},
    )


def _stalled(flow: OrderFlow, scope: Scope, service: Service) -> Alert:
    window = lasting(thresholds.without_batch(thresholds.delivery_of(flow, service)))
    batches = scope.series("orderflow_batch_size_count", service=service.name)
    return Alert(
        "OrderFlowServiceStalled",
        Severity.CRITICAL,
        f"min_over_time({scope.series(LAG, service=service.name)}[{window}]) > 0"
        f" unless sum by ({BY_SERVICE}) (increase({batches}[{window}])) > 0",
        f"{service.name} stands still",
        f"Events have been waiting for {service.name} for {window} (now {{{{ $value | humanize }}}} or more), "
        "and it has committed no batch.",
        hold=60,
        labels={"service": service.name},
    )


def _topic_unread(scope: Scope, service: Service) -> Alert:
    return Alert(
        "OrderFlowTopicUnread",
        Severity.CRITICAL,
        f"max by ({BY_SERVICE}, topic) ({scope.series('orderflow_unread_topic', service=service.name)}) > 0",
        f"{service.name} cannot read topic {{{{ $labels.topic }}}}",
        f"Kafka does not let {service.name} read {{{{ $labels.topic }}}}, or the topic is not there; "
        "its other topics are read.",
        hold=120,
        labels={"service": service.name},
    )


def _parked(flow: OrderFlow, scope: Scope, service: Service) -> Alert:
    delivery = thresholds.delivery_of(flow, service)
    oldest = scope.series("orderflow_parked_oldest_seconds", service=service.name)
    longest = thresholds.parked(delivery)
    end = (
        "it blocks its key until it succeeds"
        if delivery.on_exhausted is OnExhausted.BLOCK
        else "it should have succeeded or become a dead letter"
    )
    return Alert(
        "OrderFlowParkedTooLong",
        Severity.WARNING,
        f"max by ({BY_SERVICE}) ({oldest}) > {longest:.0f}",
        f"{service.name} has retried an event for too long",
        f"The oldest parked event of {service.name} has waited {{{{ $value | humanizeDuration }}}}; "
        f"after {lasting(longest)} {end}.",
        hold=120,
        labels={"service": service.name},
    )


def _outbox(flow: OrderFlow, scope: Scope, service: Service) -> Alert:
    oldest = scope.series("orderflow_outbox_oldest_seconds", service=service.name)
    longest = thresholds.unpublished(thresholds.delivery_of(flow, service))
    return Alert(
        "OrderFlowOutboxStuck",
        Severity.CRITICAL,
        f"max by ({BY_SERVICE}) ({oldest}) > {longest:.0f}",
        f"{service.name} does not publish what it has committed",
        f"A batch of {service.name} has been in its outbox for {{{{ $value | humanizeDuration }}}}; "
        f"{lasting(longest)} is the longest that is normal.",
        hold=120,
        labels={"service": service.name},
    )


def _calls(flow: OrderFlow, scope: Scope, service: Service) -> Alert:
    window = lasting(thresholds.unanswered(thresholds.delivery_of(flow, service)))
    unknown = scope.series("orderflow_calls_total", service=service.name, outcome="unknown")
    every = scope.series("orderflow_calls_total", service=service.name)
    by = f"sum by ({BY_SERVICE}, kind)"
    return Alert(
        "OrderFlowCallsUnknown",
        Severity.WARNING,
        f"{by} (increase({unknown}[{window}])) / {by} (increase({every}[{window}])) > 0.5",
        f"{service.name} gets no answers to its calls {{{{ $labels.kind }}}}",
        f"In the last {window} {{{{ $value | humanizePercentage }}}} of the calls {{{{ $labels.kind }}}} "
        f"of {service.name} had no known outcome; they are asked for again, and what waits for them waits.",
        hold=300,
        labels={"service": service.name},
    )


def _dead_letters(scope: Scope) -> Alert:
    """Return the alert on dead letters.

    A series begins with its first dead letter, of which `increase` knows nothing: the second half sees that one.
    """
    dead = scope.series("orderflow_events_dead_total")
    return Alert(
        "OrderFlowDeadLetters",
        Severity.WARNING,
        f"sum by ({BY_SERVICE}, event) "
        f"(increase({dead}[{_DEAD_FOR}]) > 0 or ({dead} > 0 unless {dead} offset {_DEAD_FOR}))",
        "{{ $labels.service }} gave up events {{ $labels.event }}",
        f"In the last {_DEAD_FOR} {{{{ $value | humanize }}}} events {{{{ $labels.event }}}} went to the dead letters "
        "of {{ $labels.service }}; what depends on them does not go on by itself.",
    )


def _recoveries(scope: Scope) -> Alert:
    recoveries = scope.series("orderflow_recoveries_total")
    return Alert(
        "OrderFlowRecoveriesLooping",
        Severity.WARNING,
        f"sum by ({IDENTITY}, service, pod, reason) (increase({recoveries}[{_RECOVERIES_IN}])) > {_RECOVERIES}",
        "{{ $labels.pod }} begins anew again and again",
        f"{{{{ $labels.pod }}}} has taken all its leases anew {{{{ $value | humanize }}}} times in {_RECOVERIES_IN}, "
        "because of {{ $labels.reason }}.",
    )
