"""All that an author of a service needs, and the only module of the runtime that services import.

`docs/services.md` shows a service and its test. What an event is made of stands in `orderflow_contracts`, for modules
without I/O; the doubles of Kafka and Postgres in the folder `testing`. Whatever is not named here may change.

`main` is imported when it is asked for: it brings the clients of Kafka and Postgres, which handlers and their tests do
without.
"""

from typing import TYPE_CHECKING

from orderflow_contracts.event import Event, ForeignId, Model
from orderflow_contracts.raw_event import RawEvent
from orderflow_runtime.command import (
    Command,
    Intake,
    Reply,
    Submitted,
    TooLarge,
    TooManyCommandsError,
    UnavailableError,
)
from orderflow_runtime.core.store import Conflict
from orderflow_runtime.postgres.history import HistoryStep, read_history
from orderflow_runtime.service import (
    Call,
    CallOutcome,
    CommandHandler,
    EventHandler,
    Fired,
    Handed,
    Measure,
    NotTakenError,
    OutcomeHandler,
    OutcomeUnknownError,
    Port,
    Received,
    Recipient,
    Service,
    TimerHandler,
    Transaction,
    Verdict,
    each,
)
from orderflow_runtime.settings import MisconfiguredError, Settings, required
from orderflow_runtime.tracing.trace_context import set_call_attributes, trace_headers
from orderflow_runtime.variables import web_address, whole_number

if TYPE_CHECKING:
    from orderflow_runtime.app import main

__all__ = [
    "Call",
    "CallOutcome",
    "Command",
    "CommandHandler",
    "Conflict",
    "Event",
    "EventHandler",
    "Fired",
    "ForeignId",
    "Handed",
    "HistoryStep",
    "Intake",
    "Measure",
    "MisconfiguredError",
    "Model",
    "NotTakenError",
    "OutcomeHandler",
    "OutcomeUnknownError",
    "Port",
    "RawEvent",
    "Received",
    "Recipient",
    "Reply",
    "Service",
    "Settings",
    "Submitted",
    "TimerHandler",
    "TooLarge",
    "TooManyCommandsError",
    "Transaction",
    "UnavailableError",
    "Verdict",
    "each",
    "main",
    "read_history",
    "required",
    "set_call_attributes",
    "trace_headers",
    "web_address",
    "whole_number",
]


def __getattr__(name: str) -> object:
    """Import `main` at its first use; raise `AttributeError` for any other name."""
    if name == "main":
        from orderflow_runtime.app import main

        return main
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
