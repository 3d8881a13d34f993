"""The doubles themselves: a double that tells other things than Kubernetes and Strimzi do proves nothing."""

import asyncio
import base64
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from support.cluster.api import Api, Json, background
from support.cluster.kafka_rights import KafkaRights
from support.cluster.kubelet import Kubelet, Machine
from support.cluster.pod_status import Fate
from support.cluster.strimzi import Strimzi
from support.flow.fleet import until
from support.tools.names import unique_name
from support.tools.programs import Start, executed, forked
from support.tools.secure_kafka import SecureKafka

HARDENED = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
SERVER = """
import http.server, os
assert open(os.environ["FILE"]).read() == "content", "the mounted file"
address = os.environ["HOST"], int(os.environ["PORT"])
print(os.environ["SECRET"], os.environ["NAME"], os.environ["BROKER"], flush=True)
http.server.HTTPServer(address, http.server.SimpleHTTPRequestHandler).serve_forever()
"""


def template(command: list[str], **more: object) -> Json:
    """Give a pod template that Pod Security `restricted` admits."""
    container = {"name": "c", "image": "i", "command": command, "securityContext": HARDENED} | more
    security = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    return {"securityContext": security, "containers": [container]}


def deployment(name: str, spec: Json) -> Json:
    """Give a Deployment of one pod."""
    labels = {"orderflow.dev/service": name}
    wrapped = {"metadata": {"labels": labels}, "spec": spec}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {"selector": {"matchLabels": labels}, "template": wrapped},
    }


async def test_pods_become_ready_fail_and_recover_as_the_test_says(api: Api, namespace: str) -> None:
    """The real Deployment controller counts the pods that the double plays."""
    kubelet = Kubelet(api, namespace)

    async def ready(number: int) -> bool:
        found = await api.get("Deployment", namespace, "a")
        return bool(found and found.get("status", {}).get("readyReplicas", 0) == number)

    async with background(kubelet.run()):
        await api.apply(deployment("a", template(["x"])), namespace)
        await until(lambda: ready(1), "ready")
        await kubelet.decide("a", Fate.CRASH_LOOP, "boom")
        await until(lambda: ready(0), "crashing")
        (pod,) = await api.list("Pod", namespace)
        (container,) = pod["status"]["containerStatuses"]
        assert container["state"]["waiting"]["reason"] == "CrashLoopBackOff"
        assert container["lastState"]["terminated"]["message"] == "boom"
        await kubelet.decide("a", Fate.READY)
        await until(lambda: ready(1), "ready again")


async def test_a_pods_command_runs_with_its_environment_and_files(api: Api, namespace: str, tmp_path: Path) -> None:
    """Variables, references, mounted files, names of the network and the pod's own address are as the pod has them."""
    env = [
        {"name": "FILE", "value": "/etc/some/file"},
        {"name": "HOST", "value": "0.0.0.0"},  # noqa: S104 - in a pod
        {"name": "PORT", "value": "8080"},
        {"name": "BROKER", "value": "kafka:9093"},
        {"name": "SECRET", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}},
        {"name": "NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
    ]
    probe = {"httpGet": {"path": "/", "port": "http"}}
    ports = [{"name": "http", "containerPort": 8080}]
    mounts = [{"name": "files", "mountPath": "/etc/some"}]
    spec = template(["python", "-c", SERVER], env=env, readinessProbe=probe, ports=ports, volumeMounts=mounts)
    spec["volumes"] = [{"name": "files", "configMap": {"name": "m"}}]
    kubelet = Kubelet(api, namespace, Machine(tmp_path, {"kafka:9093": "127.0.0.1:1234"}))

    async def running() -> bool:
        found = await api.get("Deployment", namespace, "a")
        return bool(found and found.get("status", {}).get("readyReplicas"))

    async with background(kubelet.run()):
        await api.apply(deployment("a", spec), namespace)
        await api.create(
            {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "m"}, "data": {"file": "content"}}, namespace
        )
        secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "stringData": {"k": "hidden"}}
        await api.create(secret, namespace)
        await until(running, "the process answers its readiness probe")
        (pod,) = await api.list("Pod", namespace)
        (process,) = kubelet.processes.values()
        assert process.log.read_text().split()[:3] == ["hidden", pod["metadata"]["name"], "127.0.0.1:1234"]
    assert process.exit_code is not None, "no process outlives the double"


async def test_a_job_ends_as_its_process_does(api: Api, namespace: str, tmp_path: Path) -> None:
    """The real Job controller completes a Job whose process succeeds, and retries one whose process fails."""
    flag = tmp_path / "tried"
    script = f"import pathlib, sys; p = pathlib.Path({str(flag)!r}); e = p.exists(); p.touch(); sys.exit(0 if e else 3)"
    spec = template(["python", "-c", script]) | {"restartPolicy": "Never"}
    job = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "j"}, "spec": {"template": {"spec": spec}}}

    async def complete() -> bool:
        found = await api.get("Job", namespace, "j")
        return bool(found and found.get("status", {}).get("succeeded") == 1)

    async with background(Kubelet(api, namespace, Machine(tmp_path / "pods")).run()):
        await api.create(job, namespace)
        await until(complete, "the Job is complete", 90)
    found = await api.get("Job", namespace, "j")
    assert found
    assert found["status"]["failed"] == 1


async def test_strimzi_makes_topics_users_and_rights_on_a_real_kafka(
    api: Api, namespace: str, secure_kafka: SecureKafka
) -> None:
    """With the user's Secret a topic is seen over TLS where a rule allows it, and not where none does."""
    topic, secret_topic, user = (unique_name("t") for _ in range(3))
    rule = {"type": "allow", "resource": {"type": "topic", "name": topic}, "operations": ["Read", "Describe"]}
    labels = {"strimzi.io/cluster": "events"}
    strimzi = Strimzi(api, namespace, KafkaRights(secure_kafka.bootstrap))
    async with background(strimzi.run()):
        for name in (topic, secret_topic):
            await api.create(custom("KafkaTopic", name, labels, {"partitions": 3, "replicas": 1}), namespace)
        authorization = {"type": "simple", "acls": [rule]}
        spec = {"authentication": {"type": "scram-sha-512"}, "authorization": authorization}
        await api.create(custom("KafkaUser", user, labels, spec), namespace)
        for kind, name in (("KafkaTopic", topic), ("KafkaTopic", secret_topic), ("KafkaUser", user)):
            await until(lambda kind=kind, name=name: is_ready(api, kind, namespace, name), f"{name} is ready")
        secret = await api.get("Secret", namespace, user) or {}
        password = base64.b64decode(secret["data"]["password"]).decode()
        seen = await asyncio.to_thread(secure_kafka.topics_seen, user, password)
        assert topic in seen
        assert secret_topic not in seen
        await api.delete("KafkaTopic", namespace, topic)
        rights = KafkaRights(secure_kafka.bootstrap)
        await until(lambda: asyncio.to_thread(lambda: rights.partitions(topic) == 0), "the topic is gone")


def custom(kind: str, name: str, labels: dict[str, str], spec: Json) -> Json:
    """Give an object of Strimzi's."""
    metadata = {"name": name, "labels": labels}
    return {"apiVersion": "kafka.strimzi.io/v1", "kind": kind, "metadata": metadata, "spec": spec}


async def is_ready(api: Api, kind: str, namespace: str, name: str) -> bool:
    """Whether Strimzi says so."""
    found = await api.get(kind, namespace, name) or {}
    return any(one["status"] == "True" for one in found.get("status", {}).get("conditions", ()))


PROGRAM = """
import json, os, sys, time
print(json.dumps([sys.argv[1:], __name__, os.getcwd(), os.environ["GIVEN"], "HOME" in os.environ, sys.stdin.read()]))
print(os.getpgrp() == os.getpid(), file=sys.stderr)
if sys.argv[1:]: time.sleep(60)
sys.exit(7)
"""


@pytest.mark.parametrize("start", [executed, forked])
@pytest.mark.parametrize("called", [["-m", "program"], ["program.py"]], ids=["a module", "a file"])
def test_a_program_that_is_forked_is_as_one_that_is_executed(start: Start, called: list[str], tmp_path: Path) -> None:
    """Arguments, folder, environment, input, output and end are those that it was given, and a signal reaches it."""
    (tmp_path / "program.py").write_text(PROGRAM)
    log, env = tmp_path / "log", {"GIVEN": "here"}
    assert start(called, log, env, tmp_path).wait(20) == 7
    group, said = sorted(log.read_text().splitlines())
    assert json.loads(said) == [[], "__main__", str(tmp_path), "here", False, ""]
    assert group == "True"
    killed = start([*called, "stay"], log, env, tmp_path)
    with pytest.raises(subprocess.TimeoutExpired):
        killed.wait(0.2)
    assert killed.poll() is None
    killed.kill()
    assert (killed.wait(20), killed.poll(), killed.returncode) == (-signal.SIGKILL,) * 3
    killed.kill()  # what has ended is not signalled


ASKER = """
import os, sys, time
from pathlib import Path
from support.tools.programs import forked
if __name__ == "__main__":
    print(forked(sys.argv[1:], Path("log"), os.environ).pid, flush=True)
    time.sleep(60)
"""


def test_a_fork_ends_with_the_process_that_asked_for_it(tmp_path: Path) -> None:
    """Also with one that is killed, which can end nobody."""
    (tmp_path / "asker.py").write_text(ASKER)
    (tmp_path / "program.py").write_text("import time; time.sleep(60)")
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    asker = subprocess.Popen(
        [sys.executable, "asker.py", "program.py"], cwd=tmp_path, env=env, stdout=subprocess.PIPE, text=True
    )
    with asker:
        pid = int(asker.stdout.readline() if asker.stdout else "")
        assert psutil.pid_exists(pid)
        asker.kill()
    asyncio.run(until(lambda: not psutil.pid_exists(pid), "the fork has ended", 20))
