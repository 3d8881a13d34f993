#!/usr/bin/env bash
# Apache Kafka 4.3.1 in KRaft mode, one node, written to by confluent-kafka 2.12.2.
#
# A broker is stopped and its data folder copied; it goes on, and is written to; then the copy is put back and it is
# written to again, with other records. A consumer stands behind what was written in between. One would guess that asking
# where its leader's epoch ends (OffsetForLeaderEpoch, KIP-320), as clients do to notice a log that lost its end, tells that
# its position is none any more. Seen: the restored broker counts its epochs from where the copy had them, so the epoch of
# the consumer's last record is there again, with other records in it, and the position lies within. Epochs tell of an
# election that lost records, not of a copy put back; what tells is the record itself.
#
# Output seen: position 15 in epoch 2: the log's epoch 2 ends at 18; record 14 was b4 and is c4
# shellcheck source=findings/lib.sh
. "$(dirname "$0")/lib.sh"
packages confluent-kafka==2.12.2
cat >"$work/write.py" <<'PYTHON'
import sys

from confluent_kafka import Producer

producer = Producer({"bootstrap.servers": sys.argv[1], "acks": "all"})
for number in range(int(sys.argv[3])):
    producer.produce("t", f"{sys.argv[2]}{number}", partition=0)
assert producer.flush(30) == 0
PYTHON
cat >"$work/last.py" <<'PYTHON'
"""Prints value and leader's epoch of the record at an offset."""
import sys

from confluent_kafka import Consumer, TopicPartition

consumer = Consumer({"bootstrap.servers": sys.argv[1], "group.id": "g", "enable.auto.commit": False})
consumer.assign([TopicPartition("t", 0, int(sys.argv[2]))])
record = consumer.poll(30)
print(record.value().decode(), record.leader_epoch())
consumer.close()
PYTHON
cat >"$work/end.py" <<'PYTHON'
"""Prints the last epoch up to a given one, and where it ends: OffsetForLeaderEpoch, version 3 (protocol guide)."""
import socket
import struct
import sys

(host, port), epoch = sys.argv[1].split(":"), int(sys.argv[2])
partition = struct.pack(">iiii", 1, 0, -1, epoch)  # of one: its number, the current epoch unknown, the one asked for
body = struct.pack(">hhih", 23, 3, 1, -1) + struct.pack(">iih", -2, 1, 1) + b"t" + partition
with socket.create_connection((host, int(port)), 30) as server:
    server.sendall(struct.pack(">i", len(body)) + body)
    answer = server.makefile("rb")
    (size,) = struct.unpack(">i", answer.read(4))
    error, _, found, end = struct.unpack(">hiiq", answer.read(size)[-18:])
assert not error, error
print(found, end)
PYTHON
python=$work/python/bin/python
kafka 4.3.1
"$python" "$work/write.py" "$bootstrap" a 10
halt
cp -a "$work/data" "$work/copy"
start
"$python" "$work/write.py" "$bootstrap" b 5
read -r was epoch < <("$python" "$work/last.py" "$bootstrap" 14)
halt
rm -rf "$work/data"
mv "$work/copy" "$work/data"
start
"$python" "$work/write.py" "$bootstrap" c 8
read -r is _ < <("$python" "$work/last.py" "$bootstrap" 14)
read -r found end < <("$python" "$work/end.py" "$bootstrap" "$epoch")
echo "position 15 in epoch $epoch: the log's epoch $found ends at $end; record 14 was $was and is $is"
[ "$epoch $end $was $is" = "$found 18 b4 c4" ]
