"""The signatures of a webhook delivery: HMAC-SHA256 over its time and body, as the header
`Orderflow-Signature: t=<unix seconds>,v1=<hex>`. Called by the API, and by whoever sends webhooks to us.

While a secret is being changed, a sender may sign by both (`t=…,v1=…,v1=…`), and a receiver may know both: one match is
enough. A delivery's name is the idempotency key in its body, so that the same one again gives the same order.
"""

import hashlib
import hmac
import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

HEADER = "orderflow-signature"
WINDOW = timedelta(minutes=5)
"""How far a delivery's time may be from ours, either way."""
_SIGNATURE = re.compile(r"(?:sha256=)?([0-9a-f]{64})", re.IGNORECASE)
_FORM = "the header is not of the form t=<unix seconds>,v1=<hex>"


class BadSignatureError(Exception):
    """A delivery that is not to be trusted; `str()` says why, without telling what would have been right."""


def read_secrets(text: str) -> tuple[str, ...]:
    """Return the secrets of a setting, which holds several of them apart by commas or line ends."""
    return tuple(secret for part in re.split(r"[,\r\n]", text) if (secret := part.strip()))


def sign(body: bytes, secret: str, at: datetime) -> str:
    """Return the header's value for a body sent at `at`."""
    seconds = str(int(at.timestamp()))
    return f"t={seconds},v1={_digest(body, secret, seconds)}"


def verify(header: str, body: bytes, secrets: Sequence[str], now: datetime) -> None:
    """Check the header's value against the body; raise `BadSignatureError`."""
    seconds, given = _read(header)
    right = [_digest(body, secret, seconds) for secret in secrets]
    matches = [hmac.compare_digest(one, another) for one in given for another in right]
    if not any(matches):
        raise BadSignatureError("no signature matches the body")
    signed_at = datetime.fromtimestamp(int(seconds), UTC)
    if abs(now - signed_at) > WINDOW:
        raise BadSignatureError(f"the delivery was signed at {signed_at.isoformat()}, too far from now")


def _read(header: str) -> tuple[str, list[str]]:
    """Return the time and the digests in lower case; parts of other names and forms are for other receivers."""
    parts = [part.strip().partition("=")[::2] for part in header.split(",")]
    times = {value for name, value in parts if name == "t"}
    given = [found[1].lower() for name, value in parts if name == "v1" and (found := _SIGNATURE.fullmatch(value))]
    seconds = times.pop() if len(times) == 1 else ""
    if not (seconds.isascii() and seconds.isdigit() and len(seconds) <= 11 and given):
        raise BadSignatureError(_FORM)
    return seconds, given


def _digest(body: bytes, secret: str, seconds: str) -> str:
    return hmac.new(secret.encode(), seconds.encode() + b"." + body, hashlib.sha256).hexdigest()
