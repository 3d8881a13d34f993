"""The signature of a webhook delivery: HMAC-SHA256 over its time and body, as the header
`Orderflow-Signature: t=<unix seconds>,v1=<hex>`. Called by the API, and by whoever sends webhooks to us.
"""

import hashlib
import hmac
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

HEADER = "orderflow-signature"
WINDOW = timedelta(minutes=5)
"""How far a delivery's time may be from ours, either way."""


class BadSignatureError(Exception):
    """A delivery that is not to be trusted; `str()` says why, without telling what would have been right."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """A delivery whose signature holds; stored so that it is taken once."""

    signature: str
    signed_at: datetime


def sign(body: bytes, secret: str, at: datetime) -> str:
    """Give the header's value for a body sent at `at`."""
    seconds = str(int(at.timestamp()))
    return f"t={seconds},v1={_digest(body, secret, seconds)}"


def verify(header: str, body: bytes, secret: str, now: datetime) -> Delivery:
    """Check the header's value against the body; raise `BadSignatureError`."""
    seconds, given = _read(header)
    if not hmac.compare_digest(given.encode(), _digest(body, secret, seconds).encode()):
        raise BadSignatureError("the signature does not match the body")
    signed_at = datetime.fromtimestamp(int(seconds), UTC)
    if abs(now - signed_at) > WINDOW:
        raise BadSignatureError(f"the delivery was signed at {signed_at.isoformat()}, too far from now")
    return Delivery(given, signed_at)


def _read(header: str) -> tuple[str, str]:
    parts = dict(part.strip().partition("=")[::2] for part in header.split(","))
    seconds, given = parts.get("t", ""), parts.get("v1", "")
    if not (seconds.isascii() and seconds.isdigit() and len(seconds) <= 11 and given.isascii() and given):
        raise BadSignatureError("the header is not of the form t=<unix seconds>,v1=<hex>")
    return seconds, given


def _digest(body: bytes, secret: str, seconds: str) -> str:
    return hmac.new(secret.encode(), seconds.encode() + b"." + body, hashlib.sha256).hexdigest()
