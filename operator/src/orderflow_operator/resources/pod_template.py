"""What a flow asks of its pods besides (`pod`), put into the template that the platform makes: what that says stays.

Migration jobs run where the services do and by the same registry's login; meshes and vaults have no business in them.
"""

from collections.abc import Iterator
from typing import Any

from orderflow_model.spec.pod import CA_FOLDER, CaBundle, Pod
from orderflow_operator.kubernetes.labels import Object

_CA_FILE = "ca.crt"
_CA_VARIABLES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS", "CURL_CA_BUNDLE", "AWS_CA_BUNDLE")
_PLACING = (
    "imagePullSecrets",
    "nodeSelector",
    "tolerations",
    "affinity",
    "topologySpreadConstraints",
    "priorityClassName",
)
_PROBES = {"startup": "startupProbe", "liveness": "livenessProbe", "readiness": "readinessProbe"}
_TERMS = (
    "requiredDuringSchedulingIgnoredDuringExecution",
    "preferredDuringSchedulingIgnoredDuringExecution",
)


def of_service(template: Object, pod: Pod, selector: dict[str, str]) -> Object:
    """Return the template of a service's pods with what is asked of them; `selector` finds those pods."""
    asked, spec = _plain(pod), template["spec"]
    metadata = {part: asked.get(part, {}) | template["metadata"][part] for part in ("labels", "annotations")}
    more = _placing(asked, selector)
    if pod.termination_grace_period_seconds is not None:
        more["terminationGracePeriodSeconds"] = pod.termination_grace_period_seconds
    volumes = [*spec.get("volumes", []), *asked.get("volumes", []), *_ca_volume(pod.ca_bundle)]
    first, *programs = (_container(one, asked, pod) for one in spec["containers"])
    probed = [_probed(one, asked) for one in programs] or [_probed(first, asked)]
    containers = [first, *probed] if programs else probed
    return {"metadata": metadata, "spec": spec | more | {"containers": containers, "volumes": volumes}}


def of_job(template: Object, pod: Pod) -> Object:
    """Return the template of a job's pods: where they run, and by whose login their image is had."""
    asked = _plain(pod)
    where = {part: said for part, said in _placing(asked, {}).items() if part != "topologySpreadConstraints"}
    metadata = template["metadata"] | {"labels": asked.get("labels", {}) | template["metadata"]["labels"]}
    return {"metadata": metadata, "spec": template["spec"] | where}


def _plain(pod: Pod) -> Object:
    """Return what is said, as plain data; nothing of what is not."""
    return {part: said for part, said in pod.model_dump(mode="json", exclude_none=True).items() if said}


def _placing(asked: Object, selector: dict[str, str]) -> Object:
    """Return where the pods run; a term that names no pods means those of the process."""
    placing = {part: asked[part] for part in _PLACING if part in asked}
    for term in _pod_terms(placing):
        term.setdefault("labelSelector", {"matchLabels": selector})
    return placing


def _pod_terms(placing: Object) -> Iterator[Object]:
    yield from placing.get("topologySpreadConstraints", [])
    for side in ("podAffinity", "podAntiAffinity"):
        required, preferred = (placing.get("affinity", {}).get(side, {}).get(term, []) for term in _TERMS)
        yield from required
        yield from (one["podAffinityTerm"] for one in preferred)


def _container(container: Object, asked: Object, pod: Pod) -> Object:
    mounts = [*container.get("volumeMounts", []), *asked.get("volumeMounts", [])]
    env = container["env"]
    if pod.ca_bundle is not None:
        mounts.append({"name": "ca-bundle", "mountPath": CA_FOLDER, "readOnly": True})
        named = {variable["name"] for variable in env}
        env = [
            *env,
            *({"name": name, "value": f"{CA_FOLDER}/{_CA_FILE}"} for name in _CA_VARIABLES if name not in named),
        ]
    more = {"env": env, "envFrom": asked.get("envFrom"), "volumeMounts": mounts}
    return container | {part: said for part, said in more.items() if said}  # what is empty is nobody's field


def _probed(container: Object, asked: Object) -> Object:
    """Return a container of the flow's author, no dispatcher of ours, with the probes that are asked of it."""
    probes = {_PROBES[which]: said for which, said in asked.get("probes", {}).items() if said}
    return container | {name: _probe(container.get(name), container, said) for name, said in probes.items()}


def _probe(probe: Object | None, container: Object, asked: dict[str, Any]) -> Object:
    """Return the platform's probe, or one of whether the port is open, with what is asked of it otherwise."""
    port = container["ports"][0].get("name", container["ports"][0]["containerPort"])
    built = dict(probe or {"tcpSocket": {"port": port}}) | {
        name: said for name, said in asked.items() if name != "path"
    }
    if "path" in asked:
        built.pop("tcpSocket", None)
        built["httpGet"] = built.get("httpGet", {"port": port}) | {"path": asked["path"]}
    return built


def _ca_volume(bundle: CaBundle | None) -> list[Object]:
    if bundle is None:
        return []
    if bundle.secret_key_ref is not None:
        items = [{"key": bundle.secret_key_ref.key, "path": _CA_FILE}]
        return [{"name": "ca-bundle", "secret": {"secretName": bundle.secret_key_ref.name, "items": items}}]
    assert bundle.config_map_key_ref is not None  # noqa: S101 - the model asks for one of the two
    items = [{"key": bundle.config_map_key_ref.key, "path": _CA_FILE}]
    return [{"name": "ca-bundle", "configMap": {"name": bundle.config_map_key_ref.name, "items": items}}]
