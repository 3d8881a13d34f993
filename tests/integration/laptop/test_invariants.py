"""The judgement of a flow at rest: each way to lose something breaks just the invariant that guards it."""

from collections.abc import AsyncIterator

import asyncpg
import pytest

from orderflow_cli.shop import invariants
from orderflow_model.flow import OrderFlow
from orderflow_model.loading.load import load_flow
from orderflow_runtime.postgres.migrator import migrate
from support.flow.cli_process import FLOW

HEALTHY = """
    insert into "order".orders (order_id, placed_at, customer, details, currency, attempt, state, undo, history)
    values ('a', now(), '{}', '{}', 'EUR', 0, 'COMPLETED', '{}', '[]'),
           ('b', now(), '{}', '{}', 'EUR', 0, 'CANCELLED', '{}', '[]');
    update inventory.stock set on_hand = on_hand - 2, sold = 2 where sku = 'SKU-0001';
    insert into payment.payment values ('a', 'CAPTURED', 500, 'EUR', null, 500, 0, false, 1, 'r1'),
                                       ('b', 'REFUNDED', 700, 'EUR', null, 700, 700, true, 1, 'r2');
    insert into shipping.shipment values ('a', 'CREATED', 't1', 500), ('b', 'CANCELLED', null, 0);
"""


@pytest.fixture
def flow(flow_name: str) -> OrderFlow:
    """The reference flow under a name of its own: roles are shared by all databases of the server."""
    return load_flow(FLOW.read_text().replace("name: shop\n", f"name: {flow_name}\n", 1))


@pytest.fixture
async def connection(database: str, flow: OrderFlow) -> AsyncIterator[asyncpg.Connection]:
    """The flow's database with one order completed and one refunded."""
    await migrate(database, flow, {service.name: "x" for service in flow.spec.services})
    connection = await asyncpg.connect(database)
    await connection.execute(HEALTHY)
    yield connection
    await connection.close()


async def _broken(connection: asyncpg.Connection, flow: OrderFlow) -> list[str]:
    return [finding.name for finding in await invariants.check(connection, flow) if not finding.holds]


async def test_a_healthy_flow_breaks_nothing(connection: asyncpg.Connection, flow: OrderFlow) -> None:
    """One order shipped, one refunded: at rest, and all five invariants hold."""
    assert await invariants.at_rest(connection, flow)
    assert await _broken(connection, flow) == []
    assert len(await invariants.check(connection, flow)) == 5


@pytest.mark.parametrize(
    ("damage", "broken"),
    [
        ("update \"order\".orders set state = 'PAID' where order_id = 'a'", ["every order ended"]),
        ("update \"order\".orders set state = 'COMPENSATION_FAILED'", ["every order ended"]),
        ("delete from shipping.shipment where order_id = 'a'", ["money is conserved"]),
        ("update shipping.shipment set value = 499 where order_id = 'a'", ["money is conserved"]),
        ("update payment.payment set refunded = 0 where order_id = 'b'", ["money is conserved"]),
        (
            "update inventory.stock set on_hand = on_hand - 1, reserved = 1 where sku = 'SKU-0002'",
            ["nothing stays reserved", "stock is conserved"],
        ),
        (
            "insert into payment.calls (id, kind, key, topic, partition, request) values ('c', 'k', 'a', 't', 0, '')",
            ["no work left over"],
        ),
    ],
)
async def test_each_loss_is_found(
    connection: asyncpg.Connection, flow: OrderFlow, damage: str, broken: list[str]
) -> None:
    """What is lost, doubled or left over breaks the invariant that guards it, and no other."""
    await connection.execute(damage)
    assert await _broken(connection, flow) == broken


async def test_work_left_over_is_not_rest(connection: asyncpg.Connection, flow: OrderFlow) -> None:
    """A flow whose orders have all ended may still owe a message."""
    await connection.execute(
        "insert into shipping.outbox (topic, partition, intake, messages) values ('t', 0, false, '')"
    )
    assert not await invariants.at_rest(connection, flow)


async def test_dead_letters_are_counted_by_reason(connection: asyncpg.Connection, flow: OrderFlow) -> None:
    """They break nothing by themselves, but each reason is listed; those put back are not."""
    for number, state in enumerate(("Dead", "Dead", "Redriven")):
        await connection.execute(
            "insert into payment.dead_letters (id, topic, partition, type, attempts, reason, state) "
            "values (gen_random_uuid(), 't', $1, 'X', 1, 'broken JSON', $2)",
            number,
            state,
        )
    assert await invariants.dead_letters(connection, flow) == {"payment: broken JSON": 2}
