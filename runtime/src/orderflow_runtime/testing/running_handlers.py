"""Which handlers of a service are at work, so that a test is told of one that never ends, by name."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from orderflow_runtime.service import Service, Transaction

R = TypeVar("R")


class RunningHandlers:
    """The handlers under way; `cut` are those that were ended, by their time-out or as the service ended."""

    def __init__(self) -> None:
        self._running: Counter[str] = Counter()
        self.cut: list[str] = []

    @property
    def names(self) -> list[str]:
        """Return what is under way."""
        return [name for name, count in self._running.items() if count]

    def watched(self, service: Service) -> Service:
        """Return the service with handlers that are noted while they run."""
        return replace(
            service,
            handlers={event: self._watched(handler, event.TYPE) for event, handler in service.handlers.items()},
            timers={name: self._watched(handler, f"timer {name}") for name, handler in service.timers.items()},
            calls={
                kind: replace(call, handler=self._watched(call.handler, f"call {kind}"))
                for kind, call in service.calls.items()
            },
            commands={kind: self._watched(handler, kind.NAME) for kind, handler in service.commands.items()},
        )

    def _watched(
        self, handler: Callable[[Sequence[Any], Transaction], Awaitable[R]], of: str
    ) -> Callable[[Sequence[Any], Transaction], Awaitable[R]]:
        name = f"the handler of {of}"

        async def watch(inputs: Sequence[Any], tx: Transaction) -> R:
            self._running[name] += 1
            try:
                return await handler(inputs, tx)
            finally:
                self._running[name] -= 1
                if (task := asyncio.current_task()) and task.cancelling():
                    self.cut.append(name)

        return watch
