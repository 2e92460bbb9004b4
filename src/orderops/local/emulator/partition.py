"""Partitions of AWS in moto, which keeps the global services of each partition apart."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from moto.backends import get_backend
from moto.core import DEFAULT_ACCOUNT_ID
from moto.utilities.utils import get_partition


def account_arn(service: str, region: str, resource: str) -> str:
    """Return the ARN of a resource in the account of the emulator."""
    return f"arn:{get_partition(region)}:{service}:{region}:{DEFAULT_ACCOUNT_ID}:{resource}"


def global_backend(service: str, region: str) -> Any:
    """Return moto's backend of a global service, in the partition of the region."""
    return get_backend(service)[DEFAULT_ACCOUNT_ID][get_partition(region)]


def global_backends(service: str) -> Iterator[Any]:
    """Yield moto's backends of a global service in every partition that is in use."""
    yield from list(get_backend(service)[DEFAULT_ACCOUNT_ID].values())
