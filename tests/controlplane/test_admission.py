"""The validating webhook: what the CRD's own rules cannot see is refused before it is stored, in the words of lint."""

import base64
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from orderflow_cli.servers.ports import HOST, free_port
from support.cluster.api import Api, ApiError, Json
from support.cluster.controlplane import ControlPlane
from support.cluster.operator_env import OperatorEnv
from support.cluster.operator_process import OperatorProcess, make_account
from support.flow.fleet import until
from support.flow.flows import changed, pair
from support.tools.certificates import certificates


def webhook_options(folder: Path, port: int) -> tuple[list[str], str]:
    """Write certificates; give the options with which the operator serves the webhook, and who signed for it."""
    folder.mkdir()
    authority, key, certificate = certificates()
    for name, content in (("tls.key", key), ("tls.crt", certificate)):
        (folder / name).write_text(content)
    return ["--webhook-port", str(port), "--webhook-certificates", str(folder)], authority


@pytest.fixture
async def guarded(api: Api, namespace: str, served: ControlPlane, scratch: Path) -> AsyncIterator[OperatorEnv]:
    """An operator that serves the webhook, which the API server asks for this namespace."""
    port, folder = free_port(), scratch / f"webhook-{namespace}"
    webhook, authority = webhook_options(folder, port)
    token = await make_account(api, namespace)
    operator = OperatorProcess(served, namespace, token, folder, ["--namespace", namespace, *webhook])
    configuration = _configuration(namespace, f"https://{HOST}:{port}/orderflow", authority)
    async with OperatorEnv(api, namespace, operator, served).open() as env:
        await env.start()
        await api.apply(configuration)
        try:
            await until(lambda: _refuses(env), f"the webhook is asked\n{operator.tail()}", 60)
            yield env
        finally:
            await api.delete(configuration["kind"], "", configuration["metadata"]["name"])


def _configuration(namespace: str, url: str, authority: str) -> Json:
    rule = {"apiGroups": ["orderflow.dev"], "apiVersions": ["v1alpha1"], "resources": ["orderflows"]}
    hook = {
        "name": "lint.orderflow.dev",
        "clientConfig": {"url": url, "caBundle": base64.b64encode(authority.encode()).decode()},
        "rules": [rule | {"operations": ["CREATE", "UPDATE"]}],
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
        "admissionReviewVersions": ["v1"],
        "sideEffects": "None",
        "failurePolicy": "Fail",
        "timeoutSeconds": 30,
    }
    metadata = {"name": f"tests-{namespace}"}
    api_version = "admissionregistration.k8s.io/v1"
    return {
        "apiVersion": api_version,
        "kind": "ValidatingWebhookConfiguration",
        "metadata": metadata,
        "webhooks": [hook],
    }


async def _refuses(env: OperatorEnv) -> bool:
    unheard = changed(pair("probe"), "spec.services.0.subscribes", ["NOTHING"])
    try:
        await env.api.apply(unheard, env.namespace, dry=True)
    except ApiError as error:
        return "nobody publishes NOTHING" in str(error)
    return False


async def test_what_only_lint_sees_is_refused_before_it_is_stored(guarded: OperatorEnv) -> None:
    """A subscription that nobody publishes, another flow's topic and fewer partitions never reach the store."""
    await guarded.apply(changed(pair(), "spec.events.0.topic", {"partitions": 12}))
    await guarded.until_ready("pair")
    taken = changed(pair("other"), "spec.events.0.topic", {"name": "pair.asked"})
    with pytest.raises(ApiError, match=r"topic pair\.asked belongs to OrderFlow"):
        await guarded.apply(taken)
    with pytest.raises(ApiError, match="12 partitions"):
        await guarded.apply(pair())  # the default is 6
    assert await guarded.flow("other") is None
    await guarded.apply(pair("other"))
    await guarded.until_ready("other")


async def test_what_breaks_readers_is_refused_until_it_is_said_to_be_wanted(guarded: OperatorEnv) -> None:
    """Before it is stored, in the words of the check; with the annotation it is accepted, and an Event keeps it."""
    whole = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    text = changed(whole, "properties.n.type", "string")
    promised = changed(pair(), "spec.events.0.schema", whole)
    await guarded.apply(promised)
    await guarded.until_ready("pair")
    before, broken = await _promises(guarded), changed(promised, "spec.events.0.schema", text)
    with pytest.raises(
        ApiError, match=r"BreakingChange: .*ASKED/n: backward: today's readers: takes string, and integer"
    ):
        await guarded.apply(broken)
    await guarded.apply(changed(broken, "metadata.annotations", {"orderflow.dev/allow-breaking": "ASKED"}))

    async def told() -> bool:
        events = await guarded.api.list("Event", guarded.namespace)
        return any(one["reason"] == "ContractBroken" and "ASKED/n: backward" in one["message"] for one in events)

    async def remembered() -> bool:
        return await _promises(guarded) != before

    await until(remembered, "what is promised now is accepted", 60)
    assert await told(), "an Event says what was broken before"
    with pytest.raises(ApiError, match="BreakingChange"):
        await guarded.apply(promised)  # what is promised now is a text


async def _promises(env: OperatorEnv) -> str:
    flow = await env.flow("pair")
    return str(flow["status"]["promises"]) if flow else ""


async def test_without_a_webhook_the_flow_says_that_it_breaks_readers(env: OperatorEnv) -> None:
    """What runs of it goes on; to take the edit back is no break."""
    whole = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    promised = changed(pair(), "spec.events.0.schema", whole)
    await env.start()
    await env.apply(promised)
    await env.until_ready("pair")
    await env.apply(changed(promised, "spec.events.0.schema.properties.n.type", "string"))
    valid = await env.until("pair", "Valid", "False", "BreakingChange")
    assert "ASKED/n: backward" in valid["message"]
    await env.apply(promised)
    await env.until("pair", "Valid", "True")
