"""A cluster with both charts installed and the reference flow Ready: once a session, in a namespace of its own.

The tests stand in the order of their files: orders first, then changes while orders flow, then what kills, and the end
of the namespace last. Each can be run alone. What a failed test leaves to look at is in artifacts/e2e.
"""

import logging
import os
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from support.cluster.cluster import Namespace, helm, kubectl, obstacle
from support.cluster.shop_in_cluster import IMAGE, ShopInCluster, shop_in
from support.flow.orders import Shop, shop_of
from support.tools.names import unique_name

ROOT = Path(__file__).parents[2]
SYSTEM = "orderflow-system"
MARK = "orderflow.dev/e2e"
OPERATOR = ["orderflow-operator", str(ROOT / "charts/orderflow-operator"), "--set=image.tag=dev"]
PLATFORM = [
    "platform",
    str(ROOT / "charts/orderflow-platform"),
    f"--set=paymentProvider.image={IMAGE}",
    "--set=kafka.broker.resources.requests.cpu=50m,postgres.resources.requests.cpu=50m",
    *(f"--set=kafka.broker.image={image}" for image in [os.environ.get("E2E_KAFKA_IMAGE")] if image),
]
SECONDS = 600  # of one test, on a machine that does much else
UNAVAILABLE = 69  # as tools/kind
_BEGAN = time.monotonic()

logger = logging.getLogger("e2e")


def say(what: str) -> None:
    """Tell how far the session is, with its seconds."""
    logger.info("%4d s  %s", time.monotonic() - _BEGAN, what)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """End where there is no cluster, with the reason and the way to one; beside other tests only skip."""
    here = [item for item in items if Path(__file__).parent in item.path.parents]
    for item in here:
        item.add_marker(pytest.mark.timeout(SECONDS))
    if here and (why := obstacle()):
        if len(here) == len(items):
            pytest.exit(why, returncode=UNAVAILABLE)
        for item in here:
            item.add_marker(pytest.mark.skip(reason=why))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: "pytest.CallInfo[None]") -> Iterator[None]:
    """Keep what the cluster has to tell when a test fails, before the next one changes it."""
    report = yield
    if report.failed:
        folder = ROOT / "artifacts" / "e2e" / item.name
        subprocess.run([ROOT / "tools" / "kind", "bundle", folder], check=False, timeout=120)
        say(f"{item.name} failed; {folder.relative_to(ROOT)} has logs, events and states")
    return report


def install_operator(*values: str) -> None:
    """Install the operator's chart, or upgrade it."""
    helm("upgrade", "--install", "--create-namespace", f"--namespace={SYSTEM}", *OPERATOR, *values)


def install_platform(namespace: Namespace) -> None:
    """Install the platform's chart, or upgrade it."""
    helm("upgrade", "--install", f"--namespace={namespace.name}", *PLATFORM)


@pytest.fixture(scope="session")
def system() -> Namespace:
    """Where the operator runs."""
    return Namespace(SYSTEM)


@pytest.fixture
def install() -> Callable[..., None]:
    """What installs the operator's chart or upgrades it, with more values."""
    return install_operator


@pytest.fixture(scope="session")
def namespace(system: Namespace) -> Iterator[Namespace]:
    """A namespace with the platform in it, where the operator watches; what an earlier session left is removed."""
    kubectl("delete", "namespaces", f"--selector={MARK}", "--wait=false")
    ours = Namespace(unique_name("shop-"))
    system.create()
    ours.create(**{MARK: "true"})
    say("installing the charts")
    with ThreadPoolExecutor() as pool:
        for done in [pool.submit(install_operator), pool.submit(install_platform, ours)]:
            done.result()
    for name in ("postgres", "kafka", "payment-provider"):
        ours.rolled_out(f"statefulset/{name}")
    system.rolled_out("deployment/orderflow-operator")
    say("the platform is ready")
    yield ours
    kubectl("delete", "namespace", ours.name, "--wait=false", "--ignore-not-found")


@pytest.fixture(scope="session")
def fleet(namespace: Namespace, scratch: Path) -> Iterator[ShopInCluster]:
    """The reference flow, Ready."""
    with shop_in(namespace, scratch) as fleet:
        fleet.apply()
        fleet.until_ready()
        say(f"the flow is Ready {time.monotonic() - fleet.applied:.0f} s after it was applied")
        yield fleet


@pytest.fixture
async def shop(fleet: ShopInCluster) -> AsyncIterator[Shop]:
    """A client of the order service; the provider behaves again afterwards."""
    async with shop_of(fleet) as shop:
        yield shop
        await shop.provider()
