"""How a service process ends when it is told to: not at once, where others still send it requests.

`app.py` asks for the end at a signal; `http_server.py` serves and the worker works until it is due. Kubernetes takes a
pod out of its Services only while it tells the pod to end, and a load balancer needs longer still to hear of it.
"""

import asyncio


class Ending:
    """`asked` is true at once, `due` comes `drain` seconds later."""

    def __init__(self, drain: float = 0) -> None:
        self.asked = False
        self.due = asyncio.Event()
        self._drain = drain

    @property
    def obstacle(self) -> str:
        """Why the process is not to be sent requests any more, or nothing."""
        return "the process is about to end" if self.asked else ""

    def ask(self) -> None:
        """Begin to end; asked again, do not wait any longer."""
        if self.asked or not self._drain:
            self.due.set()
        else:
            asyncio.get_running_loop().call_later(self._drain, self.due.set)
        self.asked = True
