"""Lint of one flow: what its parts cannot see for themselves. Pure.

Called at loading, at admission and by `orderflow lint`. An error refuses the flow, a warning does not:

- errors: a subscription that nobody publishes, an event that is not declared, two events on one topic, a
  delivery that contradicts itself once the defaults are filled in, a service called as the sink of `spec.analytics`
  or as a source, a source of which nobody takes the messages;
- warnings: an event that nobody subscribes (the ends of the saga aside: the runtime itself waits for them),
  more consumers than partitions;
- the rules of saga and objectives stand in `saga`, those of Secrets in `secrets`, of topics' settings in
  `topics`, of who shares a process in `placement`, of what is asked of pods in `pods`, of schemas' size in
  `contracts.promise`, of `spec.analytics` in `analytics`, of its lake in `lake`.

Cycles between services are normal in a saga and allowed.
"""

from collections.abc import Iterator
from itertools import islice

from orderflow_model.contracts.promise import lint_promises
from orderflow_model.findings import MOST_SHOWN, Finding, Severity, did_you_mean, path_of
from orderflow_model.flow import OrderFlow
from orderflow_model.lint.analytics import lint_analytics
from orderflow_model.lint.console import lint_console
from orderflow_model.lint.lake import lint_lake
from orderflow_model.lint.placement import lint_placement
from orderflow_model.lint.pods import lint_pods
from orderflow_model.lint.saga import lint_objectives, lint_saga
from orderflow_model.lint.secrets import lint_secrets
from orderflow_model.lint.topics import lint_topics
from orderflow_model.names import dead_letter_topic_name
from orderflow_model.spec.analytics import SINK
from orderflow_model.spec.delivery import DELAY_WITHIN_MAX
from orderflow_model.spec.privacy import PRIVACY
from orderflow_model.spec.services import Service
from orderflow_model.topics import event_topic


def lint(flow: OrderFlow) -> tuple[Finding, ...]:
    """Return what is wrong or odd about the flow, errors first, of each rule as many as a person reads."""
    rules = (
        _subscriptions,
        _publications,
        _silence,
        _topics,
        _services,
        lint_analytics,
        _sources,
        _privacy,
        lint_lake,
        lint_console,
        lint_placement,
        lint_pods,
        lint_promises,
        lint_topics,
        lint_secrets,
        lint_saga,
        lint_objectives,
    )
    findings = [finding for rule in rules for finding in islice(rule(flow), MOST_SHOWN)]
    return tuple(sorted(findings, key=lambda finding: finding.severity is Severity.WARNING))


def _subscriptions(flow: OrderFlow) -> Iterator[Finding]:
    published = flow.spec.published
    for index, service in enumerate(flow.spec.services):
        for position, event in enumerate(service.subscribes):
            if event not in published:
                place = path_of(("spec", "services", index, "subscribes", position))
                yield Finding(place, f"nobody publishes {event}{did_you_mean(event, flow.spec.offered)}")


def _publications(flow: OrderFlow) -> Iterator[Finding]:
    declared = [event.name for event in flow.spec.events]
    for index, service in enumerate(flow.spec.services):
        for position, event in enumerate(service.publishes):
            if event not in declared:
                place = path_of(("spec", "services", index, "publishes", position))
                yield Finding(place, f"{event} is not declared in spec.events{did_you_mean(event, declared)}")


def _silence(flow: OrderFlow) -> Iterator[Finding]:
    published = flow.spec.published
    ends = flow.spec.saga.ends if flow.spec.saga else ()
    awaited = {event for service in flow.spec.services for event in service.subscribes}.union(ends)
    heard = {event for service in flow.services for event in service.subscribes}  # the sink hears what nobody awaits
    for index, event in enumerate(flow.spec.events):
        missing = [word for word, by in (("subscribes", heard), ("publishes", published)) if event.name not in by]
        if event.name not in awaited and missing:
            place = path_of(("spec", "events", index, "name"))
            words = f"nobody {' or '.join(missing)} {event.name}"
            yield Finding(place, words, severity=Severity.WARNING)


def _topics(flow: OrderFlow) -> Iterator[Finding]:
    taken: dict[str, str] = {}
    for service in flow.services:
        dead_letters = dead_letter_topic_name(flow.metadata.name, service.name)
        taken[_as_kafka_compares(dead_letters)] = f"the dead letters of {service.name}"
    for index, event in enumerate(flow.spec.events):
        topic = event_topic(flow, event).name
        owner = taken.setdefault(_as_kafka_compares(topic), event.name)
        if owner != event.name:
            place = path_of(("spec", "events", index, "topic", "name"))
            yield Finding(place, f"topic {topic} is taken by {owner} (Kafka takes '.' and '_' as the same)")


def _as_kafka_compares(topic: str) -> str:
    return topic.replace("_", ".")


def _services(flow: OrderFlow) -> Iterator[Finding]:
    for place, service in flow.services_by_place.items():
        yield from _contradicted_delivery(flow, service, place)
        yield from _pace_of_others(service, place)
        yield from _idle_consumers(flow, service, place)


def _sources(flow: OrderFlow) -> Iterator[Finding]:
    services = [service.name for service in flow.spec.services]
    implied = [SINK] if flow.spec.analytics is not None else []
    for index, source in enumerate(flow.spec.sources):
        if source.name in (*services, *implied):
            place = path_of(("spec", "sources", index, "name"))
            yield Finding(place, f"{source.name} is a service: call the source otherwise")
        if source.into.service not in services:
            place = path_of(("spec", "sources", index, "into", "service"))
            words = f"there is no service {source.into.service}{did_you_mean(source.into.service, services)}"
            yield Finding(place, words)
    for index, group in enumerate(flow.spec.placement.groups if flow.spec.placement else ()):
        for source in flow.spec.sources:
            if source.name in group.services and len(group.services) > 1:
                place = path_of(("spec", "placement", "groups", index, "services"))
                yield Finding(place, f"{source.name} shares no process: it is a source, a program of its own")


def _privacy(flow: OrderFlow) -> Iterator[Finding]:
    if flow.spec.privacy is None:
        return
    names = [service.name for service in flow.spec.services]
    for kind, called in (("services", names), ("sources", [source.name for source in flow.spec.sources])):
        if PRIVACY in called:
            place = f"spec.{kind}[{called.index(PRIVACY)}].name"
            yield Finding(place, f"{PRIVACY} is what spec.privacy calls its schema")
    personal = {event.name for event in flow.spec.events if event.personal_data}
    for index, service in enumerate(flow.spec.services):
        for position, event in enumerate(service.publishes if service.push is not None else ()):
            if event in personal:
                place = path_of(("spec", "services", index, "publishes", position))
                yield Finding(
                    place, f"{event} has personal data, which a dispatcher cannot seal: publish it from Python"
                )
    for index, reader in enumerate(flow.spec.privacy.readers):
        if reader not in names:
            yield Finding(f"spec.privacy.readers[{index}]", f"the flow has no service {reader}")


def _contradicted_delivery(flow: OrderFlow, service: Service, place: str) -> Iterator[Finding]:
    delivery = service.delivery.over(flow.spec.defaults.delivery)
    if delivery.delay.milliseconds > delivery.max_delay.milliseconds:
        effective = f"delay {delivery.delay}, maxDelay {delivery.max_delay} with the defaults filled in"
        yield Finding(f"{place}.delivery", f"{DELAY_WITHIN_MAX} ({effective})")


def _pace_of_others(service: Service, place: str) -> Iterator[Finding]:
    for index, pace in enumerate(service.pace):
        if pace.event not in service.subscribes:
            message = f"{service.name} does not subscribe {pace.event}{did_you_mean(pace.event, service.subscribes)}"
            yield Finding(f"{place}.pace[{index}].event", message)


def _idle_consumers(flow: OrderFlow, service: Service, place: str) -> Iterator[Finding]:
    heard = [event for event in flow.spec.events if event.name in service.subscribes]
    most = max((event_topic(flow, event).partitions for event in heard), default=service.scale.max)
    if service.scale.max > most:
        message = f"{service.scale.max} consumers, but no subscribed topic has more than {most} partitions"
        yield Finding(f"{place}.scale.max", f"{message}: the rest would be idle", severity=Severity.WARNING)
