"""Listings of what belongs to an HTTP API."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from orderops.aws.client import Aws, every
from orderops.engine.resource import Observed
from orderops.errors import AwsError


def parts(aws: Aws, operation: str, api: Observed) -> Iterator[dict[str, Any]]:
    """What an operation such as `get_routes` lists of an API; nothing if the API was deleted meanwhile."""
    try:
        yield from every(getattr(aws.apigatewayv2, operation), "Items", ApiId=api.id)
    except AwsError as error:
        if error.code != "NotFoundException":
            raise
