"""What the API asks of documents, and the answers; `handlers` decides them."""

from dataclasses import dataclass
from enum import StrEnum

from orderflow_documents.events import Kind
from orderflow_runtime import Command


class State(StrEnum):
    """How far a document is."""

    ANNOUNCED = "ANNOUNCED"
    STORED = "STORED"
    LEAVING = "LEAVING"


@dataclass(frozen=True, slots=True)
class Document:
    """What is known of a document besides its bytes. `object` is its name in the store, new for each that is begun."""

    id: str
    order_id: str
    kind: Kind
    object: str
    sha256: str
    size: int
    media_type: str


@dataclass(frozen=True, slots=True)
class Standing:
    """A document as it is kept, and how far it is."""

    document: Document
    state: State


@dataclass(frozen=True, slots=True)
class Announce(Command[Standing]):
    """Begin a document whose object is about to be written; the same one again changes nothing."""

    NAME = "announce"
    document: Document

    @property
    def key(self) -> str:
        """Return the document's id."""
        return self.document.id


@dataclass(frozen=True, slots=True)
class Keep(Command[bool]):
    """Keep an announced document, whose object is written by now; the answer is whether it is kept."""

    NAME = "keep"
    document: Document
    text: str

    @property
    def key(self) -> str:
        """Return the document's id."""
        return self.document.id


@dataclass(frozen=True, slots=True)
class Remove(Command[bool]):
    """Let a document go, with its object; the answer is whether there was one."""

    NAME = "remove"
    document_id: str

    @property
    def key(self) -> str:
        """Return the document's id."""
        return self.document_id
