"""An order: what a client may send, its id, and the message that carries it through the queue."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Annotated, Literal
from uuid import UUID, uuid5

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

# Bytes of a request. An order with the most items of the longest SKUs has less than 14 KB.
LARGEST_REQUEST = 32 * 1024
KEY_PATTERN = r"^[\x21-\x7e]{1,200}$"
# Any UUID serves, as long as it never changes: the ids of accepted orders follow from it.
_NAMESPACE = UUID("6d3c5f0e-6a0b-4c5e-9b43-0f6f3f1f2a57")


def _integral(value: object) -> object:
    # To JSON Schema, and so to clients, 2.0 is an integer.
    return int(value) if isinstance(value, float) and value.is_integer() else value


INTEGRAL = BeforeValidator(_integral)


class Item(BaseModel):
    """Line of an order."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    sku: Annotated[str, Field(max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._/-]*$", examples=["tea-green-250"])]
    quantity: Annotated[int, Field(ge=1, le=10_000, examples=[2]), INTEGRAL]
    unit_price: Annotated[int, Field(ge=0, le=1_000_000_000, description="In minor units, such as cents."), INTEGRAL]


class Order(BaseModel):
    """Order of a customer."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    customer: Annotated[
        int, Field(ge=1, le=2**63 - 1, description="Id of the user who orders.", examples=[1]), INTEGRAL
    ]
    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$", description="ISO 4217.", examples=["AUD"])]
    items: Annotated[list[Item], Field(min_length=1, max_length=100)]

    @property
    def total(self) -> int:
        """Sum of the items in minor units."""
        return sum(item.quantity * item.unit_price for item in self.items)


class InvalidOrder(Exception):
    """An order or its message breaks the rules; `problems` has a text for each field."""

    def __init__(self, problems: dict[str, str]) -> None:
        super().__init__("; ".join(f"{field}: {problem}" for field, problem in problems.items()))
        self.problems = problems


def read_order(body: bytes) -> Order:
    """Read an order from JSON. Raises InvalidOrder."""
    try:
        return Order.model_validate_json(body)
    except ValidationError as error:
        raise InvalidOrder(_problems(error)) from None


@dataclass(frozen=True)
class PlacedOrder:
    """Accepted order with its idempotency key."""

    key: str
    order: Order
    placed_at: datetime
    request_id: str = ""

    @cached_property
    def digest(self) -> bytes:
        """SHA-256 that is equal for equal orders, whatever the order of the fields and the white space."""
        # Without the fields that the client left out: one that a later release adds must not change the id of an order
        # that is in the queue.
        return hashlib.sha256(self.order.model_dump_json(exclude_unset=True).encode()).digest()

    @cached_property
    def id(self) -> str:
        """UUID that follows from key and order, so that it is known before anything is stored.

        Another order under the same key has another id: what becomes of the two can be told apart.
        """
        return str(uuid5(_NAMESPACE, f"{self.digest.hex()} {self.key}"))

    def message(self) -> str:
        """Return the body of its message."""
        return _Envelope(
            version=1, id=self.id, key=self.key, placed_at=self.placed_at, request_id=self.request_id, order=self.order
        ).model_dump_json(exclude_unset=True)


class _Envelope(BaseModel):
    """Body of a message. Later releases may add fields; what would be misread without them is another version."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    version: Literal[1] = 1
    id: str
    key: Annotated[str, Field(pattern=KEY_PATTERN)]
    placed_at: AwareDatetime
    request_id: Annotated[str, Field(max_length=128)] = ""
    order: Order


class NewerMessage(Exception):
    """A message of a version that only a later release understands."""


def read_message(body: str) -> PlacedOrder:
    """Read the body of a message. Raises InvalidOrder for what no release accepts, and NewerMessage."""
    try:
        envelope = _Envelope.model_validate_json(body)
    except ValidationError as error:
        version = _version(body)
        if isinstance(version, int) and version > 1:
            raise NewerMessage(f"the message has version {version}, this release reads version 1") from None
        raise InvalidOrder(_problems(error)) from None
    placed = PlacedOrder(envelope.key, envelope.order, envelope.placed_at, envelope.request_id)
    if placed.id != envelope.id:
        raise InvalidOrder({"id": "does not follow from the key and the order"})
    return placed


def _version(body: str) -> object:
    try:
        document = json.loads(body)
    # Deeply nested arrays exceed the limit of recursion.
    except (ValueError, RecursionError):
        raise InvalidOrder({"message": "must be JSON"}) from None
    if not isinstance(document, dict):
        raise InvalidOrder({"message": "must be a JSON object"})
    return document.get("version")


def _problems(error: ValidationError) -> dict[str, str]:
    """Return a message for each field, by its path."""
    problems: dict[str, str] = {}
    for detail in error.errors(include_input=False, include_url=False, include_context=False)[:20]:
        path = ".".join(str(part) for part in detail["loc"]) or "order"
        problems[path] = detail["msg"]
    return problems
