"""Free loopback ports, for everything `orderflow run` and the tests start."""

import random
import socket
from contextlib import closing

HOST = "127.0.0.1"

# Below every system's ephemeral range: a client that keeps reconnecting to a stopped server must never be
# given the server's own port as its source port, which would keep the server from coming back.
_RANGE = range(15_000, 30_000)

_given: set[int] = set()  # by this process; whoever was given a port may not listen on it yet


def is_free(port: int) -> bool:
    """Return whether a server could listen on this loopback port now."""
    with closing(socket.socket()) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def is_listening(port: int) -> bool:
    """Return whether something accepts connections on this loopback port."""
    with closing(socket.socket()) as probe:
        probe.settimeout(1)
        return probe.connect_ex((HOST, port)) == 0


def free_port(rng: random.Random | None = None) -> int:
    """Return a port that nobody listens on, never the same twice; raise `OSError` when a hundred draws found none."""
    draw = rng or random.SystemRandom()
    for _ in range(100):
        port = draw.choice(_RANGE)
        if port not in _given and is_free(port):
            _given.add(port)
            return port
    raise OSError(f"no free loopback port between {_RANGE.start} and {_RANGE.stop}")
