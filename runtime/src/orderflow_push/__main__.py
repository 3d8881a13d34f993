"""The dispatcher as a service of the runtime: `python -m orderflow_push`; `spec.services[].push` implies it.

It is the same for every program: which events there are, and how they are handed on, its part of the resource says.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial

from orderflow_contracts.event import Event
from orderflow_contracts.raw_event import RawEvent
from orderflow_model import environment
from orderflow_model.service_config import Channel, PushConfig
from orderflow_model.spec.push import PushProtocol
from orderflow_push.app import App
from orderflow_push.contracts import Vocabulary
from orderflow_push.dapr import DaprRecipient
from orderflow_push.intake import Publish, make_app, publish
from orderflow_push.knative import CloudEventsRecipient
from orderflow_runtime import (
    MisconfiguredError,
    Received,
    Recipient,
    Service,
    Settings,
    Transaction,
    main,
    required,
    whole_number,
)


def build(settings: Settings) -> Service:
    """Return the service of a dispatcher; raise `MisconfiguredError`."""
    config = settings.config
    if config.push is None:
        raise MisconfiguredError(f"service {config.service} has no push in the resource: nobody is handed its events")
    required(settings.env, environment.APP_PORT)
    app = App(whole_number(settings.env, environment.APP_PORT, 0, 65_535), config.delivery.timeout_ms / 1000)
    vocabulary = Vocabulary((channel.event for channel in config.publishes), config.push.contracts)
    return Service(
        name=config.service,
        handlers={RawEvent.named(channel.event): publish_replies for channel in config.subscribes},
        publishes=vocabulary.classes,
        commands={Publish: publish},
        app=partial(make_app, vocabulary, _by_topic(config.publishes)),
        recipient=_recipient(app, config.push, vocabulary, config.subscribes),
        close=app.close,
    )


async def publish_replies(events: Sequence[Received[RawEvent]], tx: Transaction) -> list[Event]:
    """Publish what the program answered with."""
    return [reply for one in events for reply in one.replies]


def _recipient(app: App, push: PushConfig, vocabulary: Vocabulary, subscribes: Sequence[Channel]) -> Recipient:
    if push.protocol is PushProtocol.DAPR:
        return DaprRecipient(app, _by_topic(subscribes), push.concurrency)
    return CloudEventsRecipient(app, push.path, vocabulary, push.concurrency, push.batch)


def _by_topic(channels: Iterable[Channel]) -> Mapping[str, str]:
    """Return events by their own names and by those of their topics."""
    return {name: channel.event for channel in channels for name in (channel.topic, channel.event)}


if __name__ == "__main__":
    main(build)
