"""What is asked of pods besides stands in the Deployment, in the jobs as far as it concerns them, and no more."""

import copy
from collections.abc import Callable
from typing import Any

from orderflow_model.loading.load import parse_flow
from orderflow_operator.resources import removaljob

Json = dict[str, Any]
Built = dict[tuple[str, str], Json]

PUSH = {"protocol": "CloudEvents", "port": 8081, "path": "/events"}
POD: Json = {
    "labels": {"cost-centre": "4711"},
    "annotations": {"sidecar.istio.io/inject": "true"},
    "imagePullSecrets": [{"name": "registry"}],
    "nodeSelector": {"disk": "ssd"},
    "tolerations": [{"key": "dedicated", "value": "events", "effect": "NoSchedule"}],
    "affinity": {
        "podAntiAffinity": {
            "preferredDuringSchedulingIgnoredDuringExecution": [
                {"weight": 100, "podAffinityTerm": {"topologyKey": "kubernetes.io/hostname"}}
            ]
        },
        "nodeAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": {
                "nodeSelectorTerms": [
                    {
                        "matchExpressions": [
                            {"key": "topology.kubernetes.io/zone", "operator": "In", "values": ["a", "b"]}
                        ]
                    }
                ]
            }
        },
    },
    "topologySpreadConstraints": [
        {"maxSkew": 1, "topologyKey": "topology.kubernetes.io/zone", "whenUnsatisfiable": "ScheduleAnyway"}
    ],
    "priorityClassName": "orders",
    "serviceAccount": {"annotations": {"eks.amazonaws.com/role-arn": "orders"}},
    "volumes": [{"name": "rules", "configMap": {"name": "rules", "items": [{"key": "a", "path": "a.json"}]}}],
    "volumeMounts": [{"name": "rules", "mountPath": "/rules", "readOnly": True}],
    "caBundle": {"configMapKeyRef": {"name": "roots", "key": "ca.pem"}},
    "envFrom": [{"prefix": "FLAG_", "configMapRef": {"name": "flags"}}],
    "probes": {"startup": {"failureThreshold": 600}, "liveness": {"path": "/alive", "timeoutSeconds": 9}},
    "terminationGracePeriodSeconds": 300,
}


def with_pod(document: Json, pod: Json) -> Json:
    """Return the reference flow with what is asked of its order service's pods."""
    changed = copy.deepcopy(document)
    changed["spec"]["services"][0]["pod"] = pod
    return changed


def test_all_that_is_asked_stands_in_the_deployment(document: Json, build: Callable[..., Built]) -> None:
    """As Kubernetes has it; a term that names no pods means those of the service."""
    built = build(parse_flow(with_pod(document, POD)))
    template = built["Deployment", "shop-order"]["spec"]["template"]
    spec, own = template["spec"], {"orderflow.dev/flow": "shop", "orderflow.dev/service": "order"}
    (container,) = spec["containers"]
    assert template["metadata"]["labels"]["cost-centre"] == "4711"
    assert template["metadata"]["annotations"]["sidecar.istio.io/inject"] == "true"
    for same in ("imagePullSecrets", "nodeSelector", "priorityClassName", "terminationGracePeriodSeconds"):
        assert spec[same] == POD[same]
    assert spec["tolerations"] == [POD["tolerations"][0] | {"operator": "Equal"}]
    (spread,) = spec["topologySpreadConstraints"]
    assert spread["labelSelector"] == {"matchLabels": own}
    (preferred,) = spec["affinity"]["podAntiAffinity"]["preferredDuringSchedulingIgnoredDuringExecution"]
    assert preferred["podAffinityTerm"]["labelSelector"] == {"matchLabels": own}
    assert spec["affinity"]["nodeAffinity"] == POD["affinity"]["nodeAffinity"]
    assert spec["serviceAccountName"] == "shop.services.order"
    account = built["ServiceAccount", "shop.services.order"]
    assert account["metadata"]["annotations"] == POD["serviceAccount"]["annotations"]
    assert account["automountServiceAccountToken"] is False
    assert {"name": "rules", "mountPath": "/rules", "readOnly": True} in container["volumeMounts"]
    assert POD["volumes"][0] in spec["volumes"]
    assert container["envFrom"] == POD["envFrom"]
    assert container["startupProbe"]["failureThreshold"] == 600
    assert container["livenessProbe"]["httpGet"]["path"] == "/alive"
    assert (container["livenessProbe"]["timeoutSeconds"], container["livenessProbe"]["periodSeconds"]) == (9, 10)
    assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"


def test_authorities_are_told_to_every_client_that_asks_the_environment(
    document: Json, build: Callable[..., Built]
) -> None:
    """By a file beside the platform's own; a variable that the service sets itself stays."""
    document["spec"]["services"][0]["env"] = [{"name": "SSL_CERT_FILE", "value": "/own.pem"}]
    built = build(parse_flow(with_pod(document, {"caBundle": {"secretKeyRef": {"name": "roots", "key": "ca.pem"}}})))
    spec = built["Deployment", "shop-order"]["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    env = {one["name"]: one.get("value") for one in container["env"]}
    assert (env["SSL_CERT_FILE"], env["REQUESTS_CA_BUNDLE"]) == ("/own.pem", "/etc/orderflow-ca/ca.crt")
    assert {"name": "ca-bundle", "mountPath": "/etc/orderflow-ca", "readOnly": True} in container["volumeMounts"]
    source = {"secretName": "roots", "items": [{"key": "ca.pem", "path": "ca.crt"}]}
    assert {"name": "ca-bundle", "secret": source} in spec["volumes"]


def test_other_services_and_the_container_s_rights_are_as_they_were(
    document: Json, build: Callable[..., Built]
) -> None:
    """Nothing that can be asked takes Pod Security away, and nobody else's pods are begun anew."""
    before, after = (build(parse_flow(one)) for one in (document, with_pod(document, POD)))
    ours = ("Deployment", "shop-order")
    (was,), (now,) = (one[ours]["spec"]["template"]["spec"]["containers"] for one in (before, after))
    assert now["securityContext"] == was["securityContext"]
    lasting = [{key: one for key, one in built.items() if key[0] != "Job"} for built in (before, after)]
    assert {key for key in lasting[0] if lasting[0][key] != lasting[1].get(key)} == {ours}
    assert lasting[1].keys() - lasting[0].keys() == {("ServiceAccount", "shop.services.order")}


def test_jobs_run_where_the_service_does(document: Json, build: Callable[..., Built]) -> None:
    """By the same registry's login, for the same cost centre; a mesh's sidecar would keep a job from its end."""
    flow = parse_flow(with_pod(document, POD))
    migrations = [one for (kind, _), one in build(flow).items() if kind == "Job"]
    of_order = [one for one in migrations if one["spec"]["template"]["spec"].get("priorityClassName") == "orders"]
    for job in (*of_order, removaljob.build(flow, [])):
        template = job["spec"]["template"]
        assert template["spec"]["imagePullSecrets"] == POD["imagePullSecrets"]
        assert template["spec"]["nodeSelector"] == POD["nodeSelector"]
        assert template["metadata"]["labels"]["cost-centre"] == "4711"
        assert "sidecar.istio.io/inject" not in template["metadata"].get("annotations", {})
        assert not {"topologySpreadConstraints", "envFrom"} & template["spec"].keys()


def test_a_program_beside_its_dispatcher_has_what_is_asked_of_its_pod(
    document: Json, build: Callable[..., Built]
) -> None:
    """Files, variables and authorities as the dispatcher; probes are its alone, for its pages are its own."""
    changed = with_pod(document, POD)
    changed["spec"]["services"][0] |= {"image": "shop/order-go:1", "command": [], "push": PUSH, "migrations": None}
    spec = build(parse_flow(changed))["Deployment", "shop-order"]["spec"]["template"]["spec"]
    dispatcher, program = spec["containers"]
    for container in (dispatcher, program):
        assert container["envFrom"] == POD["envFrom"]
        assert POD["volumeMounts"][0] in container["volumeMounts"]
    assert dispatcher["livenessProbe"]["httpGet"]["path"] == "/livez"
    assert program["livenessProbe"] == {"httpGet": {"port": 8081, "path": "/alive"}, "timeoutSeconds": 9}
    assert program["startupProbe"] == {"tcpSocket": {"port": 8081}, "failureThreshold": 600}
