"""What the documents service says: where a document is, never what is in it (a claim check)."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from orderflow_contracts.event import Event, Identifier


class Kind(StrEnum):
    """What a document is to its order."""

    NOTE = "NOTE"
    DELIVERY = "DELIVERY"


Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$", description="SHA-256 of the object's bytes, in hexadecimal")]


class DocumentEvent(Event):
    """An event of one document; its key is the order's id."""

    order_id: Identifier
    document_id: Identifier

    @property
    def key(self) -> str:
        """The order's id."""
        return self.order_id


class DocumentStored(DocumentEvent):
    """A document is kept: `object` is its name in the store, where it was written before this was said."""

    TYPE = "DOCUMENT_STORED"

    kind: Kind
    object: Annotated[str, Field(min_length=1, max_length=200, description="name in the store of documents")]
    sha256: Sha256
    size: Annotated[int, Field(ge=0, description="bytes")]
    media_type: Annotated[str, Field(min_length=1, max_length=200, description="as its sender said")]


class DocumentRemoved(DocumentEvent):
    """A document is no longer kept; its object goes."""

    TYPE = "DOCUMENT_REMOVED"
