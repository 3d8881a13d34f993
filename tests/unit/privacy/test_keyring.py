"""How a service comes by people's keys: few statements, a bounded memory, and nothing by a key that is gone."""

import uuid
from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Any, ClassVar

import pytest
from pydantic import Field

from orderflow_contracts.event import PERSONAL, Event
from orderflow_contracts.flow_key import FlowKey
from orderflow_contracts.sealed import people_in
from orderflow_model import environment
from orderflow_model.service_config import PrivacyRole
from orderflow_model.service_part import service_config
from orderflow_order.__main__ import build
from orderflow_runtime.dispatch import keyring
from orderflow_runtime.dispatch.effects import Clock, Publisher
from orderflow_runtime.dispatch.keyring import Keyring
from orderflow_runtime.dispatch.masking import ErasedMeanwhileError, Masking
from orderflow_runtime.process import Process
from orderflow_runtime.settings import MisconfiguredError, Settings
from orderflow_runtime.testing.memory_store import MemoryStore
from orderflow_runtime.tracing.trace_context import NONE
from orderflow_runtime.tracing.tracer import Tracer
from orderflow_shop.events import Address, InventoryUpdated, Line, OrderCreated, PaymentProcessed
from support.flow.orders import shop_flow
from support.flow.people import SECRET, order_of, texts_of


class Keys:
    """The two functions of the schema `privacy`, in memory; counts the statements."""

    def __init__(self) -> None:
        self.by_subject: dict[bytes, tuple[uuid.UUID, bytes]] = {}
        self.records: dict[str, uuid.UUID] = {}
        self.statements = 0

    async def fetch(self, query: str, *args: Any) -> Sequence[dict[str, Any]]:
        """Answer as the functions do."""
        self.statements += 1
        if "open_keys" in query:
            return [{"person": p, "wrapped": w} for p, w in self.by_subject.values() if p in args[0]]
        rows = []
        for number, (record, subject, person, wrapped) in enumerate(zip(*args, strict=True), 1):
            if subject is not None:
                self.by_subject.setdefault(subject, (person, wrapped))
                self.records.setdefault(record, self.by_subject[subject][0])
            owner = self.by_subject[subject][0] if subject is not None else self.records.get(record)
            rows += [{"number": number, "person": p, "wrapped": w} for p, w in self.by_subject.values() if p == owner]
        return rows


def created(number: int) -> OrderCreated:
    """Make an event of a person, of a record key of their own."""
    wanted = order_of(number, "k")
    del wanted["idempotencyKey"]
    return OrderCreated.model_validate(wanted | {"orderId": f"o{number}"})


def packed(number: int) -> InventoryUpdated:
    """Make an event with the address of a person, and no word of who that is."""
    line = Line(sku="s", quantity=1, unit_price=1)
    return InventoryUpdated(order_id=f"o{number}", lines=(line,), ship_to=created(number).ship_to)


@pytest.fixture
def keys() -> Keys:
    """No key of anybody."""
    return Keys()


@pytest.fixture
def writer() -> Keyring:
    """The keyring of a service that publishes."""
    return Keyring(FlowKey("shop", SECRET))


@pytest.fixture
def reader() -> Keyring:
    """That of another one."""
    return Keyring(FlowKey("shop", SECRET))


async def test_a_batch_takes_one_statement_and_the_next_of_the_same_people_none(
    keys: Keys, writer: Keyring, reader: Keyring
) -> None:
    """Whoever they are; events of nobody take none at all."""
    events = [created(n) for n in range(50)]
    data = await writer.encode(keys.fetch, events)
    assert keys.statements == 1
    await reader.learn(keys.fetch, data)
    assert [OrderCreated.decode(reader.reveal("ORDER_CREATED", one), 2) for one in data] == events
    assert keys.statements == 2
    await reader.learn(keys.fetch, data)
    paid = PaymentProcessed(order_id="o1", amount=1, currency="EUR", reference="r")
    assert await writer.encode(keys.fetch, [paid]) == [paid.encode()]
    await reader.learn(keys.fetch, [paid.encode()])
    await reader.hold(keys.fetch, [paid.encode()])
    assert keys.statements == 2


async def test_an_event_without_a_subject_is_of_whoever_its_record_key_is(
    keys: Keys, writer: Keyring, reader: Keyring
) -> None:
    """As the first event of the key said; without one it is masked."""
    order, shipped = [(await reader.encode(keys.fetch, [one]))[0] for one in (created(3), packed(3))]
    assert people_in(order) == people_in(shipped)
    unknown = (await writer.encode(keys.fetch, [packed(4)]))[0]
    assert not [text for text in texts_of(4) if text.encode() in unknown]
    assert isinstance(InventoryUpdated.decode(unknown, 1).ship_to, Address)


async def test_nothing_is_committed_by_a_key_that_is_gone(keys: Keys, writer: Keyring, reader: Keyring) -> None:
    """Erased between reading and commit: the batch is read anew, and is masked then."""
    data = await writer.encode(keys.fetch, [created(1), created(2)])
    await reader.learn(keys.fetch, data)
    await reader.hold(keys.fetch, data)
    del keys.by_subject[FlowKey("shop", SECRET).subject_hash(texts_of(1)[0])]
    with pytest.raises(ErasedMeanwhileError):
        await reader.hold(keys.fetch, data)
    await reader.learn(keys.fetch, data)
    await reader.hold(keys.fetch, data)
    seen = [OrderCreated.decode(reader.reveal("ORDER_CREATED", one), 2).customer.email for one in data]
    assert seen == ["erased@erased.invalid", texts_of(2)[1]]


async def test_keys_of_a_batch_are_kept_and_of_others_no_more_than_the_bound(
    keys: Keys, writer: Keyring, reader: Keyring, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A batch of more people than the bound is read all the same."""
    monkeypatch.setattr(keyring, "MOST_KEYS", 5)
    data = await writer.encode(keys.fetch, [created(n) for n in range(20)])
    await reader.learn(keys.fetch, data)
    assert all(texts_of(n)[1].encode() in reader.reveal("ORDER_CREATED", one) for n, one in enumerate(data))
    await reader.learn(keys.fetch, data[:1])
    before = keys.statements
    await reader.learn(keys.fetch, data[5:6])
    assert keys.statements == before + 1


async def test_a_flow_without_privacy_asks_nothing(keys: Keys) -> None:
    """Events are published as they are, without a statement."""
    publisher = Publisher("/shop/order", {OrderCreated: "t"}, Clock(), Tracer())
    (message,) = await publisher.messages(keys, [created(1)], [NONE])  # type: ignore[arg-type]  # only fetch is there
    assert (message.value, keys.statements) == (created(1).encode(), 0)


async def test_who_may_not_read_sees_masks(keys: Keys, writer: Keyring) -> None:
    """Of any person, be their key there or not; the person's id is a random one."""
    (data,) = await writer.encode(keys.fetch, [created(1)])
    seen = OrderCreated.decode(Masking().reveal("ORDER_CREATED", data), 2)
    assert (seen.customer.id, seen.ship_to.city) == (str(keys.records["o1"]), "erased@erased.invalid")


@pytest.mark.parametrize(
    ("role", "secret", "words"),
    [
        (PrivacyRole.MASKED, SECRET, "publishes personal data"),
        (PrivacyRole.READER, "", f"{environment.PRIVACY_KEY} is not set"),
        (PrivacyRole.READER, "short", "fewer than 32 letters"),
    ],
)
def test_a_service_that_cannot_seal_does_not_start(role: PrivacyRole, secret: str, words: str) -> None:
    """It is told why."""
    config = service_config(shop_flow("shop"), "order").model_copy(update={"privacy": role})
    settings, nothing = Settings(config, {environment.PRIVACY_KEY: secret}), object()
    with pytest.raises(MisconfiguredError, match=words):
        Process(build(settings), settings, nothing, nothing, MemoryStore(), Clock())  # type: ignore[arg-type]  # never used


class Aged(Event):
    """People who are keys of a dictionary, where nothing is sealed."""

    TYPE: ClassVar[str] = "AGED"

    ages: dict[Annotated[str, Field(json_schema_extra=PERSONAL)], int]


def test_a_service_whose_events_have_people_for_keys_does_not_start() -> None:
    """What cannot be sealed is not written in the clear: the place is told."""
    config = service_config(shop_flow("shop"), "order").model_copy(update={"privacy": PrivacyRole.READER})
    settings, nothing = Settings(config, {environment.PRIVACY_KEY: SECRET}), object()
    service = replace(build(settings), publishes=(Aged,))
    with pytest.raises(MisconfiguredError, match="AGED: /properties/ages/propertyNames"):
        Process(service, settings, nothing, nothing, MemoryStore(), Clock())  # type: ignore[arg-type]  # never used
