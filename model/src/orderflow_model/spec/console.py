"""`spec.console`: the console of the flow in a cluster, who may log in there, and the program that this implies."""

from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import Field

from orderflow_model.names import object_name, token_secret_name
from orderflow_model.spec.base import Part, Rule, Unique
from orderflow_model.spec.references import SecretKeyRef, SecretSource
from orderflow_model.spec.scalars import PlainText
from orderflow_model.spec.services import EnvSource, EnvVar, Image, Resources, Service

CONSOLE = "console"
"""The name of its program; its role reads what services have stored, and it is no service of the picture."""
CONSOLE_PLACE = "spec.console"
"""Where the resource asks for it."""
TOKEN_VARIABLE = "CONSOLE_TOKEN"  # noqa: S105 - the variable's name, not a token
"""Holds the token by which people log in, where no provider says who they are."""
CLIENT_SECRET_VARIABLE = "CONSOLE_CLIENT_SECRET"  # noqa: S105 - as above
"""Holds with what the console proves itself at the provider."""
TOKEN_KEY = "password"  # noqa: S105 - the key of the Secret that the operator makes
_COMMAND = ("python", "-m", "orderflow_console")
_HERE = ("localhost", "127.0.0.1")

_ADDRESS = r"^https?://[A-Za-z0-9]([-A-Za-z0-9.]*[A-Za-z0-9])?(:[1-9][0-9]{0,4})?"
_PORTS_END = Rule(
    cel="url(self).getPort() == '' || int(url(self).getPort()) <= 65535",
    message="ports end at 65535",
    holds=lambda address: int(address.split("/")[2].partition(":")[2] or 0) <= 65_535,
)
Issuer = Annotated[
    str,
    Field(pattern=rf"{_ADDRESS}(/[-A-Za-z0-9._~]+)*/?$", max_length=512),
    Rule(
        cel="self.startsWith('https://') || url(self).getHostname() in ['localhost', '127.0.0.1']",
        message="is reached by https, or whoever stands in between could log in as anybody",
        holds=lambda issuer: issuer.startswith("https://") or urlsplit(issuer).hostname in _HERE,
    ),
    _PORTS_END,
]
PublicAddress = Annotated[str, Field(pattern=f"{_ADDRESS}$", max_length=512), _PORTS_END]
Groups = Annotated[
    tuple[Annotated[PlainText, Field(min_length=1, max_length=256)], ...], Field(max_length=100), Unique()
]


class ConsoleRoles(Part):
    """Which groups of the provider have which role; who is in none of them is not let in."""

    viewer: Groups = Field((), description="Groups whose people see everything but what is personal.")
    operator: Groups = Field((), description="Groups whose people see the same, and may change what the console can.")
    unmask: Groups = Field(
        (), description="Groups whose people see the same, and what is personal too: each time audited."
    )

    rules = (
        Rule(
            cel="(has(self.viewer) && size(self.viewer) > 0) || (has(self.operator) && size(self.operator) > 0) ||"
            " (has(self.unmask) && size(self.unmask) > 0)",
            message="names no group: nobody could log in",
            holds=lambda roles: bool(roles.viewer or roles.operator or roles.unmask),
        ),
    )


class Oidc(Part):
    """The provider that says who a person is, by OpenID Connect."""

    issuer: Issuer = Field(description="The provider's issuer, letter by letter as it calls itself.")
    client_id: Annotated[PlainText, Field(min_length=1, max_length=256)] = Field(
        description="What the provider calls the console; its redirect URI is URL/login/callback."
    )
    client_secret: SecretSource | None = Field(
        None,
        description="Where the secret stands with which the console proves itself there; none for a public client.",
    )
    groups_claim: Annotated[PlainText, Field(min_length=1, max_length=256)] = Field(
        "groups", description="The claim, of the ID token or else of the user info, that says a person's groups."
    )
    roles: ConsoleRoles = Field(description="Which groups have which role.")


class ConsoleAuth(Part):
    """How people log in: by a provider, or by one token that all of them know."""

    oidc: Oidc | None = Field(None, description="Each person as a provider knows them.")
    token: SecretSource | None = Field(
        None,
        description="Where a token stands, of at least 20 characters: its holders are operators, and none unmasks.",
    )

    rules = (
        Rule(
            cel="has(self.oidc) != has(self.token)",
            message="needs exactly one of oidc and token",
            holds=lambda auth: (auth.oidc is None) != (auth.token is None),
        ),
    )


class Console(Part):
    """The console of a flow in a cluster: one pod, behind a login."""

    image: Image = Field(description="Container image that has orderflow_console, such as that of the services.")
    url: PublicAddress | None = Field(
        None,
        description="Where browsers find it, such as https://console.example.com, by an Ingress or a Gateway before "
        "its Service; when left out by a port-forward alone (orderflow console).",
    )
    auth: ConsoleAuth | None = Field(
        None, description="How people log in; by a token that the operator makes, when left out."
    )
    resources: Resources = Field(default_factory=Resources, description="Processors and memory of its pod.")

    rules = (
        Rule(
            cel="!has(self.auth) || !has(self.auth.oidc) || has(self.url)",
            message="auth.oidc needs url: a provider sends people back there",
            holds=lambda console: console.oidc is None or console.url is not None,
        ),
    )

    @property
    def oidc(self) -> Oidc | None:
        """The provider, where there is one."""
        return self.auth.oidc if self.auth else None


class _ConsoleProgram(Service):
    """A service that hears and says nothing: it reads all topics of the flow, and puts dead letters back."""

    rules = ()

    @property
    def uses_kafka(self) -> bool:
        """It does, though no event is its own."""
        return True


def console_service(flow: str, console: Console) -> Service:
    """Return the console as a program of the flow, of which there is one pod."""
    token = token_place(flow, console)
    kept = {TOKEN_VARIABLE: token} if token else {}
    if console.oidc and console.oidc.client_secret:
        kept[CLIENT_SECRET_VARIABLE] = console.oidc.client_secret.secret_key_ref
    sources: dict[str, Any] = {name: {"secretKeyRef": where.model_dump()} for name, where in kept.items()}
    variables = [EnvVar(name=name, valueFrom=EnvSource.model_validate(source)) for name, source in sources.items()]
    return _ConsoleProgram(
        name=CONSOLE, image=console.image, command=_COMMAND, env=tuple(variables), resources=console.resources
    )


def makes_token(console: Console | None) -> bool:
    """Return whether the operator is to make the token by which people log in."""
    return console is not None and console.auth is None


def console_secrets(console: Console) -> dict[str, SecretKeyRef]:
    """Return the Secrets that a console names, by where it does."""
    found: dict[str, SecretSource | None] = {"token": console.auth.token if console.auth else None}
    found["oidc.clientSecret"] = console.oidc.client_secret if console.oidc else None
    return {f"{CONSOLE_PLACE}.auth.{name}.secretKeyRef": one.secret_key_ref for name, one in found.items() if one}


def token_place(flow: str, console: Console) -> SecretKeyRef | None:
    """Return where the token stands by which people log in; None where a provider says who they are."""
    if console.oidc is not None:
        return None
    if console.auth and console.auth.token:
        return console.auth.token.secret_key_ref
    return SecretKeyRef(name=token_secret_name(object_name(flow, CONSOLE)), key=TOKEN_KEY)
