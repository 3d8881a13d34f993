"""What the dispatcher of a program is told in tests, and what it has published."""

import json
from typing import Any

from orderflow_model.service_config import Channel, DeliveryConfig, PushConfig, ServiceConfig
from orderflow_model.spec.push import PushProtocol
from orderflow_runtime import Settings
from orderflow_runtime.testing import Harness

STRUCTURED, BATCH = "application/cloudevents+json", "application/cloudevents-batch+json"
CONTRACT = {"type": "object", "required": ["ok"], "properties": {"ok": {"type": "boolean"}}}


def settings(port: int, **push: Any) -> Settings:
    """Return what it is told of a program on this port."""
    told = {"protocol": PushProtocol.CLOUD_EVENTS, "path": "/in", "concurrency": 50, "batch": 1} | push
    config = ServiceConfig(
        flow="test",
        service="fraud",
        group="test.fraud",
        dead_letter_topic="test.fraud.dead-letters",
        subscribes=(Channel(event="ASKED", topic="test.asked"),),
        publishes=(Channel(event="CHECKED", topic="test.checked"),),
        delivery=DeliveryConfig(timeout_ms=500),
        inbox_days=1,
        push=PushConfig(**told, contracts={"CHECKED": CONTRACT}),
    )
    return Settings(config, {"ORDERFLOW_APP_PORT": str(port)})


def published(harness: Harness) -> list[tuple[str, dict[str, Any]]]:
    """Return the keys and data of what stands on the topic of CHECKED, a repeat of one record once."""
    records = harness.cluster.records_of("test.checked")
    by_id = {dict(record.headers)["ce_id"]: record for record in records}
    return [((one.key or b"").decode(), json.loads(one.value or b"")) for one in by_id.values()]
