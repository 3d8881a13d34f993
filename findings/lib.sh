# What the findings share: a temporary folder, Python packages in it, and one Apache Kafka of a given version.
# Needs Python 3.11 with venv, Java 17 and Maven. Sourced, not run.
# shellcheck shell=bash
set -euo pipefail
work=$(mktemp -d)
broker=
trap '[ -z "$broker" ] || kill -KILL "$broker" 2>/dev/null; rm -rf "$work"' EXIT

# packages NAME==VERSION...: a virtual environment with these; its python is $work/python/bin/python
packages() {
    python3 -m venv "$work/python"
    "$work/python/bin/pip" install --quiet --disable-pip-version-check "$@"
}

# kafka VERSION: one KRaft node on loopback; sets $bootstrap
kafka() {
    cat >"$work/pom.xml" <<POM
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion><groupId>finding</groupId><artifactId>finding</artifactId><version>1</version>
  <dependencies><dependency>
    <groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>$1</version>
  </dependency></dependencies>
</project>
POM
    mvn -B -q -f "$work/pom.xml" dependency:copy-dependencies "-DoutputDirectory=$work/jars"
    local ports
    ports=$(python3 -c 'import socket
found = [socket.socket() for _ in range(2)]
for one in found: one.bind(("127.0.0.1", 0))
print(*(one.getsockname()[1] for one in found))')
    bootstrap=127.0.0.1:${ports% *}
    cat >"$work/server.properties" <<PROPERTIES
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:${ports#* }
listeners=BROKER://$bootstrap,CONTROLLER://127.0.0.1:${ports#* }
advertised.listeners=BROKER://$bootstrap
listener.security.protocol.map=BROKER:PLAINTEXT,CONTROLLER:PLAINTEXT
inter.broker.listener.name=BROKER
controller.listener.names=CONTROLLER
log.dirs=$work/data
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
PROPERTIES
    java -cp "$work/jars/*" kafka.tools.StorageTool format --cluster-id 5L6g3nShT-eMCtK--X86sw \
        --config "$work/server.properties" >/dev/null 2>&1
    start
}

# start: the node, again where `halt` has stopped it; its data is in $work/data
start() {
    java -Xmx512m -cp "$work/jars/*" kafka.Kafka "$work/server.properties" >"$work/broker.log" 2>&1 &
    broker=$!
    for _ in $(seq 60); do
        ! (exec 3<>"/dev/tcp/${bootstrap/:/\/}") 2>/dev/null || return 0
        sleep 1
    done
    tail "$work/broker.log" >&2
    return 1
}

# halt: the node, in order
halt() {
    kill -TERM "$broker"
    wait "$broker" || true
    broker=
}
