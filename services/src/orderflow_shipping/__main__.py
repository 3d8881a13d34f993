"""Start the shipping service: `python -m orderflow_shipping`."""

from orderflow_runtime import Measure, Service, Settings, main
from orderflow_shipping.handlers import HANDLERS, PUBLISHES


def build(settings: Settings) -> Service:
    """Return the service; it needs no settings of its own."""
    return Service(
        name="shipping",
        handlers=HANDLERS,
        publishes=PUBLISHES,
        measures=(
            Measure(
                "orderflow_shipped_cents",
                "Worth of all goods on their way, as charged",
                "SELECT coalesce(sum(value), 0) AS value FROM shipment WHERE state = 'CREATED'",
            ),
        ),
    )


if __name__ == "__main__":
    main(build)
