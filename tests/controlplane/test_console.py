"""The console of a flow on a real API server: it comes with all that it has, heals, and goes with it."""

from support.cluster.operator_env import OperatorEnv
from support.flow.fleet import until
from support.flow.flows import changed, pair

IMAGE = {"image": "example/services:1"}
OWN = {
    ("Deployment", "pair-console"),
    ("Service", "pair-console"),
    ("ServiceAccount", "pair.console"),
    ("Secret", "pair-console.database"),
    ("Secret", "pair-console.token"),
    ("KafkaUser", "pair-console"),
}


async def test_a_console_comes_with_its_login_heals_and_goes(env: OperatorEnv) -> None:
    """Its token is drawn once and kept; what is taken away comes back; without spec.console nothing of it is left."""
    flow = changed(pair(), "spec.console", IMAGE)
    await env.start()
    await env.apply(flow)
    await env.until_ready("pair")
    made = await env.made()
    assert made.keys() >= OWN
    assert (await env.flow("pair") or {})["status"]["console"] == f"http://pair-console.{env.namespace}.svc"
    token = (await env.api.get("Secret", env.namespace, "pair-console.token") or {})["data"]["password"]
    for kind in ("Deployment", "Service"):
        await env.api.delete(kind, env.namespace, "pair-console")

    async def healed() -> bool:
        return (await env.made()).keys() >= OWN

    await until(healed, "the console is back", 60)
    await env.until_ready("pair")
    assert (await env.api.get("Secret", env.namespace, "pair-console.token") or {})["data"]["password"] == token
    await env.apply(changed(flow, "spec.console", IMAGE | {"url": "https://console.example.com"}))
    await env.until_ready("pair")
    assert (await env.flow("pair") or {})["status"]["console"] == "https://console.example.com"
    await env.apply(pair())

    async def gone() -> bool:
        return not (await env.made()).keys() & OWN

    await until(gone, "nothing of the console is left", 60)
    await env.until_ready("pair")
    assert "console" not in (await env.flow("pair") or {})["status"]


async def test_a_console_waits_for_the_secret_of_its_login(env: OperatorEnv) -> None:
    """A token that somebody else is to give has to be there, and for flows; the flow says which is not."""
    given = {"auth": {"token": {"secretKeyRef": {"name": "mine", "key": "token"}}}}
    await env.start()
    await env.apply(changed(pair(), "spec.console", IMAGE | given))
    await env.until("pair", "Ready", "False", "SecretNotUsable")
    assert ("Deployment", "pair-console") not in await env.made()
    await env.give_secret("mine", {"token": "a-token-that-nobody-guesses"})
    await env.until_ready("pair")
    made = await env.made()
    assert ("Deployment", "pair-console") in made
    assert ("Secret", "pair-console.token") not in made
