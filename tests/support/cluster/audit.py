"""The API server's audit log, as tests ask it for who has called what."""

import json
from collections import defaultdict
from pathlib import Path
from threading import Lock
from typing import Any

Call = dict[str, str]
"""user, verb, code, resource, namespace, name, subresource, only_tried; those that the call has."""


class AuditLog:
    """Calls that are answered, read on from where the last look ended: tests look ten times a second."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._calls: defaultdict[str, list[Call]] = defaultdict(list)
        self._read = 0
        self._lock = Lock()

    def calls(self, user: str) -> list[Call]:
        """Return every call of a user so far; one that is not answered yet is not there."""
        with self._lock:
            if self.path.exists():
                self._read_on()
            return list(self._calls[user])

    def _read_on(self) -> None:
        with self.path.open("rb") as file:
            file.seek(self._read)
            data = file.read()
        whole = data[: data.rfind(b"\n") + 1]
        self._read += len(whole)
        for event in map(json.loads, whole.splitlines()):
            if _is_answered(event):
                self._calls[event["user"]["username"]].append(_call(event))


def _is_answered(event: dict[str, Any]) -> bool:
    answered = "ResponseStarted" if event["verb"] == "watch" else "ResponseComplete"  # a watch may never end
    return bool(event["stage"] == answered)


def _call(event: dict[str, Any]) -> Call:
    code = str(event["responseStatus"]["code"])
    tried = {"only_tried": "yes"} if "dryRun=" in event["requestURI"] else {}
    return {"user": event["user"]["username"], "verb": event["verb"], "code": code} | tried | event.get("objectRef", {})
