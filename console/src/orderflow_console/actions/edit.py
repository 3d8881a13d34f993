"""A dead letter's event, edited by a person: what may be changed of it, and whether it is then what the contract says.

A person edits what they are shown, with what is personal masked: a mask left as it was stands for what was there.
Metadata stay, the event's id among them, so that what has come of the event already comes no second time.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from jsonschema import Draft202012Validator
from pydantic_core import from_json, to_json

from orderflow_console.actions.redrive import Repair
from orderflow_console.queries.errors import InvalidQuestionError
from orderflow_console.queries.letter_records import DeadRecord
from orderflow_console.queries.masking import MASK, mask
from orderflow_contracts.envelope import CONTENT_TYPE
from orderflow_contracts.event_classes import load_event_classes
from orderflow_contracts.sealed import masked
from orderflow_contracts.structured import is_structured
from orderflow_model.contracts.errors import ContractsError
from orderflow_model.contracts.schema import Schema, escaped, unescaped
from orderflow_model.flow import OrderFlow
from orderflow_model.spec.events import Event
from orderflow_model.topics import event_topic

_MOST_ERRORS = 5
_NOTHING = object()


class EditError(InvalidQuestionError):
    """An edit is refused; the problem begins with its place in the event's data, a JSON pointer."""

    def __init__(self, place: str, problem: str, remedy: str) -> None:
        super().__init__(f"{place or 'the data'}: {problem}", remedy)


@dataclass(frozen=True)
class Terms:
    """What an edit of an event has to keep to.

    Args:
        personal: JSON pointers to what is personal in its data, None where nobody knows.
        schema: The contract of its data, None where nobody knows.
        sealed: What is personal stands sealed by its person's key, which nobody has here.
        may_change_personal: The person may change what is personal, where it is not sealed.
    """

    personal: tuple[str, ...] | None
    schema: Schema | None = None
    sealed: bool = False
    may_change_personal: bool = False


def terms_of(flow: OrderFlow, topic: str, module: str | None = None, *, may_change_personal: bool = False) -> Terms:
    """Return what the flow says of the events of a topic; `module` has their classes, if not the one it names itself.

    Raise `ContractsError` when the module cannot be imported.
    """
    event = next((event for event in flow.spec.events if event_topic(flow, event).name == topic), None)
    if event is None:
        return Terms(None, may_change_personal=may_change_personal)
    sealed = flow.spec.privacy is not None
    schema = _schema(flow, event, module)
    return Terms(event.personal_data, schema, sealed, may_change_personal=may_change_personal)


def _schema(flow: OrderFlow, event: Event, module: str | None) -> Schema | None:
    module = module or (flow.spec.analytics.contracts if flow.spec.analytics else None)
    if module is None:
        return event.payload_schema
    try:
        kind = load_event_classes(module).get(event.name)
    except Exception as error:  # whatever a module's own code raises while it is read
        raise ContractsError(
            f"module {module}, which has the contracts, cannot be imported ({type(error).__name__})",
            "Start this where the services' code is installed",
        ) from None
    return event.payload_schema if kind is None else kind.model_json_schema(by_alias=True, mode="validation")


def shown_data(record: DeadRecord, personal: tuple[str, ...] | None) -> Any:
    """Return the data as a person may see and edit them; raise `EditError` for what is no JSON."""
    return mask(read_data(record.value), personal)


def edited(record: DeadRecord, given: Any, terms: Terms) -> Repair:
    """Return the record with these data in place of those that `shown_data` gave; raise `EditError`."""
    try:
        was = read_data(record.value)
    except EditError:
        was = _NOTHING
    data = given if was is _NOTHING else _unmasked(was, mask(was, terms.personal), given, "")
    _check_personal(was, data, terms)
    headers = {name.lower(): value or b"" for name, value in record.headers}
    if is_structured(headers.get(CONTENT_TYPE, b"")) and was is not _NOTHING:
        _check_attributes(was, data)
        _check_contract(data.get("data"), terms, "/data")
    else:
        _check_contract(data, terms, "")
    return Repair(id=record.id, value=data)


def with_changes(data: Any, changes: Iterable[tuple[str, Any]]) -> Any:
    """Return data with other values at these JSON pointers; raise `EditError` for one that leads nowhere."""
    changed = from_json(to_json(data))
    for pointer, value in changes:
        if not pointer.startswith("/"):
            raise EditError(pointer, "is no JSON pointer", "Write it as /customer/name")
        *path, last = (unescaped(part) for part in pointer.split("/")[1:])
        holder = changed
        for part in path:
            holder = _below(holder, part, pointer)
        if isinstance(holder, dict):
            holder[last] = value
        else:
            _below(holder, last, pointer)
            holder[int(last)] = value
    return changed


def hashes(record: DeadRecord, repair: Repair) -> Mapping[str, str]:
    """Return what tells the event before and after apart, and tells nothing of what is in it."""
    values = {"before": record.value, "after": to_json(repair.value)}
    return {name: hashlib.sha256(value).hexdigest() for name, value in values.items()}


def read_data(text: str | bytes) -> Any:
    """Return what a person wrote; raise `EditError` with the line where it is no JSON."""
    try:
        return from_json(text, allow_inf_nan=False)
    except ValueError as error:
        raise EditError("", f"they are no JSON: {error}", "Correct it there") from None


def _below(holder: Any, part: str, pointer: str) -> Any:
    if isinstance(holder, dict) and part in holder:
        return holder[part]
    if isinstance(holder, list) and part.isascii() and part.isdecimal() and int(part) < len(holder):
        return holder[int(part)]
    raise EditError(pointer, f"nothing is called {part[:100]!r} there", "Give the whole with --file, or another place")


def _unmasked(was: Any, shown: Any, given: Any, place: str) -> Any:
    """Return what was given, with what was before in the place of each mask."""
    if isinstance(given, dict):
        below = was if isinstance(was, dict) else {}
        seen = shown if isinstance(shown, dict) else {}
        return {
            name: _unmasked(below.get(name, _NOTHING), seen.get(name), value, f"{place}/{escaped(name)}")
            for name, value in given.items()
        }
    if isinstance(given, list):
        pairs = list(zip(was, shown, strict=True)) if isinstance(was, list) and isinstance(shown, list) else []
        pairs += [(_NOTHING, None)] * (len(given) - len(pairs))
        return [
            _unmasked(old, seen, value, f"{place}/{number}")
            for number, (value, (old, seen)) in enumerate(zip(given, pairs, strict=False))
        ]
    if given != MASK:
        return given
    if shown != MASK:
        raise EditError(place, f"{MASK} stands for what was there, and nothing was", "Write a value")
    return was


def _check_personal(was: Any, data: Any, terms: Terms) -> None:
    before = dict(_hidden(was, terms.personal)) if was is not _NOTHING else {}
    after = dict(_hidden(data, terms.personal))
    changed = [place for place in {**before, **after} if before.get(place, _NOTHING) != after.get(place, _NOTHING)]
    if changed and terms.sealed:
        raise EditError(changed[0], "it is personal, and sealed by its person's key", f"Leave {MASK} there")
    if changed and not terms.may_change_personal:
        why = "it is personal" if terms.personal is not None else "it may be personal, as nobody says what is"
        raise EditError(changed[0], f"{why}, and you may not change that", f"Leave {MASK} there")


def _hidden(data: Any, personal: tuple[str, ...] | None) -> Iterator[tuple[str, Any]]:
    """Yield all that is masked, with its place."""
    yield from _differing(data, mask(data, personal), "")


def _differing(data: Any, shown: Any, place: str) -> Iterator[tuple[str, Any]]:
    if isinstance(data, dict):
        for name, value in data.items():
            yield from _differing(value, shown[name], f"{place}/{escaped(name)}")
    elif isinstance(data, list):
        for number, value in enumerate(data):
            yield from _differing(value, shown[number], f"{place}/{number}")
    elif data != shown:
        yield place, data


def _check_attributes(was: Mapping[str, Any], data: Any) -> None:
    """Raise `EditError` where an event in structured mode would become another event."""
    if not isinstance(data, dict):
        raise EditError("", "they are no event any more", "Leave what is around the data as it was")
    for name in {**was, **data}:
        if name not in ("data", "data_base64") and was.get(name, _NOTHING) != data.get(name, _NOTHING):
            raise EditError(f"/{escaped(name)}", "says which event it is", "Leave it as it was")


def _check_contract(data: Any, terms: Terms, around: str) -> None:
    """Raise `EditError` with the places where data are not what the contract says; what they hold is not told."""
    if terms.schema is None:
        return
    errors = Draft202012Validator(terms.schema).iter_errors(from_json(masked(to_json(data))))
    told = sorted((around + _place(error), _expected(error)) for error in errors)
    if told:
        rest = "".join(f"; {place or 'the data'}: {why}" for place, why in told[1:_MOST_ERRORS])
        raise EditError(told[0][0], told[0][1] + rest, "Correct it, as the event's contract says")


def _place(error: Any) -> str:
    return "".join(f"/{escaped(str(part))}" for part in error.absolute_path)


def _expected(error: Any) -> str:
    """Return what a schema expects, without the value that is not so."""
    if error.validator == "required":
        missing = [name for name in error.validator_value if name not in error.instance]
        return f"lacks {', '.join(missing)}"
    if error.validator == "additionalProperties":
        return "has a field that the contract does not know"
    return f"is not as {error.validator} {to_json(error.validator_value).decode()[:200]} asks"
