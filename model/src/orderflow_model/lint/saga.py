"""Lint of saga and objectives: whether every run can end, and every step can be taken back.

Pure; a part of `flow`. A *step* is defined on services, since a resource says who hears and who says what,
not which of a service's events follows which. Between beginning and end, a service S is a step when a later
participant can fail after it: when S publishes some event (those that report a compensation aside) to another
service T that publishes too. The service that begins the run is neither: its cancellation is an end. A step
none of whose events is undone leaves its work standing when T fails; lint warns. It cannot tell that a service
needs two compensations and has one.
"""

from collections.abc import Iterator

from orderflow_model.findings import Finding, Severity, did_you_mean
from orderflow_model.flow import OrderFlow, Spec
from orderflow_model.spec.saga import Saga
from orderflow_model.spec.services import Service


def lint_saga(flow: OrderFlow) -> Iterator[Finding]:
    """Yield what is wrong or odd about the saga."""
    saga = flow.spec.saga
    if saga is None:
        return
    reached = _reached(flow.spec, saga.begins)
    yield from _unpublished(flow.spec, saga)
    yield from _unreachable_ends(flow.spec, saga, reached)
    yield from _idle_compensations(flow.spec, saga, reached)
    yield from _steps_never_undone(flow.spec, saga, reached)


def lint_objectives(flow: OrderFlow) -> Iterator[Finding]:
    """Yield what is wrong or odd about the objectives."""
    saga = flow.spec.saga
    for index, objective in enumerate(flow.spec.objectives):
        place = f"spec.objectives[{index}]"
        if saga is None:
            yield Finding(place, "an objective counts runs from beginning to end, so it needs spec.saga")
        elif objective.within.milliseconds > saga.deadline.milliseconds:
            message = f"every run is ended by its deadline of {saga.deadline}, so this can hardly be missed"
            yield Finding(f"{place}.within", message, severity=Severity.WARNING)


def _reached(spec: Spec, begins: str) -> set[str]:
    """Return the events that can follow: whoever hears one of them may say all that it publishes."""
    reached, news = {begins}, {begins}
    while news:
        hearing = (service for service in spec.services if news.intersection(service.subscribes))
        news = {event for service in hearing for event in service.publishes} - reached
        reached |= news
    return reached


def _named(saga: Saga) -> Iterator[tuple[str, str]]:
    yield "spec.saga.begins", saga.begins
    for index, event in enumerate(saga.ends):
        yield f"spec.saga.ends[{index}]", event
    for index, compensation in enumerate(saga.compensations):
        yield f"spec.saga.compensations[{index}].undo", compensation.undo
        yield f"spec.saga.compensations[{index}].by", compensation.by


def _unpublished(spec: Spec, saga: Saga) -> Iterator[Finding]:
    for place, event in _named(saga):
        if event not in spec.published:
            yield Finding(place, f"nobody publishes {event}{did_you_mean(event, spec.offered)}")


def _unreachable_ends(spec: Spec, saga: Saga, reached: set[str]) -> Iterator[Finding]:
    for index, event in enumerate(saga.ends):
        if event in spec.published and event not in reached:
            message = f"{event} cannot be reached: no chain of services leads there from {saga.begins}"
            yield Finding(f"spec.saga.ends[{index}]", message)


def _idle_compensations(spec: Spec, saga: Saga, reached: set[str]) -> Iterator[Finding]:
    for index, compensation in enumerate(saga.compensations):
        for field, event in (("undo", compensation.undo), ("by", compensation.by)):
            if event in spec.published and event not in reached:
                message = f"{event} never happens in a run: no chain of services leads there from {saga.begins}"
                place = f"spec.saga.compensations[{index}].{field}"
                yield Finding(place, message, severity=Severity.WARNING)


def _steps_never_undone(spec: Spec, saga: Saga, reached: set[str]) -> Iterator[Finding]:
    undone = {compensation.undo for compensation in saga.compensations}
    for index, service in enumerate(spec.services):
        later = _later_participants(spec, saga, service)
        if later and reached.intersection(service.subscribes) and not undone.intersection(service.publishes):
            message = (
                f"{service.name} goes before {', '.join(later)}, and no compensation undoes any of its "
                "events: its work would stand if a later service fails"
            )
            yield Finding(f"spec.services[{index}].publishes", message, severity=Severity.WARNING)


def _later_participants(spec: Spec, saga: Saga, service: Service) -> list[str]:
    if saga.begins in service.publishes:
        return []
    said = set(service.publishes) - {compensation.by for compensation in saga.compensations}
    return [
        other.name
        for other in spec.services
        if other is not service
        and other.publishes
        and saga.begins not in other.publishes
        and said.intersection(other.subscribes)
    ]
