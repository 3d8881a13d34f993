"""The notification service's handlers, run by the runtime in its transaction: note, address, hand over."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from orderflow_notification import domain, store
from orderflow_notification.domain import SUBSCRIBES, Message
from orderflow_notification.senders import Sender
from orderflow_runtime import Call, CallOutcome, Event, EventHandler, Received, Service, Transaction
from orderflow_shop.events import OrderCancelled, OrderCompleted, OrderCreated

SEND = "send"
_WITH_CUSTOMER = (OrderCreated, OrderCompleted, OrderCancelled)


def notification_service(sender: Sender) -> Service:
    """Return the service that tells customers by this sender. It publishes nothing: no order depends on it."""
    handlers = Handlers(sender.at_once)
    table: dict[type[Event], EventHandler] = dict.fromkeys(SUBSCRIBES, handlers.tell_known)
    return Service(
        name="notification",
        handlers=table | dict.fromkeys(_WITH_CUSTOMER, handlers.tell) | {OrderCreated: handlers.begin},
        calls={SEND: Call(sender, note_refusals)},
    )


@dataclass(frozen=True, slots=True)
class Handlers:
    """The handler table's functions. `at_once` is how many messages the sender takes in one call."""

    at_once: int

    async def begin(self, events: Sequence[Received[OrderCreated]], tx: Transaction) -> list[Event]:
        """Learn who ordered, say that the order is in, and say what waited for that."""
        contacts = {event.key: domain.contact(event.event.customer) for event in events}
        waited = await store.learn(tx, contacts)
        self._send([domain.address(notice, contacts[notice.order_id]) for notice in waited], tx)
        return await self.tell(events, tx)

    async def tell(self, events: Sequence[Received[Any]], tx: Transaction) -> list[Event]:
        """Tell of events that say themselves who the customer is."""
        contacts = {event.key: domain.contact(event.event.customer) for event in events}
        notices = await store.claim(tx, _notices(events))
        self._send([domain.address(notice, contacts[notice.order_id]) for notice in notices], tx)
        return []

    async def tell_known(self, events: Sequence[Received[Any]], tx: Transaction) -> list[Event]:
        """Tell of events whose customer must be known from elsewhere; where not yet, the notice waits."""
        notices = await store.claim(tx, _notices(events))
        contacts = await store.contacts(tx, [notice.order_id for notice in notices]) if notices else {}
        self._send([domain.address(n, contacts[n.order_id]) for n in notices if n.order_id in contacts], tx)
        await store.wait(tx, [notice for notice in notices if notice.order_id not in contacts])
        return []

    def _send(self, messages: Sequence[Message], tx: Transaction) -> None:
        messages = [message for message in messages if not domain.is_erased(message)]
        for start in range(0, len(messages), self.at_once):
            together = messages[start : start + self.at_once]
            first = together[0].id
            request = {"messages": [message.plain() for message in together]}
            tx.call(SEND, domain.told(first)[0], request, first)


async def note_refusals(outcomes: Sequence[CallOutcome], tx: Transaction) -> list[Event]:
    """Note what the mail server will never take; what is sent needs no note, its row is there."""
    refused = {domain.told(one): why for outcome in outcomes for one, why in outcome.result["refused"].items()}
    await store.refuse(tx, refused)
    return []


def _notices(events: Sequence[Received[Any]]) -> list[domain.Notice]:
    return [notice for event in events if (notice := domain.notice(event.event))]
