"""The versions that the README says are tested are those that the tests take."""

import re
import tomllib

import pytest
import yaml

from orderflow_cli.servers.kafka_jars import KAFKA_VERSION
from support.cluster.crds import STRIMZI
from support.tools.go_tools import KUBERNETES
from support.tools.workflows import ROOT

TOOLS = ROOT / "tests" / "tools"


def told() -> dict[str, set[str]]:
    """Return the README's matrix: the version numbers of each row, by what stands in its first cell."""
    text = (ROOT / "README.md").read_text().partition("### Tested with\n")[2].partition("\n### ")[0]
    rows = [line.strip("|").split("|") for line in text.splitlines() if line.startswith("| ")][1:]
    return {row[0].strip(): set(re.findall(r"\d+(?:\.\d+)*", row[1])) for row in rows}


def pinned(tool: str, *modules: str) -> set[str]:
    """Return the versions of modules that a go.mod of the tests pins."""
    text = (TOOLS / tool / "go.mod").read_text()
    return {re.findall(rf"{re.escape(module)} v([\d.]+)", text)[0] for module in modules}


def of_workflow() -> tuple[set[str], set[str]]:
    """Return the Kubernetes versions of kind and the Python versions that GitHub runs."""
    jobs = yaml.safe_load((ROOT / ".github/workflows/ci.yaml").read_text())["jobs"]
    pythons = {entry["python"] for entry in jobs["test"]["strategy"]["matrix"]["include"]}
    return set(jobs["e2e"]["strategy"]["matrix"]["kubernetes"]), pythons


def beside() -> set[str]:
    """Return the Kafkas that one test tries beside the one that all use."""
    text = (ROOT / "tests/integration/runtime/test_kafka_versions.py").read_text()
    return set(re.findall(r"[\d.]+", re.findall(r"^OTHERS = \((.*)\)$", text, re.MULTILINE)[0]))


def chart(section: str) -> str:
    """Return the version of the image that the platform's chart starts."""
    values = yaml.safe_load((ROOT / "charts/orderflow-platform/values.yaml").read_text())
    image: str = (values["kafka"]["broker"] if section == "kafka" else values[section])["image"]
    return image.rpartition(":")[2]


@pytest.mark.parametrize(
    ("what", "tested"),
    [
        ("Kafka", {KAFKA_VERSION, *beside()}),
        ("Kubernetes", {".".join(KUBERNETES.removeprefix("v").split(".")[:2]), *of_workflow()[0]}),
        ("Strimzi", {STRIMZI}),
        (
            "KEDA, Prometheus operator, cert-manager",
            pinned(
                "crds",
                "github.com/kedacore/keda/v2",
                "github.com/prometheus-operator/prometheus-operator",
                "github.com/cert-manager/cert-manager",
            ),
        ),
        ("Helm", pinned("helm", "helm.sh/helm/v3", "helm.sh/helm/v4")),
        ("Python", of_workflow()[1]),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_readme_names_what_is_tested(what: str, tested: set[str]) -> None:
    """Neither a version that no test has, nor a test's version that is not told."""
    assert told()[what] == tested


def test_the_charts_kafka_is_the_tests_kafka() -> None:
    """What is installed to try it out is what was tested; so is Postgres, beside that of the tests."""
    assert chart("kafka") == KAFKA_VERSION
    assert chart("postgres") in told()["Postgres"]


def test_prometheus_is_the_one_that_is_named() -> None:
    """The module's number stands there, and the release that it is."""
    (version,) = pinned("prometheus", "github.com/prometheus/prometheus")
    assert {version, f"3.{version.split('.')[1][1:]}"} <= told()["Prometheus"]


def test_the_oldest_python_is_tested() -> None:
    """What pyproject.toml allows at least is among those that run the unit tests."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["requires-python"].removeprefix(">=") in told()["Python"]
