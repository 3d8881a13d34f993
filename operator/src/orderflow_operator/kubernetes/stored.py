"""What stands in a Secret, and a mark of it that may be shown: pods and jobs of another version follow from it."""

import base64
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field

from orderflow_model.lint.secrets import USABLE_LABEL
from orderflow_operator.kubernetes.labels import Object

_MARK_DIGITS = 16


@dataclass(frozen=True, slots=True)  # thousands are kept
class Stored:
    """A Secret as it is there: which one of that name, its values, the uids of what it goes with.

    `usable`: its owner lets flows name it.
    """

    uid: str
    values: Mapping[str, str] = field(repr=False)
    owners: frozenset[str] = frozenset()
    usable: bool = False

    def mark(self, key: str) -> str:
        """Return what changes with a value and tells nothing of it, not even to who guesses it.

        It is keyed by the Secret's uid, which only those learn who may read the Secret itself.
        """
        value = self.values.get(key, "").encode()
        return hmac.new(self.uid.encode(), value, "sha256").hexdigest()[:_MARK_DIGITS]

    @classmethod
    def of(cls, secret: Object) -> "Stored":
        """Return what stands in a Secret."""
        data = secret.get("data") or {}
        values = {key: base64.b64decode(value).decode(errors="replace") for key, value in data.items()}
        owners = frozenset(owner["uid"] for owner in secret["metadata"].get("ownerReferences") or ())
        labels = secret["metadata"].get("labels") or {}
        return cls(secret["metadata"]["uid"], values, owners, labels.get(USABLE_LABEL) == "true")
