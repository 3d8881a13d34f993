"""`pod`: what is asked of pods besides, by the defaults and by a service, and what is refused of it where."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from orderflow_model.findings import InvalidResourceError
from orderflow_model.flow import OrderFlow
from orderflow_model.lint.flow import lint
from orderflow_model.lint.secrets import foreign_secrets
from orderflow_model.loading.load import parse_flow

Json = dict[str, Any]
DOCS = Path(__file__).parents[3] / "docs"


def asked(document: Json, pod: Json, defaults: Json | None = None) -> OrderFlow:
    """Return the reference flow with what is asked of the order service's pods and of all."""
    document["spec"]["services"][0]["pod"] = pod
    document["spec"].setdefault("defaults", {})["pod"] = defaults or {}
    return parse_flow(document)


def test_a_service_s_own_word_goes_before_the_defaults(document: Json) -> None:
    """Field by field, but labels and annotations key by key; what nobody says is not there."""
    flow = asked(
        document,
        {"labels": {"team": "orders"}, "tolerations": [], "probes": {"liveness": {"timeoutSeconds": 9}}},
        {
            "labels": {"team": "all", "cost-centre": "4711"},
            "tolerations": [{"operator": "Exists"}],
            "nodeSelector": {"a": "b"},
        },
    )
    order, payment = flow.pod(flow.service("order")), flow.pod(flow.service("payment"))
    assert order.labels == {"team": "orders", "cost-centre": "4711"}
    assert (order.tolerations, order.node_selector) == ((), {"a": "b"})
    assert payment.labels == {"team": "all", "cost-centre": "4711"}
    assert [one.operator for one in payment.tolerations or ()] == ["Exists"]
    assert payment.affinity is None


REFUSED = [
    ({"labels": {"orderflow.dev/flow": "x"}}, "labels", "are set by the platform"),
    ({"labels": {"app.kubernetes.io/name": "x"}}, "labels", "are set by the platform"),
    ({"labels": {"-a": "x"}}, "labels.-a", "does not match"),
    ({"labels": {"a": "not a value"}}, "labels.a", "does not match"),
    ({"annotations": {"orderflow.dev/config": "x"}}, "annotations", "are set by the platform"),
    ({"hostNetwork": True}, "hostNetwork", "unknown field"),
    ({"volumes": [{"name": "a", "hostPath": {"path": "/"}}]}, "volumes[0].hostPath", "unknown field"),
    ({"volumes": [{"name": "a"}]}, "volumes[0]", "exactly one of configMap, secret, emptyDir and csi"),
    ({"volumes": [{"name": "config", "emptyDir": {}}]}, "volumes[0].name", "the platform's"),
    ({"volumes": [{"name": "a", "emptyDir": {}}, {"name": "a", "emptyDir": {}}]}, "volumes", "twice"),
    ({"volumeMounts": [{"name": "a", "mountPath": "/etc/orderflow/x"}]}, "volumeMounts[0].mountPath", "the platform's"),
    ({"volumeMounts": [{"name": "a", "mountPath": "x"}]}, "volumeMounts[0].mountPath", "does not match"),
    ({"envFrom": [{"prefix": "A_"}]}, "envFrom[0]", "exactly one of configMapRef and secretRef"),
    ({"caBundle": {}}, "caBundle", "exactly one of"),
    ({"tolerations": [{"operator": "Exists", "value": "x", "key": "a"}]}, "tolerations[0]", "takes no value"),
    ({"tolerations": [{"value": "x"}]}, "tolerations[0]", "has to be Exists"),
    (
        {"tolerations": [{"key": "a", "value": "x", "tolerationSeconds": 3}]},
        "tolerations[0]",
        "needs effect NoExecute",
    ),
    (
        {"topologySpreadConstraints": [
            {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway", "minDomains": 2}
        ]},
        "topologySpreadConstraints[0]",
        "needs whenUnsatisfiable DoNotSchedule",
    ),
    ({"probes": {"liveness": {"periodSeconds": 0}}}, "probes.liveness.periodSeconds", "greater"),
]  # fmt: skip


@pytest.mark.parametrize(("pod", "place", "words"), REFUSED, ids=lambda value: str(value)[:40])
def test_what_cannot_be_asked_is_refused_where_it_stands(document: Json, pod: Json, place: str, words: str) -> None:
    """Rights, hosts and what is the platform's are no fields; the rest is judged as Kubernetes judges it."""
    with pytest.raises(InvalidResourceError) as refused:
        asked(document, pod)
    found = {finding.path: finding.message for finding in refused.value.findings}
    assert f"spec.services[0].pod.{place}" in found, found
    assert words in found[f"spec.services[0].pod.{place}"]


def test_a_mount_needs_its_volume_and_an_end_its_time(document: Json) -> None:
    """The volume may stand in the defaults; grace begins with the drain."""
    volumes = [{"name": "cache", "emptyDir": {}}]
    mounted = {"volumeMounts": [{"name": "cach", "mountPath": "/cache"}], "terminationGracePeriodSeconds": 5}
    found = {finding.path: finding.message for finding in lint(asked(document, mounted, {"volumes": volumes}))}
    assert found == {
        "spec.services[0].pod.volumeMounts[0]": "order has no volume cach; did you mean cache?",
        "spec.services[0].pod.terminationGracePeriodSeconds": "order serves on for 5 s (httpDrain) and would be "
        "killed after 5 s",
    }


def test_services_of_one_process_ask_the_same_of_its_pods(document: Json) -> None:
    """Each that differs is told; what all are to have is said in the defaults."""
    document["spec"]["placement"] = {"mode": "Together"}
    found = [finding.path for finding in lint(asked(document, {"labels": {"team": "orders"}}))]
    assert found == [f"spec.services[{index}].pod" for index in range(1, 5)]
    assert lint(asked(document, {}, {"labels": {"team": "orders"}})) == ()


NAMES = {
    "volumes[0].secret": {"volumes": [{"name": "a", "secret": {"secretName": "N"}}]},
    "envFrom[0].secretRef": {"envFrom": [{"secretRef": {"name": "N"}}]},
    "caBundle.secretKeyRef": {"caBundle": {"secretKeyRef": {"name": "N", "key": "ca"}}},
}


def named(pod: Any, name: str) -> Any:
    """Return it with a Secret's name."""
    if isinstance(pod, dict):
        return {key: named(value, name) for key, value in pod.items()}
    return [named(one, name) for one in pod] if isinstance(pod, list) else pod.replace("N", name)


@pytest.mark.parametrize("place", NAMES)
def test_a_secret_that_reaches_a_pod_is_looked_at_however_it_does(document: Json, place: str) -> None:
    """What another service proves itself with is refused; any other has to be marked by its owner as for flows."""
    theirs = asked(document, named(NAMES[place], "shop-payment.database"))
    (finding,) = lint(theirs)
    assert finding.path == f"spec.services[0].pod.{place}"
    assert "payment proves itself" in finding.message
    for everyones in (asked(document, {}, named(NAMES[place], name)) for name in ("shop-db", "shop-order.database")):
        assert {finding.path for finding in lint(everyones)} == {f"spec.defaults.pod.{place}"}
    marked = asked(document, named(NAMES[place], "vault"))
    assert f"spec.services[0].pod.{place}" in {one.place for one in foreign_secrets(marked)}


def test_a_command_may_be_a_script_of_several_lines(document: Json) -> None:
    """It reaches the container as it was written."""
    document["spec"]["services"][0]["command"] = ["sh", "-c", "set -e\n\techo begins\nexec serve\n"]
    assert asked(document, {}).service("order").command[2].count("\n") == 3


def test_a_variable_may_be_a_field_of_the_pod(document: Json) -> None:
    """Such as its name or node; of what a pod does not tell of itself there is none."""
    env = document["spec"]["services"][0]["env"] = [
        {"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}}
    ]
    assert lint(asked(document, {})) == ()
    env[0]["valueFrom"]["fieldRef"]["fieldPath"] = "spec.containers"
    with pytest.raises(InvalidResourceError, match="fieldPath"):
        asked(document, {})


def test_the_page_s_example_holds(document: Json) -> None:
    """What docs/pods.md shows can be pasted."""
    shown = yaml.safe_load((DOCS / "pods.md").read_text().partition("```yaml\n")[2].partition("```")[0])["spec"]
    (payment,) = shown["services"]
    flow = asked(document, payment["pod"], shown["defaults"]["pod"])
    assert lint(flow) == ()
    assert flow.pod(flow.service("order")).image_pull_secrets == flow.spec.defaults.pod.image_pull_secrets
