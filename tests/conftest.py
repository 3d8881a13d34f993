"""Fixtures of every tier: real Kafka and Postgres, started once per session when first asked for.

`kafka`, `secure_kafka`, `postgres`   shared by the session: never stop these
`private_kafka`, `private_postgres`   started for one test, which may stop, kill and restart them
`database`            a fresh, empty database of the shared Postgres, by its superuser's URL
`flow_name`           a name no other test uses: prefix topics, groups and roles with it
`chaos`               how much of a long test this run takes (`--chaos`); who asks for it is marked `chaos`
"""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from orderflow_cli.servers.kafka import Kafka
from orderflow_cli.servers.postgres import Postgres, create_database, drop_database
from support.tools.names import unique_name
from support.tools.portion import Portion, portion
from support.tools.scratch import scratch_directory
from support.tools.secure_kafka import SecureKafka
from support.tools.servers import kafka_program, new_kafka, new_postgres

pytest_plugins = ["support.tools.failures"]

# how long an example takes says more of what else the machine does than of the code
settings.register_profile("orderflow", deadline=None)
settings.load_profile("orderflow")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Take the portion of the long tests."""
    parser.addoption("--chaos", default="tenth", help="of the long tests: tenth (the default), whole or slice:K/N")


def pytest_configure(config: pytest.Config) -> None:
    """Refuse a portion that is none before anything runs."""
    try:
        portion(config.getoption("chaos"))
    except ValueError as wrong:
        raise pytest.UsageError(str(wrong)) from None


def pytest_report_header(config: pytest.Config) -> str:
    """Say how much of the long tests runs."""
    return f"chaos: {portion(config.getoption('chaos'))}"


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark the tests that take a portion, and leave out the cases that are another slice's."""
    for item in items:
        if takes_portion(item):
            item.add_marker("chaos")
    cases = {item.nodeid: item for item in items if item.get_closest_marker("chaos") and not takes_portion(item)}
    left_out = cases.keys() - portion(config.getoption("chaos")).cases(cases)
    if left_out:
        config.hook.pytest_deselected(items=[cases[node] for node in left_out])
        items[:] = [item for item in items if item.nodeid not in left_out]


def takes_portion(item: pytest.Item) -> bool:
    """Whether a test asks how much of it runs."""
    return "chaos" in getattr(item, "fixturenames", ())


@pytest.fixture(scope="session")
def chaos(pytestconfig: pytest.Config) -> Portion:
    """How much of a long test runs: `chaos.turns(range(50))`, `chaos.size(20_000)`."""
    return portion(pytestconfig.getoption("chaos"))


@pytest.fixture(scope="session")
def scratch() -> Iterator[Path]:
    """A folder for the session's servers, removed even when pytest is killed."""
    with scratch_directory() as folder:
        yield folder


@pytest.fixture(scope="session")
def kafka(scratch: Path) -> Iterator[Kafka]:
    """The session's broker: `kafka.bootstrap`."""
    server = new_kafka(scratch)
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def secure_kafka(scratch: Path) -> Iterator[SecureKafka]:
    """A broker with TLS, SCRAM and an authorizer, as Strimzi sets one up."""
    (folder := scratch / "secure").mkdir()
    server = SecureKafka(folder, kafka_program())
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def postgres(scratch: Path) -> Iterator[Postgres]:
    """The session's Postgres: `postgres.admin_url(database)`."""
    server = new_postgres(scratch)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def private_kafka() -> Iterator[Kafka]:
    """A broker that the test may stop, kill and restart."""
    with scratch_directory() as folder:
        server = new_kafka(folder)
        server.start()
        yield server
        server.stop()


@pytest.fixture
def private_postgres() -> Iterator[Postgres]:
    """A Postgres that the test may stop, kill and restart."""
    with scratch_directory() as folder:
        server = new_postgres(folder)
        server.start()
        yield server
        server.stop()


@pytest.fixture
def flow_name() -> str:
    """A flow's name that no other test uses."""
    return unique_name("f")


@pytest.fixture
async def database(postgres: Postgres) -> AsyncIterator[str]:
    """The superuser's URL of a fresh, empty database."""
    name = unique_name("db")
    await create_database(postgres.admin_url(), name)
    yield postgres.admin_url(name)
    await drop_database(postgres.admin_url(), name)
