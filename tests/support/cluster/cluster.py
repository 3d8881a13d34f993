"""The cluster of the current context, by the commands that its users have: kubectl and helm. The tier e2e calls it.

Whatever goes wrong carries the command's own words. `ORDERFLOW_E2E_CONTEXT` names a context that is allowed though its
nodes are not kind's.
"""

import asyncio
import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterable
from typing import Any

ALLOWED = "ORDERFLOW_E2E_CONTEXT"
Json = dict[str, Any]


class CommandFailed(AssertionError):  # noqa: N818 - it says what happened
    """A command that did not do what it was asked."""


def kubectl(*words: str, stdin: str | None = None, seconds: float = 120) -> str:
    """Run kubectl and give what it prints; raise `CommandFailed`."""
    return _run(["kubectl", *words], stdin, seconds)


def helm(*words: str, seconds: float = 180) -> str:
    """Run helm and give what it prints; raise `CommandFailed`."""
    return _run(["helm", *words], None, seconds)


async def aside(work: Callable[..., Any], *words: Any, **options: Any) -> Any:
    """Run a command in a thread, while orders go on."""
    return await asyncio.to_thread(work, *words, **options)


def _run(command: list[str], stdin: str | None, seconds: float) -> str:
    try:
        done = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=seconds, check=False)
    except subprocess.TimeoutExpired:
        raise CommandFailed(f"{' '.join(command)}: not within {seconds:.0f} s") from None
    if done.returncode:
        raise CommandFailed(f"{' '.join(command)}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def obstacle() -> str | None:
    """Say why there is no cluster to test on; None where there is one."""
    for program in ("kubectl", "helm"):
        if shutil.which(program) is None:
            return f"{program} is not on PATH; `make kind-up` makes a cluster, or says what it lacks"
    try:
        context = kubectl("config", "current-context").strip()
        nodes = kubectl("get", "nodes", "--output=jsonpath={.items[*].spec.providerID}", "--request-timeout=20s")
    except CommandFailed as error:
        return f"no cluster answers ({error}); `make kind-up` makes one"
    if not all(node.startswith("kind://") for node in nodes.split()) and os.environ.get(ALLOWED) != context:
        return f"{context} is no kind cluster; {ALLOWED}={context} allows it"
    return None


def until(condition: Callable[[], Any], what: str, seconds: float = 120, every: float = 1.0) -> Any:
    """Wait until the condition gives something true, and give that; a refused command counts as not yet."""
    deadline = time.monotonic() + seconds
    found: Any = None
    while time.monotonic() < deadline:
        try:
            if found := condition():
                return found
        except CommandFailed as error:
            found = error
        time.sleep(every)
    raise AssertionError(f"not within {seconds:.0f} s: {what} ({found})")


class Namespace:
    """A namespace and what tests do in it."""

    def __init__(self, name: str) -> None:
        self.name = name

    def kubectl(self, *words: str, stdin: str | None = None, seconds: float = 120) -> str:
        """Run kubectl here."""
        return kubectl("--namespace", self.name, *words, stdin=stdin, seconds=seconds)

    def create(self, **labels: str) -> None:
        """Make it, with Pod Security `restricted` enforced."""
        labels = {"pod-security.kubernetes.io/enforce": "restricted"} | labels
        metadata = {"name": self.name, "labels": labels}
        self.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})

    def apply(self, *objects: Json) -> None:
        """Apply objects, as a user with a file."""
        kubectl("apply", "--filename=-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))

    def get(self, kind: str, name: str) -> Json:
        """Give an object."""
        return dict(json.loads(self.kubectl("get", kind, name, "--output=json")))

    def all_of(self, kind: str, selector: str = "") -> list[Json]:
        """Give objects, all or those with these labels."""
        return list(json.loads(self.kubectl("get", kind, f"--selector={selector}", "--output=json"))["items"])

    def pods(self, selector: str) -> dict[str, Json]:
        """Give the pods that are not about to go, by uid."""
        found = self.all_of("pods", selector)
        return {pod["metadata"]["uid"]: pod for pod in found if "deletionTimestamp" not in pod["metadata"]}

    def ready(self, selector: str, but: Iterable[str] = ()) -> list[str]:
        """Give the uids of ready pods, but for these."""
        return [uid for uid, pod in self.pods(selector).items() if uid not in but and is_ready(pod)]

    def kill(self, selector: str) -> list[str]:
        """End pods at once, without a good-bye; give their uids."""
        uids = list(self.pods(selector))
        self.kubectl("delete", "pods", f"--selector={selector}", "--grace-period=0", "--force", "--wait=false")
        return uids

    def kill_and_wait(self, selector: str, seconds: float = 120) -> None:
        """End pods at once, and wait for others in their place."""
        gone = self.kill(selector)
        until(lambda: len(self.ready(selector, gone)) >= len(gone), f"new pods of {selector} are ready", seconds)

    def rolled_out(self, what: str, seconds: float = 240) -> None:
        """Wait until a workload runs as it should."""
        self.kubectl("rollout", "status", what, f"--timeout={seconds:.0f}s", seconds=seconds + 10)


def is_ready(pod: Json) -> bool:
    """Whether a pod says that it is ready."""
    conditions = pod.get("status", {}).get("conditions") or ()
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)
