"""Asks a provider who somebody is: OpenID Connect Core 1.0, authorization code flow, with PKCE (RFC 7636).

What comes back through the browser proves nothing until the provider has signed it for us, for this login and for now.
"""

import base64
import hashlib
import secrets
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any
from urllib.parse import quote_plus, urlencode

import aiohttp
from joserfc import jwk, jwt
from joserfc.errors import JoseError
from pydantic_core import from_json

from orderflow_console.web.access.gate import is_same
from orderflow_console.web.access.people import Person, roles_of
from orderflow_model.spec.console import Oidc

SIGNATURES = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519")
"""Those of a key pair: with a shared secret, or none, others could sign."""
_SKEW_SECONDS = 60
_FRESH_SECONDS = 600
"""How long keys are taken for those of the provider; one that is not among them is asked for at once."""
_RETRY_SECONDS = 5
_MOST_BYTES = 1_048_576
_PATIENCE = aiohttp.ClientTimeout(total=10)
_RANDOM_BYTES = 32
_SCOPES = ("openid", "profile", "email")


class LoginError(Exception):
    """Nobody is logged in; the message is for the person, and tells nothing that proves anything."""


@dataclass(frozen=True)
class Attempt:
    """A login under way: what only its browser and the provider may bring together again."""

    next: str
    state: str = field(default_factory=lambda: secrets.token_urlsafe(_RANDOM_BYTES), repr=False)
    nonce: str = field(default_factory=lambda: secrets.token_urlsafe(_RANDOM_BYTES), repr=False)
    verifier: str = field(default_factory=lambda: secrets.token_urlsafe(_RANDOM_BYTES), repr=False)


class Provider:
    """The provider of a resource; what it says of itself is asked for when it is needed, and again after a while."""

    def __init__(self, oidc: Oidc, secret: str | None, redirect: str) -> None:
        self._oidc, self._secret, self._redirect = oidc, secret, redirect
        self._told: Mapping[str, Any] = {}
        self._keys = jwk.KeySet([])
        self._asked_at = -float("inf")

    async def address(self, attempt: Attempt) -> str:
        """Return where to send a browser that wants to log in; raise `LoginError`."""
        await self._discover()
        challenge = hashlib.sha256(attempt.verifier.encode()).digest()
        offered = self._told.get("scopes_supported")
        groups = ["groups"] if isinstance(offered, list) and "groups" in offered else []
        asked = {
            "response_type": "code",
            "client_id": self._oidc.client_id,
            "redirect_uri": self._redirect,
            "scope": " ".join([*_SCOPES, *groups]),
            "state": attempt.state,
            "nonce": attempt.nonce,
            "code_challenge": base64.urlsafe_b64encode(challenge).rstrip(b"=").decode(),
            "code_challenge_method": "S256",
        }
        endpoint = self._endpoint("authorization_endpoint")
        return f"{endpoint}{'&' if '?' in endpoint else '?'}{urlencode(asked)}"

    async def person(self, attempt: Attempt, answer: Mapping[str, str]) -> Person:
        """Return who has logged in, by what the provider sent the browser back with; raise `LoginError`."""
        if not is_same(answer.get("state", ""), attempt.state):
            raise LoginError("This answer belongs to another login")
        if answer.get("iss", self._oidc.issuer) != self._oidc.issuer:  # RFC 9207
            raise LoginError("This answer is another provider's")
        if "code" not in answer:
            raise LoginError(f"The provider refuses: {answer.get('error', 'it says not why')[:100]}")
        await self._discover()
        tokens = await self._exchange(answer["code"], attempt.verifier)
        claims = await self._claims(tokens.get("id_token"), attempt.nonce)
        if self._oidc.groups_claim not in claims and isinstance(tokens.get("access_token"), str):
            claims = {**await self._user_info(tokens["access_token"], claims["sub"]), **claims}
        return self._known(claims)

    def _known(self, claims: Mapping[str, Any]) -> Person:
        """Return the person of these claims; raise `LoginError` for one who has no role."""
        groups = claims.get(self._oidc.groups_claim)
        names = [groups] if isinstance(groups, str) else groups if isinstance(groups, list) else []
        roles = roles_of([name for name in names if isinstance(name, str)], self._oidc.roles)
        name = next((one for key in ("preferred_username", "email", "name") if _is_name(one := claims.get(key))), None)
        if not roles:
            raise LoginError(f"{name or claims['sub']} is in no group that has a role here")
        return Person(claims["sub"], name or claims["sub"], roles)

    async def _discover(self) -> None:
        if self._told and time.monotonic() - self._asked_at < _FRESH_SECONDS:
            return
        place = f"{self._oidc.issuer.removesuffix('/')}/.well-known/openid-configuration"
        told = await self._ask("GET", place)
        if told.get("issuer") != self._oidc.issuer:
            raise LoginError("The provider calls itself otherwise than spec.console.auth.oidc.issuer does")
        self._told = told
        await self._fetch_keys()

    async def _fetch_keys(self) -> None:
        try:
            self._keys = jwk.KeySet.import_key_set(
                {"keys": _usable(await self._ask("GET", self._endpoint("jwks_uri")))}
            )
        except (JoseError, ValueError, TypeError, KeyError):
            raise LoginError("The provider's keys cannot be read") from None
        self._asked_at = time.monotonic()

    async def _exchange(self, code: str, verifier: str) -> Mapping[str, Any]:
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": self._redirect}
        form |= {"code_verifier": verifier}
        ways = self._told.get("token_endpoint_auth_methods_supported") or ["client_secret_basic"]
        headers = {}
        if self._secret is not None and "client_secret_basic" in ways:
            pair = f"{quote_plus(self._oidc.client_id)}:{quote_plus(self._secret)}"  # RFC 6749, 2.3.1
            headers["authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
        else:
            form |= {"client_id": self._oidc.client_id} | ({"client_secret": self._secret} if self._secret else {})
        return await self._ask("POST", self._endpoint("token_endpoint"), headers, form)

    async def _claims(self, token: Any, nonce: str) -> Mapping[str, Any]:
        """Return what the provider has signed, for us, for this login, and for now."""
        if not isinstance(token, str):
            raise LoginError("The provider sent no ID token")
        try:
            claims = await self._signed(token)
            rules = jwt.JWTClaimsRegistry(
                now=lambda: int(time.time()),
                leeway=_SKEW_SECONDS,
                iss={"essential": True, "value": self._oidc.issuer},
                aud={"essential": True, "value": self._oidc.client_id},
                sub={"essential": True},
                exp={"essential": True},
                iat={"essential": True},
            )
            rules.validate(dict(claims))
        except (JoseError, ValueError, TypeError) as error:
            raise LoginError(f"The provider's ID token does not hold: {type(error).__name__}") from None
        others = [claims["aud"]] if isinstance(claims["aud"], str) else claims["aud"]
        if len(others) > 1 and claims.get("azp") != self._oidc.client_id:
            raise LoginError("The provider's ID token is for several, and not made for this console")
        if not is_same(str(claims.get("nonce", "")), nonce) or not _is_name(claims["sub"]):
            raise LoginError("The provider's ID token is of another login")
        return claims

    async def _signed(self, token: str) -> Mapping[str, Any]:
        """Return the claims of a token that the provider has signed; keys that it has changed are asked for anew."""
        try:
            return jwt.decode(token, self._keys, algorithms=SIGNATURES).claims
        except (JoseError, ValueError):
            if time.monotonic() - self._asked_at < _RETRY_SECONDS:
                raise
        await self._fetch_keys()
        return jwt.decode(token, self._keys, algorithms=SIGNATURES).claims

    async def _user_info(self, access_token: str, subject: str) -> Mapping[str, Any]:
        """Return what else the provider tells of a person: Core 5.4 has what a scope asks for there."""
        if "userinfo_endpoint" not in self._told:
            return {}
        info = await self._ask("GET", self._endpoint("userinfo_endpoint"), {"authorization": f"Bearer {access_token}"})
        if info.get("sub") != subject:
            raise LoginError("The provider tells of somebody else")
        return info

    def _endpoint(self, name: str) -> str:
        """Return an address that the provider tells; never one that is less safe than the provider's own."""
        address = self._told.get(name)
        safe = ("https://",) if self._oidc.issuer.startswith("https://") else ("https://", "http://")
        if not isinstance(address, str) or not address.startswith(safe):
            raise LoginError(f"The provider tells no {name} that can be used")
        return address

    async def _ask(
        self, method: str, url: str, headers: Mapping[str, str] | None = None, form: Mapping[str, str] | None = None
    ) -> Mapping[str, Any]:
        """Return an answer of the provider's, a JSON object; raise `LoginError`."""
        try:
            async with (
                aiohttp.ClientSession(timeout=_PATIENCE) as http,
                http.request(method, url, headers=headers, data=form, allow_redirects=False) as answer,
            ):
                body, status = await _read(answer.content), answer.status
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise LoginError(f"The provider does not answer: {type(error).__name__}") from None
        try:
            found = from_json(body)
        except ValueError:
            found = None
        if status != HTTPStatus.OK or not isinstance(found, dict):
            raise LoginError(f"The provider answers {status} where it was asked for {url.partition('?')[0]}")
        return found


async def _read(content: aiohttp.StreamReader) -> bytes:
    """Return a body, or of one that is too large the beginning, which is then no JSON."""
    body = bytearray()
    async for chunk in content.iter_any():
        body += chunk
        if len(body) > _MOST_BYTES:
            break
    return bytes(body)


def _usable(told: Mapping[str, Any]) -> list[Any]:
    """Return the keys that sign and that we can read: a provider may have others beside them."""
    keys: Collection[Any] = told["keys"]
    return [one for one in keys if isinstance(one, dict) and one.get("use", "sig") == "sig" and _is_readable(one)]


def _is_readable(key: dict[str, Any]) -> bool:
    try:
        return key.get("kty") != "oct" and jwk.import_key(key) is not None
    except (JoseError, ValueError, TypeError, KeyError):
        return False


def _is_name(text: Any) -> bool:
    return isinstance(text, str) and 0 < len(text) <= 255 and text.isprintable()
