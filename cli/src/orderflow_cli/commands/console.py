"""`orderflow console`: opens the way to a flow's console in a cluster, and says how to log in."""

import base64
import shutil
import subprocess
from contextlib import suppress

import click

from orderflow_cli.cluster import Cluster
from orderflow_cli.errors import NotRunningError, ToolMissingError
from orderflow_cli.servers.ports import HOST, free_port
from orderflow_model.flow import OrderFlow
from orderflow_model.names import object_name
from orderflow_model.spec.console import CONSOLE, Console, token_place


@click.command()
@click.argument("name")
@click.option("-n", "--namespace", help="Namespace of the flow; the kubeconfig's otherwise.")
@click.option("--port", type=click.IntRange(1, 65_535), help="Port of this machine; a free one when left out.")
def console(name: str, namespace: str | None, port: int | None) -> None:
    """Open the way to the console of the flow NAME in a cluster, and say where it is and how to log in.

    Where the resource gives it no url of its own, this forwards a port of this machine by kubectl until Ctrl-C. The
    token, where people log in by one, is shown to whoever may read the Secret that it stands in.
    """
    cluster = Cluster()
    flow = cluster.flow(name, namespace)
    within = namespace or cluster.namespace
    if flow.spec.console is None:
        raise NotRunningError(f"{name} has no console in {within}", "Give it a spec.console: docs/console.md")
    if flow.spec.console.url is not None:
        click.echo(f"console: {flow.spec.console.url}")
        _say_how(cluster, flow, flow.spec.console, within)
        return
    port = port or free_port()
    forward = _forward(object_name(name, CONSOLE), within, port)
    click.echo(f"console: http://{HOST}:{port} until Ctrl-C")
    _say_how(cluster, flow, flow.spec.console, within)
    with suppress(KeyboardInterrupt):
        code = subprocess.call(forward, stdout=subprocess.DEVNULL)  # noqa: S603 - the words are checked names
        raise NotRunningError(f"kubectl ended with {code}", "Look at what it said, and at the pod of the console")


def _say_how(cluster: Cluster, flow: OrderFlow, given: Console, namespace: str) -> None:
    if (place := token_place(flow.metadata.name, given)) is None:
        return
    stored = cluster.get(f"/api/v1/namespaces/{namespace}/secrets/{place.name}")
    click.echo(f"token:   {base64.b64decode(stored['data'][place.key]).decode()}")


def _forward(service: str, namespace: str, port: int) -> list[str]:
    """Return the command that opens the way; raise `ToolMissingError` without kubectl."""
    if shutil.which("kubectl") is None:
        raise ToolMissingError("kubectl is not on the path", "Install it: the way into the cluster is its port-forward")
    return ["kubectl", "port-forward", "-n", namespace, "--address", HOST, f"service/{service}", f"{port}:80"]
