"""Names derived from a flow and its services: topics, groups, schemas, roles, objects.

Everyone who makes or addresses such a thing calls here, so that a name is formed in one place only.
"""

import re

FLOW_MAX = 30
DEAD_LETTERS = ".dead-letters"
SERVICE_MAX = 22  # flow-service is at most 53, which leaves 10 of 63 for a prefix or suffix (keda-hpa-, -migrate)


def topic_name(flow: str, event: str) -> str:
    """Return the topic of an event that names none itself: `shop.order-created` for ORDER_CREATED."""
    return f"{flow}.{event.lower().replace('_', '-')}"


def group_name(flow: str, service: str) -> str:
    """Return the consumer group of a service: `shop.inventory`."""
    return f"{flow}.{service}"


def dead_letter_topic_name(flow: str, service: str) -> str:
    """Return the topic of a service's dead letters: `shop.inventory.dead-letters`."""
    return f"{group_name(flow, service)}{DEAD_LETTERS}"


def schema_name(service: str) -> str:
    """Return the Postgres schema of a service, within the flow's database: `inventory`."""
    return service.replace("-", "_")


def role_name(flow: str, service: str) -> str:
    """Return the Postgres role of a service: `shop_inventory`."""
    return f"{flow}_{service}".replace("-", "_")


def object_name(flow: str, service: str) -> str:
    """Return the name of a service's Kubernetes objects: `shop-inventory`."""
    return f"{flow}-{service}"


def kafka_user_name(namespace: str, flow: str, service: str) -> str:
    """Return the user of a service on a Kafka that namespaces share: `team-a.shop.inventory`; no part has a dot."""
    return f"{namespace}.{flow}.{service}"


def kafka_lag_user_name(namespace: str, flow: str) -> str:
    """Return the user that looks at a flow's lag there: `team-a.shop`, which no service's user is called."""
    return f"{namespace}.{flow}"


def autoscaler_user_name(flow: str) -> str:
    """Return the Kafka user that looks at a flow's lag: `shop.autoscaler`."""
    return f"{flow}.autoscaler"


def database_secret_name(objects: str) -> str:
    """Return the Secret with a service's database role, by the name of its objects: `shop-inventory.database`."""
    return f"{objects}.database"


def kafka_secret_name(user: str, *, strimzi: bool) -> str:
    """Return the Secret with a Kafka user's password: Strimzi calls it after the user, ours end in `.kafka`."""
    return user if strimzi else f"{user}.kafka"


def token_secret_name(objects: str) -> str:
    """Return the Secret with the console's token, by the name of its objects: `shop-console.token`."""
    return f"{objects}.token"


_SECRET_OF_ANY_FLOW = re.compile(r"[^.]+-[^.]+\.(database|kafka)|[^.]+-console\.token|[^.]+\.autoscaler(\.kafka)?")


def is_platform_secret(name: str) -> bool:
    """Return whether a Secret is called as those that the platform makes for some flow, now or later."""
    return _SECRET_OF_ANY_FLOW.fullmatch(name) is not None
