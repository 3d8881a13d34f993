"""The loyalty service's process: `python -m orderflow_loyalty`."""

from orderflow_loyalty.handlers import loyalty_service
from orderflow_runtime import Service, Settings, main


def build(_: Settings) -> Service:
    """Give the service; it needs nothing from its environment."""
    return loyalty_service()


if __name__ == "__main__":
    main(build)
