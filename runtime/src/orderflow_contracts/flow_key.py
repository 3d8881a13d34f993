"""The keys of a flow with `spec.privacy`: one a person, wrapped by the flow's own, which stands in a Secret alone.

Values are sealed by AES-256-GCM, bound to the flow, the event's name, the place in it and the person, so that what is
moved elsewhere does not open. People are found by an HMAC of their id: who copies the table of keys learns nobody.
"""

import hashlib
import hmac
import os
import uuid
from collections.abc import Callable
from typing import NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

MIN_SECRET = 32
"""Letters that the flow's secret has at least."""
_KEY_BYTES, _NONCE_BYTES = 32, 12
Random = Callable[[int], bytes]


class SealBrokenError(ValueError):
    """What is sealed does not open: it was changed or moved, or the flow's secret is another than it was."""


class PersonKey(NamedTuple):
    """A person's random id, and what seals and opens their values."""

    person: uuid.UUID
    cipher: AESGCM


class FlowKey:
    """What a flow's secret is good for."""

    def __init__(self, flow: str, secret: str, random: Random = os.urandom) -> None:
        self._flow = flow
        self._random = random
        self._wrapping = AESGCM(self._derive(secret, b"wrap"))
        self._naming = self._derive(secret, b"subject")

    def _derive(self, secret: str, use: bytes) -> bytes:
        return HKDF(SHA256(), _KEY_BYTES, salt=self._flow.encode(), info=use).derive(secret.encode())

    def subject_hash(self, subject: str) -> bytes:
        """Return by what a person's key is found; the subject is their id in the flow's events."""
        return hmac.digest(self._naming, subject.encode(), hashlib.sha256)

    def new_key(self, person: uuid.UUID) -> bytes:
        """Return a new key of a person, wrapped."""
        return self._seal(self._wrapping, self._random(_KEY_BYTES), person.bytes)

    def unwrap(self, person: uuid.UUID, wrapped: bytes) -> PersonKey:
        """Return a person's key; raise `SealBrokenError` where the flow's secret is not that of then."""
        return PersonKey(person, AESGCM(_open(self._wrapping, wrapped, person.bytes)))

    def seal(self, key: PersonKey, value: bytes, event: str, path: str) -> bytes:
        """Seal the value at a path of an event."""
        return self._seal(key.cipher, value, self._bound(key.person, event, path))

    def open(self, key: PersonKey, content: bytes, event: str, path: str) -> bytes:
        """Return the value; raise `SealBrokenError`."""
        return _open(key.cipher, content, self._bound(key.person, event, path))

    def _bound(self, person: uuid.UUID, event: str, path: str) -> bytes:
        return f"{self._flow}/{event}{path}/{person.hex}".encode()

    def _seal(self, cipher: AESGCM, value: bytes, bound: bytes) -> bytes:
        nonce = self._random(_NONCE_BYTES)
        return nonce + cipher.encrypt(nonce, value, bound)


def _open(cipher: AESGCM, content: bytes, bound: bytes) -> bytes:
    try:
        return cipher.decrypt(content[:_NONCE_BYTES], content[_NONCE_BYTES:], bound)
    except (InvalidTag, ValueError):
        raise SealBrokenError("what is sealed does not open by its person's key") from None
