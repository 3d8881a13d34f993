"""Dead letters as lines of a file that a person repairs: `dead-letters list --export` writes it, `redrive` reads."""

import uuid
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import from_json

from orderflow_console.actions.redrive import RedriveError, Repair
from orderflow_console.queries.letter_records import DeadRecord


def read_repairs(path: Path) -> dict[uuid.UUID, Repair]:
    """Read NDJSON; raise `RedriveError` naming the line."""
    repairs = {}
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise RedriveError(f"{path}: {error.strerror}", "Give another file") from None
    for number, line in enumerate(lines, start=1):
        if line.strip():
            try:
                repair = Repair.model_validate_json(line)
            except ValidationError as error:
                problem = error.errors()[0]
                place = ".".join(map(str, problem["loc"]))
                raise RedriveError(f"{path}:{number}: {place} {problem['msg']}", "Correct that line") from None
            repairs[repair.id] = repair
    return repairs


def export(record: DeadRecord) -> dict[str, Any]:
    """Return a record as a line to look at, to repair and to hand to `--repair-with`; `text` where it is not JSON."""
    line: dict[str, Any] = {
        "id": str(record.id),
        "key": None if record.key is None else record.key.decode(errors="replace"),
        "headers": {name: (value or b"").decode(errors="replace") for name, value in record.headers},
    }
    try:
        return line | {"value": from_json(record.value, allow_inf_nan=False)}
    except ValueError:
        return line | {"value": None, "text": record.value.decode(errors="replace")}
