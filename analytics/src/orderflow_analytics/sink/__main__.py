"""The sink's process: `python -m orderflow_analytics.sink`. It keeps what its part of the resource subscribes."""

from datetime import UTC, datetime

from orderflow_analytics.sink.handlers import sink_service
from orderflow_runtime import Service, Settings, main


def build(settings: Settings) -> Service:
    """Return the sink of the flow's events."""
    events = [channel.event for channel in settings.config.subscribes]
    return sink_service(settings.config.service, events, lambda: datetime.now(UTC).date())


if __name__ == "__main__":
    main(build)
