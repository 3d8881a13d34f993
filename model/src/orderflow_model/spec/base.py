"""What every part of the resource has in common, and rules that are stated once for Python and for CEL.

The parts of the model derive from `Part`. The generator of the CRD finds each rule in the JSON Schema under
`x-kubernetes-validations`, so that the API server refuses what the model refuses, with the same words.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler, GetJsonSchemaHandler, model_validator
from pydantic.alias_generators import to_camel
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

VALIDATIONS = "x-kubernetes-validations"


def refusal(message: str) -> PydanticCustomError:
    """Return the error a validator raises: the message as it stands, braces included."""
    return PydanticCustomError("rule", "{message}", {"message": message})


@dataclass(frozen=True)
class Rule:
    """What must hold for a value; on a `Part` in `rules`, on a field as a member of its `Annotated`."""

    cel: str
    message: str
    holds: Callable[[Any], bool]

    def check(self, value: Any) -> Any:
        """Return the value, or raise the rule's message."""
        if not self.holds(value):
            raise refusal(self.message)
        return value

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self.check, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return _with_validations(handler(schema), [self])


def exactly_one(*fields: str) -> Rule:
    """Return the rule that a part has one of these fields and no more; they are called as in the resource."""
    return Rule(
        cel=" + ".join(f"(has(self.{field}) ? 1 : 0)" for field in fields) + " == 1",
        message=f"needs exactly one of {', '.join(fields[:-1])} and {fields[-1]}",
        holds=lambda part: len(part.model_dump(exclude_none=True).keys() & set(fields)) == 1,
    )


@dataclass(frozen=True)
class Transition:
    """What must hold between a part's old value and its new one."""

    cel: str
    message: str
    allows: Callable[[Any, Any], bool]


class Part(BaseModel):
    """A part of the resource: frozen, camelCase outside, unknown fields refused."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", alias_generator=to_camel, serialize_by_alias=True, allow_inf_nan=False
    )
    rules: ClassVar[tuple[Rule, ...]] = ()
    transitions: ClassVar[tuple[Transition, ...]] = ()

    @model_validator(mode="after")
    def keep_rules(self) -> Self:
        """Raise every rule that this part breaks, as one error."""
        broken = [rule.message for rule in self.rules if not rule.holds(self)]
        if broken:
            raise refusal("; ".join(broken))
        return self

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        json_schema = handler(schema)
        _with_validations(handler.resolve_ref_schema(json_schema), [*cls.rules, *cls.transitions])
        return json_schema


def _with_validations(schema: JsonSchemaValue, rules: Iterable[Rule | Transition]) -> JsonSchemaValue:
    emitted = [{"rule": rule.cel, "message": rule.message} for rule in rules]
    if emitted:
        schema[VALIDATIONS] = [*schema.get(VALIDATIONS, []), *emitted]
    return schema


@dataclass(frozen=True)
class UniqueBy:
    """A list whose members are unique by a key: a list-map in Kubernetes."""

    key: str

    def check(self, members: tuple[Any, ...]) -> tuple[Any, ...]:
        """Return the members, or raise on the first key that stands twice."""
        _refuse_repeated([getattr(member, self.key) for member in members], self.key)
        return members

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self.check, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return handler(schema) | {
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": [to_camel(self.key)],
        }


@dataclass(frozen=True)
class Unique:
    """A list of unique scalars: a set in Kubernetes."""

    def check(self, members: tuple[str, ...]) -> tuple[str, ...]:
        """Return the members, or raise on the first that stands twice."""
        _refuse_repeated(list(members), "entry")
        return members

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self.check, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return handler(schema) | {"x-kubernetes-list-type": "set"}


def _refuse_repeated(keys: list[str], what: str) -> None:
    first: dict[str, int] = {}
    for index, key in enumerate(keys):
        if first.setdefault(key, index) != index:
            raise refusal(f"{what} {key} stands twice, at [{first[key]}] and [{index}]")
