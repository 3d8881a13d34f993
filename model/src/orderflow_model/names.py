"""Names derived from a flow and its services: topics, groups, schemas, roles, objects.

Everyone who makes or addresses such a thing calls here, so that a name is formed in one place only.
"""

FLOW_MAX = 30
SERVICE_MAX = 22  # flow-service is at most 53, which leaves 10 of 63 for a prefix or suffix (keda-hpa-, -migrate)


def topic_name(flow: str, event: str) -> str:
    """Return the topic of an event that names none itself: `shop.order-created` for ORDER_CREATED."""
    return f"{flow}.{event.lower().replace('_', '-')}"


def group_name(flow: str, service: str) -> str:
    """Return the consumer group of a service: `shop.inventory`."""
    return f"{flow}.{service}"


def dead_letter_topic_name(flow: str, service: str) -> str:
    """Return the topic of a service's dead letters: `shop.inventory.dead-letters`."""
    return f"{flow}.{service}.dead-letters"


def schema_name(service: str) -> str:
    """Return the Postgres schema of a service, within the flow's database: `inventory`."""
    return service.replace("-", "_")


def role_name(flow: str, service: str) -> str:
    """Return the Postgres role of a service: `shop_inventory`."""
    return f"{flow}_{service}".replace("-", "_")


def object_name(flow: str, service: str) -> str:
    """Return the name of a service's Kubernetes objects: `shop-inventory`."""
    return f"{flow}-{service}"
