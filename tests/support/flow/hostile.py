"""Resources that mean harm or make no sense: what to change in a sound flow, and where."""

from typing import Any

from hypothesis import strategies as st

from support.flow.flows import changed, pair, service

Json = dict[str, Any]

_ENV, _IMAGE, _TOPIC = "spec.services.0.env", "spec.services.0.image", "spec.events.0.topic"
_SECRET = {"valueFrom": {"secretKeyRef": {"name": "pair-db", "key": "uri"}}}
_BOTH = {"secretKeyRef": {"name": "a", "key": "b"}, "configMapKeyRef": {"name": "a", "key": "b"}}
_ADMIN = {"provisioner": "Admin"}

CHANGES: dict[str, tuple[str, Any]] = {
    "a line break in a variable": (_ENV, [{"name": "A", "value": "a\nORDERFLOW_CONFIG=/evil"}]),
    "an expansion in a variable": (_ENV, [{"name": "A", "value": "$(ORDERFLOW_DATABASE_URL)"}]),
    "a zero byte in a variable": (_ENV, [{"name": "A", "value": "a\x00b"}]),
    "a huge variable": (_ENV, [{"name": "A", "value": "x" * 100_000}]),
    "a variable of the platform": (_ENV, [{"name": "ORDERFLOW_CONFIG", "value": "/evil"}]),
    "an equals sign in a variable's name": (_ENV, [{"name": "A=B", "value": "c"}]),
    "a variable twice": (_ENV, [{"name": "A", "value": "1"}, {"name": "A", "value": "2"}]),
    "a variable without a value": (_ENV, [{"name": "A"}]),
    "a variable from two places": (_ENV, [{"name": "A", "valueFrom": _BOTH}]),
    "a variable from a field no pod tells": (_ENV, [{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "spec.x"}}}]),
    "the admin's secret in a service": (_ENV, [{"name": "A", **_SECRET}]),
    "a thousand variables": (_ENV, [{"name": f"A{number}", "value": "x"} for number in range(1000)]),
    "a secret of another namespace": ("spec.database.secretKeyRef", {"name": "a", "key": "b", "namespace": "n"}),
    "a secret by a path": ("spec.database.secretKeyRef.name", "../kube-system/a"),
    "a secret key with a slash": ("spec.database.secretKeyRef.key", "../../etc/passwd"),
    "no database": ("spec.database", None),
    "a flow name of 31": ("metadata.name", "a" * 31),
    "a flow name of 63": ("metadata.name", "a" * 63),
    "a flow name of 64": ("metadata.name", "a" * 64),
    "a flow name with a dot": ("metadata.name", "a.b"),
    "a flow name that begins with a digit": ("metadata.name", "1a"),
    "a flow name of Postgres": ("metadata.name", "pg-catalog"),
    "a service name of 63": ("spec.services.0.name", "a" * 63),
    "a service name of 64": ("spec.services.0.name", "a" * 64),
    "service names alike when cut": ("spec.services", [
        service("a" * 62 + "x", publishes=["ASKED"], subscribes=["ANSWERED"]),
        service("a" * 62 + "y", publishes=["ANSWERED"], subscribes=["ASKED"]),
    ]),
    "a service name in capitals": ("spec.services.0.name", "Asker"),
    "a service name with a line break": ("spec.services.0.name", "asker\n"),
    "a service name of Postgres": ("spec.services.0.name", "public"),
    "a service twice": ("spec.services.0.name", "answerer"),
    "a topic name of 250": (f"{_TOPIC}.name", "a" * 250),
    "a topic name of Kafka's own": (f"{_TOPIC}.name", "__consumer_offsets"),
    "a topic called ..": (f"{_TOPIC}.name", ".."),
    "a topic name with a slash": (f"{_TOPIC}.name", "a/b"),
    "a topic name with a line break": (f"{_TOPIC}.name", "a\nb"),
    "two events on one topic": (f"{_TOPIC}.name", "pair.answered"),
    "two events on topics that Kafka confuses": (f"{_TOPIC}.name", "pair_answered"),
    "an event on dead letters": (f"{_TOPIC}.name", "pair.asker.dead-letters"),
    "a million partitions": (f"{_TOPIC}.partitions", 1_000_000),
    "no partition": (f"{_TOPIC}.partitions", 0),
    "partitions below zero": (f"{_TOPIC}.partitions", -6),
    "partitions beyond 64 bits": (f"{_TOPIC}.partitions", 2**70),
    "half a partition": (f"{_TOPIC}.partitions", 1.5),
    "partitions as text": (f"{_TOPIC}.partitions", "6"),
    "ten copies": (f"{_TOPIC}.replicas", 10),
    "no retention": (f"{_TOPIC}.retention", "0s"),
    "retention in years": (f"{_TOPIC}.retention", "1y"),
    "endless retention": (f"{_TOPIC}.retention", "99999999999h"),
    "a compacted topic": (f"{_TOPIC}.config", {"cleanup.policy": "compact"}),
    "retention by the back door": (f"{_TOPIC}.config", {"retention.ms": "1"}),
    "a line break in a topic's setting": (f"{_TOPIC}.config", {"segment.ms": "1\nretention.ms=1"}),
    "a setting with a strange name": (f"{_TOPIC}.config", {"A\nB": "1"}),
    "an event in small letters": ("spec.events.0.name", "asked"),
    "an event twice": ("spec.events.0.name", "ANSWERED"),
    "an event name of 101": ("spec.events.0.name", "A" * 101),
    "201 events": ("spec.events", [{"name": f"E{number}"} for number in range(201)]),
    "no event": ("spec.events", []),
    "no service": ("spec.services", []),
    "51 services": ("spec.services", [service(f"s{number}", publishes=["ASKED"]) for number in range(51)]),
    "a subscription that nobody publishes": ("spec.services.0.subscribes", ["NOTHING"]),
    "an event published but not declared": ("spec.services.0.publishes", ["ASKED", "NOTHING"]),
    "a service without any event": ("spec.services.2", service("idle")),
    "an image with a space": (_IMAGE, "example/a b"),
    "an image with a command": (_IMAGE, "example/a;rm -rf /"),
    "an empty image": (_IMAGE, ""),
    "an image of 513": (_IMAGE, "a" * 513),
    "a command with an escape": ("spec.services.0.command", ["sh", "-c", "a\x1b[2Jb"]),
    "a command with an expansion": ("spec.services.0.command", ["sh", "$(ORDERFLOW_DATABASE_URL)"]),
    "a command of a thousand words": ("spec.services.0.command", ["x"] * 1000),
    "a privileged container": ("spec.services.0.securityContext", {"privileged": True}),
    "the host's network": ("spec.services.0.hostNetwork", True),
    "a volume of the host": ("spec.services.0.volumes", [{"name": "a", "hostPath": {"path": "/"}}]),
    "a port of the system": ("spec.services.0.httpPort", 80),
    "memory below zero": ("spec.services.0.resources", {"limits": {"memory": "-1Gi"}}),
    "memory in exponents": ("spec.services.0.resources", {"limits": {"memory": "1e99"}}),
    "more asked than allowed": (
        "spec.services.0.resources", {"requests": {"memory": "2Gi"}, "limits": {"memory": "1Gi"}},
    ),
    "more at least than at most": ("spec.services.0.scale", {"min": 5, "max": 2}),
    "a billion pods": ("spec.services.0.scale", {"max": 10**9}),
    "no lag": ("spec.services.0.scale", {"lag": 0}),
    "a delay beyond the longest": ("spec.services.0.delivery", {"delay": "10m"}),
    "a thousand retries": ("spec.services.0.delivery", {"retries": 1000}),
    "a bootstrap with Strimzi": ("spec.kafka.bootstrapServers", ["a:9092"]),
    "a cluster by a path": ("spec.kafka.cluster", "../other"),
    "a cluster name no label can hold": ("spec.kafka.cluster", "a" * 64),
    "an unknown provisioner": ("spec.kafka.provisioner", "Magic"),
    "no address of the broker": ("spec.kafka", _ADMIN),
    "an address with a path": ("spec.kafka", _ADMIN | {"bootstrapServers": ["a:9092/evil"]}),
    "an address without a port": ("spec.kafka", _ADMIN | {"bootstrapServers": ["a"]}),
    "an unknown deletion policy": ("spec.deletionPolicy", "Shred"),
    "a field misspelt": ("spec.serivces", []),
    "a saga that begins with its end": ("spec.saga", {"begins": "ASKED", "ends": ["ASKED"], "deadline": "1m"}),
    "a saga of unknown events": ("spec.saga", {"begins": "X", "ends": ["Y"], "deadline": "1m"}),
    "a saga without end": ("spec.saga", {"begins": "ASKED", "ends": [], "deadline": "1m"}),
    "a deadline of a century": ("spec.saga", {"begins": "ASKED", "ends": ["ANSWERED"], "deadline": "876000h"}),
    "an objective without a saga": ("spec.objectives", [{"name": "a", "target": "99", "within": "1s"}]),
    "an objective that is no number": ("spec.objectives", [{"name": "a", "target": "NaN", "within": "1s"}]),
    "a pointer that is none": ("spec.events.0.personalData", ["customer.email"]),
    "two schemas": ("spec.events.0", {
        "name": "ASKED", "schema": {}, "schemaFrom": {"configMapKeyRef": {"name": "a", "key": "b"}},
    }),
    "a schema of a megabyte": ("spec.events.0.schema", {"description": "x" * 1_000_000}),
    "a spec of three megabytes": ("spec.events.0.schema", {"description": "x" * 3_000_000}),
    "a schema of four hundred levels": ("spec.events.0.schema", None),
    "a spec that is a list": ("spec", [1, 2, 3]),
    "a spec that is a text": ("spec", "spec"),
}  # fmt: skip
"""By what it is: the place in the small flow, and the value put there."""


def hostile(name: str) -> Json:
    """Give a resource of the table."""
    place, value = CHANGES[name]
    if name == "a schema of four hundred levels":
        value = {}
        for _ in range(400):
            value = {"properties": value}
    return changed(pair(), place, value)


_STRANGE = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**66), 2**66),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=60),
    st.sampled_from(["", "$(A)", "a\nb", "A" * 300, "../..", "\u202e", "ünïcode", "'; DROP TABLE x; --", "{{ x }}"]),
    st.lists(st.text(max_size=5), max_size=3),
    st.dictionaries(st.text(max_size=5), st.integers(), max_size=2),
)


def places(node: Any, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """Give every place in plain data."""
    below = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    return [path, *(place for step, child in below for place in places(child, (*path, step)))]


@st.composite
def mutations(draw: st.DrawFn, flow: Json) -> Json:
    """Draw a flow with one to three values of its spec replaced by strange ones."""
    made: Json = {**flow, "spec": _copy(flow["spec"])}
    for _ in range(draw(st.integers(1, 3))):
        *steps, last = draw(st.sampled_from([place for place in places(made["spec"]) if place]))
        node = made["spec"]
        for step in steps:
            node = node[step]
        node[last] = draw(_STRANGE)
    return made


def _copy(node: Any) -> Any:
    if isinstance(node, dict):
        return {key: _copy(value) for key, value in node.items()}
    return [_copy(value) for value in node] if isinstance(node, list) else node
