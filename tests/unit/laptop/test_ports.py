"""Free ports: what a process was given once is not given again, though nobody listens on it yet."""

from random import Random

from orderflow_cli.servers.ports import free_port


def test_a_port_is_given_once() -> None:
    """The same draw a second time goes on to another port: a server's two listeners never get one port."""
    assert free_port(Random(7)) != free_port(Random(7))
