"""Ids of events: UUIDs whose first half belongs to the event's key, so that one key's events stand together in an
index.

`effects.py` makes them; `history.py` finds by them what a service has taken in of a key, with no index of its own.
Source: RFC 9562, version 8 (48 and 12 bits of our own, then 62): here 60 bits of the key's BLAKE2b and 62 random ones.
"""

import uuid
from hashlib import blake2b
from random import getrandbits

_VERSION_8, _VARIANT = 8 << 76, 0b10 << 62
_RANDOM_BITS = 62


def new_event_id(key: str) -> str:
    """Return a new id for an event of this key."""
    text = f"{_prefix(key) | getrandbits(_RANDOM_BITS):032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def id_range(key: str) -> tuple[uuid.UUID, uuid.UUID]:
    """Return the least and the greatest id that events of this key can have."""
    least = _prefix(key)
    return uuid.UUID(int=least), uuid.UUID(int=least | (1 << _RANDOM_BITS) - 1)


def _prefix(key: str) -> int:
    ours = int.from_bytes(blake2b(key.encode(), digest_size=8).digest()) >> 4
    return ours >> 12 << 80 | _VERSION_8 | (ours & 0xFFF) << 64 | _VARIANT
