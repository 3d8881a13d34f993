"""Events as they came, for a service that keeps them whatever they hold: a sink, an audit, a mirror.

Nothing of their data is read, so that a version that nobody here knows, or a form that no contract has, is kept too.
"""

from typing import TYPE_CHECKING, Self

from orderflow_contracts.event import Event

if TYPE_CHECKING:
    from orderflow_contracts.envelope import Envelope


class RawEvent(Event):
    """An event as it stood on its topic.

    Args:
        source: Who said it, as CloudEvents has it; with the event's id it tells the event from others.
        version: The version of the contract that its data were written by.
        data: Its data, byte for byte.
        record_key: The key of its record.

    Example:
        >>> OrderPlaced = RawEvent.named("ORDER_PLACED")
        >>> OrderPlaced.TYPE, OrderPlaced(source="/shop/order", version=3, data=b"{}", record_key="o1").key
        ('ORDER_PLACED', 'o1')
    """

    source: str
    version: int
    data: bytes
    record_key: str

    @property
    def key(self) -> str:
        """Return the record's key: what the data would say is not known."""
        return self.record_key

    @property
    def data_version(self) -> int:
        """Return the version that its record named."""
        return self.version

    @classmethod
    def named(cls, event: str) -> type[Self]:
        """Return the class of one event's raw form, for a service's table of handlers.

        Args:
            event: The event's name in the resource.
        """
        return type(event, (cls,), {"TYPE": event, "__doc__": f"{event} as it came."})

    def encode(self) -> bytes:
        """Return the data as they came."""
        return self.data

    @classmethod
    def received(cls, data: bytes, envelope: "Envelope", key: str) -> Self:
        """Keep the event as it stands; nothing in it is wrong.

        Args:
            data: Its data.
            envelope: Its attributes.
            key: Its record's key.
        """
        return cls(source=envelope.source, version=envelope.version, data=data, record_key=key)
