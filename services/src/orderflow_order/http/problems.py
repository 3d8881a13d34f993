"""Errors as RFC 9457 problem details: raised anywhere in the API, answered as `application/problem+json`."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import ClassVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

MEDIA_TYPE = "application/problem+json"
_BASE = "https://orderflow.dev/problems/"


class Place(BaseModel):
    """One place in the body that is wrong, as a JSON pointer."""

    place: str = Field(examples=["/lines/0/quantity"])
    message: str


class ProblemDetails(BaseModel):
    """What went wrong and what can be done about it (RFC 9457)."""

    model_config = ConfigDict(json_schema_extra={"description": "RFC 9457 problem details"})

    type: str = Field(examples=[_BASE + "invalid-order"])
    title: str
    status: int
    detail: str
    errors: list[Place] | None = None


class Problem(Exception):  # noqa: N818 - RFC 9457's own word
    """An answer that is a problem. Each kind is a subclass; `detail` says what the caller can do."""

    status: ClassVar[int] = 500
    slug: ClassVar[str] = "internal-error"
    title: ClassVar[str] = "Something went wrong on our side"
    headers: ClassVar[Mapping[str, str]] = MappingProxyType({})

    def __init__(self, detail: str, errors: list[Place] | None = None) -> None:
        super().__init__(detail)
        self.details = ProblemDetails(
            type=_BASE + self.slug, title=self.title, status=self.status, detail=detail, errors=errors
        )

    def json(self) -> bytes:
        """Return the body."""
        return self.details.__pydantic_serializer__.to_json(self.details, exclude_none=True)


class InvalidOrder(Problem):
    """The body is JSON, but not an order."""

    status, slug, title = 422, "invalid-order", "The order is not valid"


class MalformedJson(Problem):
    """The body is not JSON."""

    status, slug, title = 400, "malformed-json", "The body is not JSON"


class MissingKey(Problem):
    """No usable Idempotency-Key."""

    status, slug, title = 400, "missing-idempotency-key", "An Idempotency-Key header is required"


class KeyReused(Problem):
    """The key belongs to another order."""

    status, slug, title = 422, "idempotency-key-reused", "The idempotency key was used for another order"


class BodyTooLarge(Problem):
    """More bytes than the endpoint takes."""

    status, slug, title = 413, "body-too-large", "The body is too large"


class BatchTooLarge(Problem):
    """More orders, or none."""

    status, slug, title = 422, "batch-size", "A batch holds 1 to 500 orders"


class UnsupportedMedia(Problem):
    """A content type that the endpoint does not read."""

    status, slug, title = 415, "unsupported-media-type", "The content type is not supported"


class UnsupportedCoding(Problem):
    """A content coding that is not unpacked; the answer names the one that is (RFC 9110, 15.5.16)."""

    status, slug, title = 415, "unsupported-content-coding", "The content coding is not supported"
    headers = MappingProxyType({"accept-encoding": "gzip, identity"})


class MalformedGzip(Problem):
    """The body is not what its content coding says."""

    status, slug, title = 400, "malformed-gzip", "The body is not gzip"


class OrderNotFound(Problem):
    """No such order."""

    status, slug, title = 404, "order-not-found", "There is no such order"


class NotFound(Problem):
    """No such address."""

    status, slug, title = 404, "not-found", "There is nothing here"


class MethodNotAllowed(Problem):
    """The address is right, the method is not."""

    status, slug, title = 405, "method-not-allowed", "The method is not allowed here"


class StateConflict(Problem):
    """The order's state does not allow the request."""

    status, slug, title = 409, "order-state", "The order's state does not allow this"


class BadSignature(Problem):
    """A webhook delivery that is not to be trusted."""

    status, slug, title = 401, "bad-signature", "The webhook's signature is not valid"


class DeliveryConflict(Problem):
    """A webhook delivery whose key another one has."""

    status, slug, title = 409, "delivery-conflict", "The webhook delivery differs from the one received before"


class WebhookDisabled(Problem):
    """No secret is configured."""

    status, slug, title = 503, "webhook-disabled", "Webhooks are not configured"


class ServiceUnavailable(Problem):
    """The order could not be stored, or nobody knows whether it was."""

    status, slug, title = 503, "unavailable", "Orders cannot be stored right now"
    headers = MappingProxyType({"retry-after": "1"})


def invalid_body(error: ValidationError) -> Problem:
    """Turn a refusal by a request model into a problem that names every place."""
    errors = error.errors(include_url=False, include_input=False, include_context=False)
    if errors[0]["type"] == "json_invalid":
        return MalformedJson(f"{errors[0]['msg']}; send one JSON document in UTF-8")
    places = [Place(place=_pointer(e["loc"]), message=e["msg"]) for e in errors if not _is_echo(e, errors)]
    return InvalidOrder(f"{len(places)} places are wrong; correct those under errors", places[:100])


def _pointer(location: tuple[int | str, ...]) -> str:
    """Return the place as RFC 6901 writes it: a name may hold slashes."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in location) or "/"


def _is_echo(error: ErrorDetails, errors: list[ErrorDetails]) -> bool:
    """Return whether a list is blamed only because its items are."""
    place = error["loc"]
    return any(len(e["loc"]) > len(place) and e["loc"][: len(place)] == place for e in errors)
