"""`spec.console` on a cluster: one pod behind a login, as itself, which may read what it shows and no more."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from orderflow_console.settings import Settings
from orderflow_model.findings import InvalidResourceError
from orderflow_model.lint.flow import lint
from orderflow_model.loading.load import parse_flow
from orderflow_operator.kafka.acls import service_acls
from orderflow_operator.reconciler.network import addresses

Json = dict[str, Any]
Built = dict[tuple[str, str], Json]
OIDC = {"issuer": "https://login.example.com", "clientId": "shop", "roles": {"operator": ["ops"]}}


def with_console(document: Json, **given: Any) -> Json:
    """The reference flow with a console."""
    return document | {"spec": document["spec"] | {"console": {"image": "orderflow/services:dev"} | given}}


def env_of(built: Built) -> Json:
    """The variables of its container."""
    (container,) = built["Deployment", "shop-console"]["spec"]["template"]["spec"]["containers"]
    return {one["name"]: one.get("value") or one["valueFrom"] for one in container["env"]}


@pytest.fixture
def built(document: Json, build: Callable[..., Built]) -> Built:
    """All objects of that flow."""
    return build(parse_flow(with_console(document)))


def test_one_pod_is_the_console_with_all_that_it_needs(built: Built, tmp_path: Any) -> None:
    """By its own role, user and account, with the token that the operator makes; it can read what it is told."""
    deployment = built["Deployment", "shop-console"]
    template = deployment["spec"]["template"]
    (container,) = template["spec"]["containers"]
    env = env_of(built)
    assert deployment["spec"]["replicas"] == 1
    assert container["command"] == ["python", "-m", "orderflow_console"]
    assert env["CONSOLE_TOKEN"] == {"secretKeyRef": {"name": "shop-console.token", "key": "password"}}
    assert env["ORDERFLOW_DATABASE_URL"]["secretKeyRef"]["name"] == "shop-console.database"
    assert env["ORDERFLOW_KAFKA_USERNAME"] == "shop-console"
    assert template["spec"]["serviceAccountName"] == "shop.console"
    assert not built["ServiceAccount", "shop.console"]["automountServiceAccountToken"]
    assert container["securityContext"]["readOnlyRootFilesystem"]
    assert ("Service", "shop-console") in built
    told = template["metadata"]["annotations"]["orderflow.dev/config"]
    assert "resourceVersion" not in told
    (file := tmp_path / "service.json").write_text(told)
    read = {name: value for name, value in env.items() if isinstance(value, str)}
    secrets = {"ORDERFLOW_DATABASE_URL": "postgresql://u:p@h/d", "CONSOLE_TOKEN": "x" * 32}
    settings = Settings.read(read | secrets | {"ORDERFLOW_CONFIG": str(file)})
    assert settings.config.urls["order"] == "http://shop-order"
    assert "console" not in settings.config.urls
    assert (settings.access is not None, settings.host) == (True, "0.0.0.0")  # noqa: S104 - in a pod


def test_its_user_reads_all_and_writes_what_is_put_back(document: Json) -> None:
    """Every topic of the flow, with its settings; it writes events, never dead letters, and looks at groups alone."""
    flow = parse_flow(with_console(document))
    rules = {rule.name: {str(one) for one in rule.operations} for rule in service_acls(flow, flow.service("console"))}
    assert rules["shop.order-created"] == {"Read", "DescribeConfigs", "Write"}
    assert rules["shop.payment.dead-letters"] == {"Read", "DescribeConfigs"}
    assert rules["shop.payment"] == {"Describe"}


def test_every_migration_lets_the_console_read(built: Built, document: Json, build: Callable[..., Built]) -> None:
    """Whichever comes last gives the rights; without a console no migration is another than before."""

    def told(objects: Built) -> set[str | None]:
        jobs = [one for (kind, _), one in objects.items() if kind == "Job"]
        notes = [job["spec"]["template"]["metadata"]["annotations"]["orderflow.dev/migration"] for job in jobs]
        return {json.loads(note).get("console") for note in notes}

    assert told(built) == {"console"}
    assert told(build(parse_flow(document))) == {None}


def test_it_reaches_services_and_the_provider(document: Json, build: Callable[..., Built], built: Built) -> None:
    """The services' interfaces, to cancel and resume; a provider in the flow's namespace, others are to be opened."""
    url = {"url": "https://console.example.com"}
    flow = parse_flow(with_console(document, **url, auth={"oidc": OIDC | {"issuer": "https://dex.team-a.svc:5556/x"}}))
    assert ("dex.team-a.svc", 5556) in addresses(flow, None)
    assert addresses(parse_flow(with_console(document)), None) == addresses(parse_flow(document), None)

    def ways(objects: Built) -> list[Json]:
        found: list[Json] = objects["NetworkPolicy", "shop"]["spec"]["egress"]
        return found

    more = [rule for rule in ways(built) if rule not in ways(build(parse_flow(document)))]
    assert [rule["to"][0]["podSelector"]["matchLabels"] for rule in more] == [{"orderflow.dev/flow": "shop"}]


def test_a_provider_takes_the_place_of_the_token(document: Json, build: Callable[..., Built]) -> None:
    """There is no token beside it; the secret that it knows the console by comes from where the resource says."""
    secret = {"secretKeyRef": {"name": "login", "key": "secret"}}
    oidc = {"oidc": OIDC | {"clientSecret": secret}}
    env = env_of(build(parse_flow(with_console(document, url="https://console.example.com", auth=oidc))))
    assert "CONSOLE_TOKEN" not in env
    assert env["CONSOLE_CLIENT_SECRET"] == secret
    own = {"token": {"secretKeyRef": {"name": "mine", "key": "key"}}}
    assert env_of(build(parse_flow(with_console(document, auth=own))))["CONSOLE_TOKEN"] == own["token"]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"auth": {"oidc": OIDC}}, "needs url"),
        ({"auth": {}}, "exactly one"),
        ({"url": "https://c.example.com", "auth": {"oidc": OIDC | {"issuer": "http://login.example.com"}}}, "https"),
        ({"url": "https://c.example.com", "auth": {"oidc": OIDC | {"roles": {}}}}, "nobody could log in"),
        ({"url": "https://c.example.com/path"}, "url"),
        ({"url": "https://c.example.com:70000"}, "ports end"),
    ],
)
def test_a_login_that_cannot_be_is_refused(document: Json, given: Json, words: str) -> None:
    """Before anything is made, with what to say instead."""
    with pytest.raises(InvalidResourceError, match=words):
        parse_flow(with_console(document, **given))


def refusals(flow: Json) -> dict[str, str]:
    """What lint says, by place."""
    return {finding.path: finding.message for finding in lint(parse_flow(flow))}


def test_its_token_is_no_secret_of_somebody_else(document: Json) -> None:
    """The one rule for Secrets that a resource names holds for it too: nobody logs in by the admin's password."""
    for name in ("shop-order.database", "shop-console.token", document["spec"]["database"]["secretKeyRef"]["name"]):
        flow = with_console(document, auth={"token": {"secretKeyRef": {"name": name, "key": "x"}}})
        assert "spec.console.auth.token.secretKeyRef" in refusals(flow)


def test_the_name_of_its_program_is_taken(document: Json) -> None:
    """A service of that name would share role and schema with it; without a console the name is free."""
    document["spec"]["services"][4]["name"] = "console"
    assert "calls its own program" in refusals(with_console(document))["spec.services[4].name"]
    assert "spec.services[4].name" not in refusals(document)
