"""What the charts make of values: over a matrix of them, objects that Kubernetes takes and pods without rights."""

import base64
import re
import subprocess
from pathlib import Path

import pytest

from orderflow_operator.options import parse
from support.cluster.helm import (
    CASES,
    CHARTS,
    KUBERNETES,
    MAJORS,
    MATRIX,
    OPERATOR,
    PLATFORM,
    Helm,
    Json,
    pod_templates,
)
from support.cluster.openapi import faults

pytestmark = pytest.mark.timeout(1800)  # the first run compiles Helm


@pytest.fixture(scope="session", params=CASES, ids=[f"{chart.name} {name}" for chart, name in CASES])
def rendered(request: pytest.FixtureRequest, helm: Helm) -> list[Json]:
    """What one chart makes of one set of values."""
    chart, name = request.param
    return helm.render(chart, MATRIX[chart][name])


@pytest.mark.parametrize("chart", CHARTS, ids=lambda chart: chart.name)
def test_helm_finds_nothing_to_say(helm: Helm, chart: Path) -> None:
    """`helm lint --strict` is content."""
    assert "0 chart(s) failed" in helm.run("lint", "--strict", chart)


def test_every_object_is_what_its_kind_knows(rendered: list[Json]) -> None:
    """No field that Kubernetes does not know, no number where text belongs, none that is null or missing."""
    assert rendered
    for item in rendered:
        assert faults(item) == [], item["metadata"]["name"]


def test_a_wrong_field_would_be_found(helm: Helm) -> None:
    """The schemas are read to the bottom: a misspelt field, a wrong type and a missing value are told of."""
    pod = next(item for item in helm.render(PLATFORM) if item["kind"] == "StatefulSet")
    container = pod["spec"]["template"]["spec"]["containers"][0]
    container["imagePullPolicies"], container["args"], container["image"] = "Always", "one", None
    del container["name"]
    assert {fault.partition("containers[0]")[2].split(" is ")[0] for fault in faults(pod)} == {
        " knows no imagePullPolicies",
        ".args",
        ".image",
        " has no name",
    }


def test_names_stand_once(rendered: list[Json]) -> None:
    """No two objects of a kind share a name, no variable of a container is given twice (Helm 4 refuses both)."""
    found = [(item["kind"], item["metadata"].get("namespace"), item["metadata"]["name"]) for item in rendered]
    assert len(found) == len(set(found))
    for pod in pod_templates(rendered).values():
        for container in pod["spec"]["containers"]:
            variables = [variable["name"] for variable in container.get("env", [])]
            assert len(variables) == len(set(variables))


def test_objects_are_labelled_and_in_their_namespace(rendered: list[Json]) -> None:
    """Every object says of which release it is; what is namespaced names its namespace, for those who only render."""
    cluster_wide = {"CustomResourceDefinition", "ClusterRole", "ClusterRoleBinding", "ValidatingWebhookConfiguration"}
    for item in rendered:
        assert item["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "Helm"
        assert ("namespace" in item["metadata"]) == (item["kind"] not in cluster_wide), item["metadata"]["name"]


def test_pods_have_no_rights_and_a_read_only_root(rendered: list[Json]) -> None:
    """Every pod is within Pod Security `restricted`, mounts no token unasked, and is bounded in what it takes."""
    for name, pod in pod_templates(rendered).items():
        spec = pod["spec"]
        assert spec["automountServiceAccountToken"] is False, name
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in spec["containers"]:
            security = container["securityContext"]
            assert security["readOnlyRootFilesystem"] is True
            assert security["allowPrivilegeEscalation"] is False
            assert security["capabilities"] == {"drop": ["ALL"]}
            assert set(container["resources"]["limits"]) == {"cpu", "memory", "ephemeral-storage"}


PAYMENT = [{"orderflow.dev/service": "payment"}, {"orderflow.dev/service.payment": "true"}]
"""What tells a pod that has the service payment: alone, and with others."""


def test_payment_reaches_the_provider_from_whatever_process_it_runs_in(newest_helm: Helm) -> None:
    """Its pods have another name where it shares a process, and a flow's own policy lets none of them out there."""
    policies = [item["spec"] for item in newest_helm.render(PLATFORM) if item["kind"] == "NetworkPolicy"]
    selected = [one["podSelector"]["matchLabels"] for one in policies if one["policyTypes"] == ["Egress"]]
    assert all(labels in selected for labels in PAYMENT)


def test_services_and_policies_find_their_pods(helm: Helm) -> None:
    """Every selector of the platform meets labels of a pod that the chart makes, or of a flow's."""
    objects = helm.render(PLATFORM, {"collector": {"enabled": True}})
    pods = [pod["metadata"]["labels"] for pod in pod_templates(objects).values()]
    pods += PAYMENT
    for item in objects:
        spec = item.get("spec", {})
        wanted = {"Service": spec.get("selector"), "NetworkPolicy": spec.get("podSelector", {}).get("matchLabels")}
        if selector := wanted.get(item["kind"]):
            assert any(selector.items() <= labels.items() for labels in pods), item["metadata"]["name"]


def test_another_version_of_the_platform_starts_no_pod_anew(helm: Helm) -> None:
    """No label of Kafka's or Postgres' pods tells the chart's version: an upgrade would restart them under the flow."""
    for pod in pod_templates(helm.render(PLATFORM)).values():
        assert not {"helm.sh/chart", "app.kubernetes.io/version"} & set(pod["metadata"]["labels"])


def test_with_secrets_of_ones_own_each_rendering_is_the_same(helm: Helm) -> None:
    """Who renders without a cluster gives Secrets: none is made, and pods mount those that are given."""
    values = MATRIX[PLATFORM]["with Secrets of one's own"]
    objects = helm.render(PLATFORM, values)
    assert helm.render(PLATFORM, values) == objects
    assert [item["metadata"]["name"] for item in objects if item["kind"] == "Secret"] == []
    mounted = {
        volume["secret"]["secretName"]
        for pod in pod_templates(objects).values()
        for volume in pod["spec"].get("volumes", [])
        if "secret" in volume
    }
    assert mounted == {"my-kafka", "my-postgres"}


def test_what_is_drawn_without_a_cluster_is_said_to_be(helm: Helm) -> None:
    """By itself each rendering draws passwords anew, and the rendered Secrets say so where a person reviews them."""
    texts = [helm.run("template", "x", PLATFORM, "--kube-version", KUBERNETES) for _ in range(2)]
    assert texts[0] != texts[1]
    drawn = [document for document in texts[0].split("---\n") if "kind: Secret" in document and "password:" in document]
    assert len(drawn) == 2
    assert all("this password is another each time" in document for document in drawn)


def test_strimzi_is_used_where_its_api_is_served(helm: Helm) -> None:
    """By itself the platform asks what the cluster serves; a value says otherwise."""
    kinds = {item["kind"] for item in helm.render(PLATFORM, None, "--api-versions", "kafka.strimzi.io/v1/Kafka")}
    assert {"Kafka", "KafkaNodePool"} <= kinds
    told = {"kafka": {"type": "Broker"}}
    kinds = {item["kind"] for item in helm.render(PLATFORM, told, "--api-versions", "kafka.strimzi.io/v1/Kafka")}
    assert "Kafka" not in kinds


def test_rights_end_at_the_namespaces_that_are_watched(helm: Helm) -> None:
    """With `watchNamespaces` the operator may change nothing outside of them: what it has in all only reads."""
    objects = helm.render(OPERATOR, {"watchNamespaces": ["shop", "warehouse"]})
    roles = {item["metadata"]["name"]: item["rules"] for item in objects if item["kind"] == "ClusterRole"}
    everywhere = [item["roleRef"]["name"] for item in objects if item["kind"] == "ClusterRoleBinding"]
    verbs = {verb for name in everywhere for rule in roles[name] for verb in rule["verbs"]}
    assert verbs == {"get", "list", "watch"}
    there = {item["metadata"]["namespace"] for item in objects if item["kind"] == "RoleBinding"}
    assert there == {"shop", "warehouse"}


def test_wrong_flows_are_refused_by_default(helm: Helm) -> None:
    """The webhook is there unasked, before what makes or edits a flow; without the operator it holds up nobody."""
    (found,) = [item for item in helm.render(OPERATOR) if item["kind"] == "ValidatingWebhookConfiguration"]
    (webhook,) = found["webhooks"]
    assert webhook["failurePolicy"] == "Ignore"
    assert [sorted(rule["operations"]) for rule in webhook["rules"]] == [["CREATE", "UPDATE"]]
    off = helm.render(OPERATOR, {"webhook": {"enabled": False}})
    assert not [item for item in off if "webhook" in item["metadata"]["name"] or "Webhook" in item["kind"]]


def test_the_operator_reads_what_the_chart_says_of_the_network(helm: Helm) -> None:
    """Rules and ports are the operator's options; a range of ports is one in its own policy."""
    objects = helm.render(OPERATOR, MATRIX[OPERATOR]["with all there is"])
    (deployment,) = [item for item in objects if item["kind"] == "Deployment"]
    options = parse(deployment["spec"]["template"]["spec"]["containers"][0]["args"])
    assert options.network.egress == tuple(MATRIX[OPERATOR]["with all there is"]["flowEgress"])
    assert options.network.dns_ports == (1053,)
    policies = [item["spec"] for item in objects if item["kind"] == "NetworkPolicy"]
    ports = [port for policy in policies for rule in policy.get("egress", ()) for port in rule.get("ports", ())]
    assert {"protocol": "TCP", "port": 19092, "endPort": 19099} in ports


@pytest.mark.parametrize(("chart", "name"), CASES, ids=[f"{chart.name} {name}" for chart, name in CASES])
def test_every_helm_makes_the_same(scratch: Path, chart: Path, name: str) -> None:
    """What is rendered does not depend on Helm's version but for what is drawn anew each time."""
    older, newer = (known(Helm(scratch, major).render(chart, MATRIX[chart][name])) for major in MAJORS)
    assert older == newer


def known(objects: list[Json]) -> list[Json]:
    """Give objects without what is drawn: data of Secrets, hashes of it, and a certificate's authority."""
    for item in objects:
        for webhook in item.get("webhooks", []):
            webhook["clientConfig"].pop("caBundle", None)
        if item["kind"] == "Secret":
            item["data"] = sorted(item.get("data") or item.get("stringData", {}))
            item.pop("stringData", None)
    return sorted(objects, key=lambda item: (item["kind"], item["metadata"]["name"]))


def test_each_kafka_has_an_id_of_its_own_and_keeps_it(helm: Helm, tmp_path: Path) -> None:
    """Two Kafkas of one id would be taken for one; a second start formats nothing."""
    started = [_started(helm, tmp_path / name) for name in ("one", "other", "one")]
    ids = [re.findall(r"--cluster-id (\S+)", said) for said in started]
    assert ids[0] != ids[1]
    assert [len(found) for found in ids] == [1, 1, 0]
    assert all(len(base64.urlsafe_b64decode(f"{found}==")) == 16 for found in (*ids[0], *ids[1]))


def _started(helm: Helm, root: Path) -> str:
    """Start the broker below `root` as its pod does, with programs that only say what they are given."""
    objects = helm.render(PLATFORM, {"kafka": {"type": "Broker"}})
    script: str = next(one["data"]["start.sh"] for one in objects if "start.sh" in one.get("data", {}))
    data = root / "var/lib/kafka/data/log"
    for name, ends in (("storage", f"mkdir -p {data}; echo formatted > {data}/meta.properties"), ("server-start", "")):
        program = root / f"opt/kafka/bin/kafka-{name}.sh"
        program.parent.mkdir(parents=True, exist_ok=True)
        program.write_text(f'#!/bin/sh\necho "$@"\n{ends}\n')
        program.chmod(0o755)
    (root / "etc/kafka-admin").mkdir(parents=True, exist_ok=True)
    (root / "etc/kafka-admin/password").write_text("secret")
    script = re.sub("/(opt|etc|var)/", rf"{root}/\1/", script)
    return subprocess.run(["bash", "-c", script], check=True, capture_output=True, text=True).stdout
