"""An object as a flow wants it, and what tells whether it is there like that: its key and its digest."""

from functools import cached_property
from typing import Any

from orderflow_operator.kubernetes.cached_object import digest_of
from orderflow_operator.kubernetes.kinds import Kind, ObjectKey


class WantedObject(dict[str, Any]):
    """Plain data that nobody changes any more, so that what is asked of it at every turn is worked out once.

    What is made of it by `|` is plain data again.
    """

    @cached_property
    def key(self) -> ObjectKey:
        """Its kind and name."""
        return ObjectKey.of(self)

    @cached_property
    def kind(self) -> Kind:
        """Its kind."""
        return self.key.kind

    @cached_property
    def digest(self) -> int:
        """The digest that is left with it when it is applied."""
        return digest_of(self)
