"""Event classes made at random, with personal values in whatever pydantic takes for a field."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, make_dataclass
from itertools import count
from types import GenericAlias
from typing import Annotated, Any, ClassVar, NamedTuple, Optional

from hypothesis import strategies as st
from pydantic import Field, RootModel, create_model
from pydantic.dataclasses import dataclass as pydantic_dataclass
from typing_extensions import TypedDict

from orderflow_contracts.event import PERSONAL, SUBJECT, Event, Model

SUBJECT_ID = "secret-subject"
_Personal = Annotated[str, Field(json_schema_extra=PERSONAL)]


@dataclass(frozen=True)
class Made:
    """A type, and how to make a value of it: `value(fresh)` asks `fresh` for each text that is personal."""

    kind: Any
    value: Callable[[Callable[[], str]], Any]


def _wrapped(inner: st.SearchStrategy[Made]) -> st.SearchStrategy[Made]:
    return st.builds(lambda made, wrap: wrap(made), inner, st.sampled_from(_WRAPS))


def _model(made: Made) -> Made:
    kind = create_model("Below", __base__=Model, some_part=(made.kind, ...), place_no=(int, 1))
    return Made(kind, lambda fresh: kind(some_part=made.value(fresh)))


def _root(made: Made) -> Made:
    kind = RootModel[made.kind]  # type: ignore[name-defined]  # a type that is made here
    return Made(kind, lambda fresh: kind(made.value(fresh)))


def _dataclass(made: Made) -> Made:
    kind = pydantic_dataclass(make_dataclass("Data", [("part", made.kind), ("number", int, 1)]))
    return Made(kind, lambda fresh: kind(made.value(fresh)))


def _typed_dict(made: Made) -> Made:
    kind = TypedDict("Typed", {"part": made.kind, "number": int})  # type: ignore[misc]  # made here  # noqa: UP013 - made here
    return Made(kind, lambda fresh: {"part": made.value(fresh), "number": 1})


def _named_tuple(made: Made) -> Made:
    kind = NamedTuple("Named", [("number", int), ("part", made.kind)])  # type: ignore[misc]  # made here  # noqa: UP014 - made here
    return Made(kind, lambda fresh: kind(1, made.value(fresh)))


_WRAPS: tuple[Callable[[Made], Made], ...] = (
    _model,
    _root,
    _dataclass,
    _typed_dict,
    _named_tuple,
    lambda made: Made(Optional[made.kind], made.value),  # noqa: UP045 - forms of these have no |
    lambda made: Made(made.kind | int if isinstance(made.kind, type) else Optional[made.kind], made.value),  # noqa: UP045 - the same
    lambda made: Made(GenericAlias(list, (made.kind,)), lambda fresh: [made.value(fresh), made.value(fresh)]),
    lambda made: Made(GenericAlias(tuple, (int, made.kind)), lambda fresh: (1, made.value(fresh))),
    lambda made: Made(GenericAlias(dict, (str, made.kind)), lambda fresh: {"a": made.value(fresh)}),
)
_LEAF = Made(_Personal, lambda fresh: fresh())


@st.composite
def events(draw: st.DrawFn) -> tuple[Event, list[str]]:
    """Draw an event of a class made for it, and the personal texts in it, its subject's id first."""
    made = draw(st.lists(st.recursive(st.just(_LEAF), _wrapped, max_leaves=4), min_size=1, max_size=3))
    fields: Mapping[str, Any] = {f"part_{number}": (one.kind, ...) for number, one in enumerate(made)}
    kind = create_model("Made", __base__=_Based, **fields)
    kind.TYPE = "MADE"
    numbers, texts = count(), [SUBJECT_ID]

    def fresh() -> str:
        texts.append(f"secret-{next(numbers)}")
        return texts[-1]

    values = {f"part_{number}": one.value(fresh) for number, one in enumerate(made)}
    return kind(who=SUBJECT_ID, plain="in the clear", **values), texts


class _Based(Event):
    TYPE: ClassVar[str] = "MADE"

    who: Annotated[str, Field(json_schema_extra=SUBJECT)]
    plain: str

    @property
    def key(self) -> str:
        """The record key."""
        return "k"
