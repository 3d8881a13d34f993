"""What is asked of pods besides, on a real API server: taken as it stands, followed, taken back, and else refused."""

from typing import Any

import pytest

from support.cluster.api import ApiError
from support.cluster.operator_env import OperatorEnv
from support.flow.fleet import until
from support.flow.flows import changed, pair

POD: dict[str, Any] = {
    "labels": {"cost-centre": "4711"},
    "annotations": {"vault.hashicorp.com/agent-inject": "true"},
    "imagePullSecrets": [{"name": "registry"}],
    "nodeSelector": {"disk": "ssd"},
    "tolerations": [
        {"key": "dedicated", "value": "events", "effect": "NoSchedule"},
        {"operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 60},
    ],
    "affinity": {
        "nodeAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": {
                "nodeSelectorTerms": [{"matchExpressions": [{"key": "cores", "operator": "Gt", "values": ["3"]}]}]
            },
            "preferredDuringSchedulingIgnoredDuringExecution": [
                {
                    "weight": 5,
                    "preference": {"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["n"]}]},
                }
            ],
        },
        "podAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": [
                {
                    "topologyKey": "zone",
                    "namespaces": ["cache"],
                    "labelSelector": {"matchExpressions": [{"key": "app", "operator": "Exists"}]},
                }
            ]
        },
        "podAntiAffinity": {
            "preferredDuringSchedulingIgnoredDuringExecution": [
                {"weight": 100, "podAffinityTerm": {"topologyKey": "kubernetes.io/hostname"}}
            ]
        },
    },
    "topologySpreadConstraints": [
        {
            "maxSkew": 1,
            "topologyKey": "topology.kubernetes.io/zone",
            "whenUnsatisfiable": "DoNotSchedule",
            "minDomains": 2,
            "matchLabelKeys": ["pod-template-hash"],
            "nodeTaintsPolicy": "Honor",
        }
    ],
    "serviceAccount": {"annotations": {"example.com/role": "asker"}},
    "volumes": [
        {"name": "rules", "configMap": {"name": "rules", "optional": True}},
        {"name": "cache", "emptyDir": {"medium": "Memory", "sizeLimit": "16Mi"}},
        {"name": "vault", "csi": {"driver": "csi.example.com", "readOnly": True, "volumeAttributes": {"a": "b"}}},
    ],
    "volumeMounts": [
        {"name": "rules", "mountPath": "/rules/a", "subPath": "a", "readOnly": True},
        {"name": "cache", "mountPath": "/cache"},
    ],
    "caBundle": {"configMapKeyRef": {"name": "roots", "key": "ca.pem"}},
    "envFrom": [{"prefix": "FLAG_", "configMapRef": {"name": "flags"}}],
    "probes": {"startup": {"failureThreshold": 600}, "readiness": {"path": "/ready", "initialDelaySeconds": 1}},
    "terminationGracePeriodSeconds": 300,
}  # fmt: skip


async def test_all_that_can_be_asked_is_taken_and_can_be_taken_back(env: OperatorEnv) -> None:
    """Pods come by it, at rest nothing is written, and without it the Deployment is what it was."""
    await env.start()
    await env.apply(pair())
    await env.until_ready("pair")
    before = (await env.made())["Deployment", "pair-asker"]["spec"]["template"]
    await env.apply(changed(pair(), "spec.services.0.pod", POD))

    async def account() -> str:
        template: dict[str, Any] = (await env.made())["Deployment", "pair-asker"]["spec"]["template"]
        return str(template["spec"]["serviceAccountName"])

    async def has(name: str) -> bool:
        return await account() == name

    await until(lambda: has("pair.services.asker"), "the asker's pods have what was asked")
    await env.until_ready("pair")
    asked = (await env.made())["Deployment", "pair-asker"]
    pods = await env.api.list("Pod", env.namespace, "orderflow.dev/service=asker,cost-centre=4711")
    assert pods, "Pod Security takes them"
    assert asked["spec"]["template"]["spec"]["affinity"]["nodeAffinity"] == POD["affinity"]["nodeAffinity"]
    await env.settle()
    after = (await env.made())["Deployment", "pair-asker"]
    assert after["metadata"]["generation"] == asked["metadata"]["generation"]
    await env.apply(pair())
    await until(lambda: has("pair.services"), "it is taken back")
    assert (await env.made())["Deployment", "pair-asker"]["spec"]["template"] == before
    await env.until_ready("pair")

    async def gone() -> bool:
        return ("ServiceAccount", "pair.services.asker") not in await env.made()

    await until(gone, "the account goes with its last pods")


REFUSED = [
    ({"hostNetwork": True}, "hostNetwork"),
    ({"labels": {"orderflow.dev/flow": "other"}}, "set by the platform"),
    ({"volumes": [{"name": "a"}]}, "exactly one of configMap, secret, emptyDir and csi"),
    ({"tolerations": [{"value": "x"}]}, "operator has to be Exists"),
    ({"envFrom": [{}]}, "exactly one of configMapRef and secretRef"),
]


@pytest.mark.parametrize(("pod", "words"), REFUSED, ids=lambda value: str(value)[:30])
@pytest.mark.parametrize("place", ["spec.defaults.pod", "spec.services.1.pod"])
async def test_what_cannot_be_asked_is_refused_by_the_api_server(
    env: OperatorEnv, place: str, pod: dict[str, Any], words: str
) -> None:
    """With the words of the model, before any operator sees it."""
    with pytest.raises(ApiError, match=words):
        await env.apply(changed(pair(), place, pod))
