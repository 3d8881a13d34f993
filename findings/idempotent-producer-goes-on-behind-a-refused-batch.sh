#!/usr/bin/env bash
# aiokafka 0.14.0 with enable_idempotence, on Apache Kafka 4.3.1.
#
# Two batches for one partition are handed in one behind the other; the broker refuses the first as larger than the topic's
# max.message.bytes. One would guess that an idempotent producer writes nothing behind a gap in its sequence numbers. Seen:
# the second is acknowledged, at offset 0: a producer that the broker does not know yet may begin with any number. So order
# is kept only by waiting for each batch's answer before the next is handed in.
#
# Output seen: first: MessageSizeTooLargeError; second: written at offset 0
# shellcheck source=findings/lib.sh
. "$(dirname "$0")/lib.sh"
packages aiokafka==0.14.0 confluent-kafka==2.12.2
kafka 4.3.1
cat >"$work/finding.py" <<'PYTHON'
import asyncio
import sys

from aiokafka import AIOKafkaProducer
from confluent_kafka.admin import AdminClient, NewTopic


async def main(bootstrap: str) -> None:
    admin = AdminClient({"bootstrap.servers": bootstrap})
    for future in admin.create_topics([NewTopic("t", 1, 1, config={"max.message.bytes": "20000"})]).values():
        future.result(30)
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, enable_idempotence=True, max_batch_size=1_000_000)
    await producer.start()
    answers = []
    for size in (50_000, 10):
        batch = producer.create_batch()
        batch.append(key=None, value=b"x" * size, timestamp=None)
        answers.append(await producer.send_batch(batch, "t", partition=0))
    first, second = await asyncio.gather(*answers, return_exceptions=True)
    await producer.stop()
    print(f"first: {type(first).__name__}; second: written at offset {getattr(second, 'offset', second)}")


asyncio.run(main(sys.argv[1]))
PYTHON
seen=$("$work/python/bin/python" "$work/finding.py" "$bootstrap" 2>/dev/null)
echo "$seen"
[ "$seen" = "first: MessageSizeTooLargeError; second: written at offset 0" ]
