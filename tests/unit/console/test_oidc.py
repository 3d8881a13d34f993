"""What a provider sends is believed only where it is signed by it, for this console, for this login and for now."""

import base64
import hmac
import time
from collections.abc import AsyncIterator, Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from aiohttp import web
from joserfc import jwk, jwt

from orderflow_cli.servers.ports import free_port
from orderflow_console.web.access import oidc
from orderflow_console.web.access.oidc import Attempt, LoginError, Provider
from orderflow_console.web.access.people import Role
from orderflow_model.spec.console import Oidc

CLIENT = "shop"


class Fake:
    """A provider that says whatever a test has it say."""

    def __init__(self, issuer: str) -> None:
        self.issuer = issuer
        self.keys = [jwk.generate_key("EC", "P-256", {"kid": "first"})]
        self.told: dict[str, Any] = {
            "issuer": issuer,
            "authorization_endpoint": f"{issuer}/authorize?tenant=1",
            "token_endpoint": f"{issuer}/token",
            "userinfo_endpoint": f"{issuer}/userinfo",
            "jwks_uri": f"{issuer}/keys",
            "scopes_supported": ["openid", "groups"],
        }
        self.token = ""
        self.info: dict[str, Any] = {}
        self.asked: list[tuple[dict[str, str], str]] = []

    def sign(self, claims: dict[str, Any], algorithm: str = "ES256", key: Any = None) -> None:
        """Have the next token say these claims."""
        key = key or self.keys[-1]
        self.token = jwt.encode({"alg": algorithm, "kid": key.kid}, claims, key, algorithms=[algorithm])

    async def answer(self, request: web.Request) -> web.Response:
        """Answer whatever is asked."""
        match request.path:
            case "/.well-known/openid-configuration":
                return web.json_response(self.told)
            case "/keys":
                return web.json_response({"keys": [key.as_dict(private=False) for key in self.keys]})
            case "/userinfo":
                return web.json_response(self.info)
        self.asked.append(({k: str(v) for k, v in (await request.post()).items()}, request.headers["authorization"]))
        return web.json_response({"id_token": self.token, "access_token": "opaque", "token_type": "Bearer"})


@pytest.fixture
async def fake() -> AsyncIterator[Fake]:
    """A provider on a port of its own."""
    port = free_port()
    provider = Fake(f"http://localhost:{port}")
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", provider.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    yield provider
    await runner.cleanup()


@pytest.fixture
def provider(fake: Fake) -> Provider:
    """The console's side of it."""
    given = {"issuer": fake.issuer, "clientId": CLIENT, "roles": {"viewer": ["staff"], "unmask": ["privacy"]}}
    return Provider(Oidc.model_validate(given), "s:cret", "https://console.example.com/login/callback")


def claims(fake: Fake, attempt: Attempt, **changes: Any) -> dict[str, Any]:
    """Give those of a sound token, or of one that is changed; None takes a claim out."""
    now = int(time.time())
    sound = {
        "iss": fake.issuer,
        "aud": CLIENT,
        "sub": "u1",
        "nonce": attempt.nonce,
        "iat": now,
        "exp": now + 60,
        "groups": ["staff"],
        "preferred_username": "ada",
    }
    return {name: value for name, value in (sound | changes).items() if value is not None}


async def test_a_login_asks_and_believes_as_the_standard_says(fake: Fake, provider: Provider) -> None:
    """Code flow with PKCE, state and nonce; the code is exchanged with the verifier and by the client's own secret."""
    attempt = Attempt("/")
    place = urlsplit(await provider.address(attempt))
    asked = {name: value[0] for name, value in parse_qs(place.query).items()}
    assert (asked["tenant"], asked["response_type"], asked["client_id"]) == ("1", "code", CLIENT)
    assert (asked["state"], asked["nonce"], asked["code_challenge_method"]) == (attempt.state, attempt.nonce, "S256")
    assert asked["scope"].split() == ["openid", "profile", "email", "groups"]
    assert attempt.verifier not in place.query
    fake.sign(claims(fake, attempt))
    person = await provider.person(attempt, {"state": attempt.state, "code": "c"})
    assert (person.subject, person.name, person.roles) == ("u1", "ada", {Role.VIEWER})
    form, authorization = fake.asked[0]
    assert (form["code"], form["code_verifier"]) == ("c", attempt.verifier)
    assert authorization == "Basic c2hvcDpzJTNBY3JldA=="


@pytest.mark.parametrize(
    "changes",
    [
        {"iss": "https://evil.example"},
        {"aud": "another"},
        {"aud": None},
        {"aud": [CLIENT, "another"]},
        {"aud": [CLIENT, "another"], "azp": "another"},
        {"exp": 1},
        {"exp": None},
        {"iat": 4_000_000_000},
        {"nonce": "of another login"},
        {"nonce": None},
        {"sub": None},
        {"sub": ""},
        {"sub": "a\nforged line"},
        {"groups": ["others"]},
        {"groups": {"staff": 1}},
    ],
)
async def test_a_token_that_does_not_hold_logs_nobody_in(
    fake: Fake, provider: Provider, changes: dict[str, Any]
) -> None:
    """Another issuer, console, login or time, and a person without a role."""
    attempt = Attempt("/")
    fake.sign(claims(fake, attempt, **changes))
    with pytest.raises(LoginError):
        await provider.person(attempt, {"state": attempt.state, "code": "c"})


async def test_a_clock_may_be_a_little_off(fake: Fake, provider: Provider) -> None:
    """Half a minute either way; several audiences are fine where the token was made for this console."""
    attempt, now = Attempt("/"), int(time.time())
    fake.sign(claims(fake, attempt, exp=now - 30, iat=now + 30, aud=[CLIENT, "another"], azp=CLIENT))
    assert await provider.person(attempt, {"state": attempt.state, "code": "c"})


Forge = Callable[[Fake, dict[str, Any]], None]


def unsigned(fake: Fake, told: dict[str, Any]) -> None:
    """Say that there is no signature."""
    fake.sign(told)
    fake.token = "eyJhbGciOiJub25lIn0" + fake.token[fake.token.index(".") : fake.token.rindex(".") + 1]


def shared(fake: Fake, told: dict[str, Any]) -> None:
    """Sign by what everybody can read: the public key, taken for a shared secret."""
    fake.sign(told)
    header = base64.urlsafe_b64encode(b'{"alg":"HS256","kid":"first"}').rstrip(b"=").decode()
    signed = f"{header}.{fake.token.split('.')[1]}"
    made = hmac.digest(fake.keys[0].as_pem(private=False), signed.encode(), "sha256")
    fake.token = f"{signed}.{base64.urlsafe_b64encode(made).rstrip(b'=').decode()}"


def foreign(fake: Fake, told: dict[str, Any]) -> None:
    """Sign by a key of one's own, called as the provider's."""
    fake.sign(told, key=jwk.generate_key("EC", "P-256", {"kid": "first"}))


def odd(fake: Fake, told: dict[str, Any]) -> None:
    """Send no token at all."""
    fake.token = "x.y.z"  # noqa: S105 - no secret


@pytest.mark.parametrize("forge", [unsigned, shared, foreign, odd])
async def test_a_token_that_the_provider_has_not_signed_logs_nobody_in(
    fake: Fake, provider: Provider, forge: Forge
) -> None:
    """Without a signature, with one that anybody can make, or with somebody else's."""
    attempt = Attempt("/")
    forge(fake, claims(fake, attempt))
    with pytest.raises(LoginError):
        await provider.person(attempt, {"state": attempt.state, "code": "c"})


async def test_keys_that_are_changed_are_asked_for_anew(
    fake: Fake, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A login by a new key goes on; one by a key that is not the provider's does not have it asked again and again."""
    attempt = Attempt("/")
    fake.sign(claims(fake, attempt))
    assert await provider.person(attempt, {"state": attempt.state, "code": "c"})
    fake.keys = [jwk.generate_key("EC", "P-256", {"kid": "second"})]
    fake.sign(claims(fake, attempt))
    with pytest.raises(LoginError):
        await provider.person(attempt, {"state": attempt.state, "code": "c"})
    monkeypatch.setattr(oidc, "_RETRY_SECONDS", 0)
    assert await provider.person(attempt, {"state": attempt.state, "code": "c"})


async def test_groups_may_stand_in_the_user_info(fake: Fake, provider: Provider) -> None:
    """Where the token has none they are asked for, as the standard has it; of another person they are not taken."""
    attempt = Attempt("/")
    fake.sign(claims(fake, attempt, groups=None, preferred_username=None))
    fake.info = {"sub": "u1", "groups": ["privacy"], "email": "ada@example.com", "nonce": "of another login"}
    person = await provider.person(attempt, {"state": attempt.state, "code": "c"})
    assert (person.told, person.roles) == ("ada@example.com (u1)", {Role.VIEWER, Role.UNMASK})
    fake.info = {"sub": "u2", "groups": ["privacy"]}
    with pytest.raises(LoginError, match="somebody else"):
        await provider.person(attempt, {"state": attempt.state, "code": "c"})


@pytest.mark.parametrize(
    "changes",
    [{"state": None}, {"state": "x"}, {"code": None, "error": "access_denied"}, {"iss": "https://evil.example"}],
)
async def test_an_answer_of_another_login_is_not_even_asked_about(
    fake: Fake, provider: Provider, changes: dict[str, str | None]
) -> None:
    """Another state, another provider's name, or a refusal: no code is sent anywhere."""
    attempt = Attempt("/")
    answer = {"state": attempt.state, "code": "c"} | changes
    with pytest.raises(LoginError):
        await provider.person(attempt, {name: value for name, value in answer.items() if value is not None})
    assert fake.asked == []


@pytest.mark.parametrize(
    "changes", [{"issuer": "http://localhost:1"}, {"token_endpoint": "file:///etc/passwd"}, {"jwks_uri": None}]
)
async def test_a_provider_that_tells_odd_things_of_itself_is_not_asked(
    fake: Fake, provider: Provider, changes: dict[str, Any]
) -> None:
    """It has to call itself as the resource does, and to be reached by HTTP."""
    attempt = Attempt("/")
    fake.told |= changes
    fake.sign(claims(fake, attempt))
    with pytest.raises(LoginError):
        await provider.person(attempt, {"state": attempt.state, "code": "c"})
    assert fake.asked == []


async def test_a_provider_that_is_away_is_told(fake: Fake) -> None:
    """As a sentence, without what was sent to it."""
    given = {"issuer": "http://localhost:1", "clientId": CLIENT, "roles": {"viewer": ["staff"]}}
    with pytest.raises(LoginError, match="does not answer"):
        await Provider(Oidc.model_validate(given), None, "https://c.example.com/login/callback").address(Attempt("/"))
