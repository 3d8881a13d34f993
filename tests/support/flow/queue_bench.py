"""A queue of a real RabbitMQ, the order service's API over a desk in memory, and a source between them."""

import asyncio
import json
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aio_pika
import aiohttp
from aio_pika.abc import AbstractIncomingMessage

from orderflow_cli.servers.ports import HOST, free_port
from orderflow_model.loading.load import parse_flow
from orderflow_model.service_part import service_config
from support.flow.flows import shop
from support.flow.order_desk_server import DeskServer
from support.tools.names import unique_name
from support.tools.programs import Program, forked
from support.tools.rabbitmq import RabbitMQ

ORDER: dict[str, Any] = {
    "customer": {"id": "c1", "email": "ann@example.org", "name": "Ann"},
    "lines": [{"sku": "apple", "quantity": 2, "unitPrice": 300}],
    "currency": "EUR",
    "payment": {"token": "tok"},
    "shipTo": {"name": "Ann", "street": "Main St 1", "city": "Ghent", "postcode": "9000", "country": "BE"},
}
QUEUE = {"uri": {"secretKeyRef": {"name": "erp", "key": "uri"}}, "name": "orders", "prefetch": 20}
SOURCE: dict[str, Any] = {
    "name": "erp",
    "image": "orderflow/services:dev",
    "queue": QUEUE,
    "into": {"service": "order", "path": "/orders"},
}


@dataclass
class Bench:
    """The parts of a test, and the source's environment as its resource makes it."""

    broker: RabbitMQ
    server: DeskServer
    folder: Path
    queue: str = field(default_factory=lambda: unique_name("orders"))
    source: Program | None = None
    port: int = field(default_factory=free_port)

    @property
    def refused(self) -> str:
        """The queue for refused messages."""
        return f"{self.queue}.refused"

    def start(self, uri: str = "", authority: str = "", **into: str) -> None:
        """Start the source, over TLS by an authority."""
        document = shop()
        tls = {"certificateAuthority": {"secretKeyRef": {"name": "erp", "key": "ca.crt"}}}
        queue = QUEUE | {"name": self.queue} | ({"tls": tls} if authority else {})
        document["spec"]["sources"] = [SOURCE | {"queue": queue, "into": SOURCE["into"] | into}]
        flow = parse_flow(document)
        (self.folder / "config.json").write_text(service_config(flow, "erp").model_dump_json())
        told = {one.name: one.value for one in flow.service("erp").env if one.value is not None}
        env = {
            **{name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ},
            **told,
            "ERP_QUEUE_URI": uri or self.broker.uri,
            "ERP_QUEUE_CA": authority,
            "SOURCE_INTO": f"{self.server.url}/orders",
            "ORDERFLOW_CONFIG": str(self.folder / "config.json"),
            "ORDERFLOW_HTTP_PORT": str(self.port),
        }
        self.source = forked(["-m", "orderflow_sources"], self.folder / "log", env)

    def kill(self) -> None:
        """SIGKILL the source."""
        assert self.source is not None
        self.source.kill()
        self.source.wait()

    async def publish(self, *messages: aio_pika.Message) -> None:
        """Send messages to the queue, which is made first, each confirmed."""
        async with await aio_pika.connect(self.broker.uri) as connection:
            channel = await connection.channel()
            await channel.declare_queue(self.queue, durable=True)
            for message in messages:
                await channel.default_exchange.publish(message, self.queue)

    async def left(self) -> int:
        """How many messages the queue holds that nobody has."""
        async with await aio_pika.connect(self.broker.uri) as connection:
            channel = await connection.channel()
            queue = await channel.get_queue(self.queue)
            return queue.declaration_result.message_count or 0

    async def refusals(self) -> list[AbstractIncomingMessage]:
        """Take all refused messages."""
        async with await aio_pika.connect(self.broker.uri) as connection:
            queue = await (await connection.channel()).declare_queue(self.refused, durable=True)
            found = []
            while (message := await queue.get(fail=False, no_ack=True)) is not None:
                found.append(message)
            return found

    async def asked(self, path: str) -> tuple[int, str]:
        """What the source answers; 0 while it does not."""
        async with aiohttp.ClientSession() as session:
            try:
                async with session.get(f"http://{HOST}:{self.port}{path}") as answer:
                    return answer.status, await answer.text()
            except aiohttp.ClientError:
                return 0, ""

    async def counted(self, outcome: str) -> int:
        """How many messages the source says had an outcome."""
        _, page = await self.asked("/metrics")
        name = f'orderflow_source_messages_total{{outcome="{outcome}"}}'
        return next((int(float(line.split()[-1])) for line in page.splitlines() if line.startswith(name)), 0)

    async def until(self, holds: Callable[[], Any], what: str, seconds: float = 20) -> None:
        """Wait until something holds, told by a coroutine or at once."""
        for _ in range(int(seconds / 0.05)):
            found = holds()
            if (await found) if asyncio.iscoroutine(found) else found:
                return
            await asyncio.sleep(0.05)
        raise AssertionError(f"not so in {seconds} s: {what}\n{(self.folder / 'log').read_text()[-3000:]}")


def order(key: str, **more: Any) -> aio_pika.Message:
    """Give the message of a good order."""
    body = json.dumps(ORDER | {"customer": ORDER["customer"] | {"id": key}}).encode()
    given: dict[str, Any] = {"message_id": key, "delivery_mode": 2, **more}
    return aio_pika.Message(body, **given)
