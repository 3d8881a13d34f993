"""Start the inventory service: `python -m orderflow_inventory`."""

from orderflow_inventory.handlers import HANDLERS, PUBLISHES
from orderflow_runtime import Measure, Service, Settings, main


def build(settings: Settings) -> Service:
    """Return the service; it needs no settings of its own."""
    return Service(
        name="inventory",
        handlers=HANDLERS,
        publishes=PUBLISHES,
        measures=(
            Measure(
                "orderflow_stock_reserved",
                "Units held for orders and not sold yet",
                "SELECT coalesce(sum(reserved), 0) AS value FROM stock",
            ),
        ),
    )


if __name__ == "__main__":
    main(build)
