"""A consumer that kills itself with SIGKILL at a chosen moment of its work."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Sequence
from typing import Any

import boto3

from orderops.service.address import AddressBook
from orderops.service.database import OrderStore
from orderops.service.delivery import Delivery, Parts
from orderops.service.gate import Gate
from orderops.service.heartbeat import Heartbeat
from orderops.service.inbox import Inbox
from orderops.service.metrics import Metrics
from orderops.service.order_writer import OrderWriter, Written
from orderops.service.orders import PlacedOrder
from orderops.service.settings import read_settings

# Each is before or after a call to SQS, or a transaction. The second number is which of these calls it is.
MOMENTS = [
    (f"{when} {call}", nth)
    for call, nth in (
        ("receive_message", 1),
        ("write", 1),
        ("write", 2),
        ("write", 3),
        ("delete_message_batch", 1),
        ("delete_message_batch", 2),
        ("fail", 1),
        ("send_message", 1),
    )
    for when in ("before", "after")
]


class Moment:
    """Counts calls, and ends the process at the chosen one."""

    def __init__(self, name: str, nth: int) -> None:
        self._name = name
        self._left = nth

    def around(self, call: str, work: Callable[[], Any]) -> Any:
        self._reached(f"before {call}")
        result = work()
        self._reached(f"after {call}")
        return result

    def _reached(self, name: str) -> None:
        if name == self._name:
            self._left -= 1
            if self._left == 0:
                os.kill(os.getpid(), signal.SIGKILL)


class KillingSqs:
    """A boto3 client of SQS whose calls may be the last."""

    def __init__(self, sqs: Any, moment: Moment) -> None:
        self._sqs = sqs
        self._moment = moment

    def __getattr__(self, call: str) -> Callable[..., Any]:
        return lambda **parameters: self._moment.around(call, lambda: getattr(self._sqs, call)(**parameters))


class KillingWriter(OrderWriter):
    """Writer whose transactions may be the last."""

    def __init__(self, store: OrderStore, moment: Moment) -> None:
        super().__init__(store)
        self._moment = moment

    def write(self, orders: Sequence[PlacedOrder]) -> Written:
        written: Written = self._moment.around("write", lambda: super(KillingWriter, self).write(orders))
        return written

    def fail(self, order: PlacedOrder, reason: str) -> None:
        self._moment.around("fail", lambda: super(KillingWriter, self).fail(order, reason))


def consume(name: str, nth: int) -> None:
    """Deliver what is in the queue, as the variables of this process say; "" for a life without a chosen end."""
    settings = read_settings(os.environ)
    moment = Moment(name, nth)
    session = boto3.session.Session(region_name=settings.region)
    store = OrderStore(AddressBook(session.client("secretsmanager"), settings.database_secret), pool_size=2)
    sqs = KillingSqs(session.client("sqs"), moment)
    inbox = Inbox(sqs, settings.queue_url, settings.dead_letter_queue_url, poll_seconds=0)
    parts = Parts(inbox, KillingWriter(store, moment), Heartbeat(inbox), Metrics(), Gate())
    while messages := inbox.receive():
        Delivery(parts, messages).run()
    store.close()
