"""The routes of the order processor, as its OpenAPI document has them.

The service is an application of its own, which this package does not import; a test compares the two.
"""

from __future__ import annotations

from collections.abc import Iterable

from orderops.config.service import ServiceConfig
from orderops.frozen import Frozen

PROBED = ("GET /ready", "GET /version")
"""Routes that orderops asks itself, through the API."""
UNAUTHORISED = (*PROBED, "GET /health", "GET /openapi.json")
"""Routes that stay open where the API asks for authorisation, unless their own table says otherwise."""
ORDER_PROCESSOR_ROUTES = (*UNAUTHORISED, "GET /", "GET /orders", "GET /orders/{id}", "POST /orders")
USERS = ("GET /users",)
"""Of the demonstration."""


class ProcessorKinds(Frozen):
    """Which services of a file get requests: order processors, and others."""

    order_processors: bool
    others: bool
    demonstration: bool

    @classmethod
    def of(cls, services: Iterable[ServiceConfig]) -> ProcessorKinds:
        """Judge the services of a file; a worker gets no requests."""
        entries = [service for service in services if service.role != "worker"]
        own = [service for service in entries if _is_order_processor(service)]
        return cls(bool(own), len(own) < len(entries), any(service.demonstration for service in own))

    @property
    def only_order_processors(self) -> bool:
        """Whether the routes of all services are known."""
        return self.order_processors and not self.others


def _is_order_processor(service: ServiceConfig) -> bool:
    image = service.image or ""
    return not service.dockerfile and (not image or image.startswith("process://orderops.service"))
