"""Orders, waiting events and dead letters written straight into a flow's tables: many, and old ones, in a second."""

import asyncpg

ORDERS = """
INSERT INTO "order".orders
  (order_id, placed_at, customer, details, currency, attempt, state, reason, amount, undo, history)
SELECT 'o' || lpad(n::text, 8, '0'), timestamptz '2026-11-01 00:00Z' + n * interval '1 second',
       json_build_object('id', 'c' || n % 5000, 'email', 'secret' || n || '@example.org', 'name', 'Nobody'),
       '{}', 'EUR', 0,
       CASE WHEN n % 20 = 0 THEN 'CANCELLED' ELSE 'COMPLETED' END, CASE WHEN n % 20 = 0 THEN 'CUSTOMER' END,
       100, '{}', '[]'
FROM generate_series(1, $1::int) AS n
"""
DEADLINE = """
INSERT INTO "order".timers (key, name, topic, partition, due_at, payload)
VALUES ($1, 'deadline', 't', 0, now() + interval '1 hour', '')
"""
PARKED = """
INSERT INTO payment.parked (topic, partition, key, type, headers, value, attempts, reason, due_at)
VALUES ('t', 0, $1, 'STOCK_RESERVED', '', $3, 2, $2, now())
"""
LETTERS = """
INSERT INTO {service}.dead_letters (id, topic, partition, key, type, attempts, reason, died_at)
SELECT gen_random_uuid(), 't', 0, 'o' || n, 'ORDER_CREATED', 6, $2 || E'\\nmore',
       timestamptz '2026-11-01 00:00Z' + n * interval '1 s'
FROM generate_series(1, $1::int) AS n
"""


def order_id(number: int) -> str:
    """The id of the n-th oldest order."""
    return f"o{number:08}"


async def store_orders(admin: asyncpg.Connection, count: int) -> None:
    """Store ended orders, one a second since 1 November 2026; of twenty one is cancelled."""
    await admin.execute(ORDERS, count)
    await admin.execute('VACUUM ANALYZE "order".orders')


async def set_state(admin: asyncpg.Connection, order: str, state: str, *, deadline: bool = False) -> None:
    """Move an order to a state, as the order service does; with a deadline it is open."""
    await admin.execute('UPDATE "order".orders SET state = $2 WHERE order_id = $1', order, state)
    if deadline:
        await admin.execute(DEADLINE, order)


async def park(admin: asyncpg.Connection, key: str, reason: str, value: bytes = b"") -> None:
    """Have payment retry an event of this key."""
    await admin.execute(PARKED, key, reason, value)


async def bury(admin: asyncpg.Connection, service: str, count: int, reason: str) -> None:
    """Give a service dead letters."""
    await admin.execute(LETTERS.format(service=service), count, reason)
