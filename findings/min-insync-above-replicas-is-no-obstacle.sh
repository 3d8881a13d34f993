#!/usr/bin/env bash
# Apache Kafka 4.3.1, written to by confluent-kafka 2.12.2 with acks=all.
#
# A topic has one replica and min.insync.replicas=2. One would guess that a write with acks=all is refused with
# NOT_ENOUGH_REPLICAS, as the setting's description has it. Seen: it is acknowledged; the broker counts no more replicas as
# needed than the topic has. So the setting alone tells nobody that a topic is less safe than was asked for.
#
# Output seen: min.insync.replicas=2, replicas=1: written at offset 0
# shellcheck source=findings/lib.sh
. "$(dirname "$0")/lib.sh"
packages confluent-kafka==2.12.2
kafka 4.3.1
cat >"$work/finding.py" <<'PYTHON'
import sys

from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic

admin = AdminClient({"bootstrap.servers": sys.argv[1]})
for future in admin.create_topics([NewTopic("t", 1, 1, config={"min.insync.replicas": "2"})]).values():
    future.result(30)
resource = ConfigResource("topic", "t")
setting = admin.describe_configs([resource])[resource].result(30)["min.insync.replicas"].value
replicas = len(admin.list_topics("t", timeout=30).topics["t"].partitions[0].replicas)
producer = Producer({"bootstrap.servers": sys.argv[1], "acks": "all", "message.timeout.ms": 15_000})
said = []
producer.produce("t", b"x", on_delivery=lambda error, m: said.append(error or f"written at offset {m.offset()}"))
producer.flush(20)
print(f"min.insync.replicas={setting}, replicas={replicas}: {said[0]}")
PYTHON
seen=$("$work/python/bin/python" "$work/finding.py" "$bootstrap" 2>/dev/null)
echo "$seen"
[ "$seen" = "min.insync.replicas=2, replicas=1: written at offset 0" ]
