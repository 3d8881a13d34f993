"""Names that no other test uses, on servers that all tests share."""

import itertools
import os

_NUMBERS = itertools.count(1)


def unique_name(stem: str = "t") -> str:
    """A short name valid for a flow, a topic, a database and a role: `t4711x3`."""
    return f"{stem}{os.getpid()}x{next(_NUMBERS)}"
