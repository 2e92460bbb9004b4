"""The errors of AWS WAF, in its own words, and moto's backend."""

from __future__ import annotations

from typing import Any

from orderops.local.emulator.protocol import ApiError, Request
from orderops.local.strict.interfaces import backend

SERVICE = "wafv2"


def invalid(field: str, parameter: object, reason: str = "You have used none or multiple values") -> ApiError:
    """A parameter that WAF does not take."""
    message = f"Error reason: {reason}., field: {field}, parameter: {parameter}"
    return ApiError("WAFInvalidParameterException", message)


def absent() -> ApiError:
    """A resource that does not exist."""
    return ApiError(
        "WAFNonexistentItemException",
        "AWS WAF couldn't perform the operation because your resource doesn't exist.",
    )


def unavailable() -> ApiError:
    """A resource that WAF does not find yet."""
    return ApiError(
        "WAFUnavailableEntityException",
        "AWS WAF couldn't retrieve a resource that you specified in your request. Retry your request.",
    )


def duplicate() -> ApiError:
    """A name that is taken."""
    return ApiError(
        "WAFDuplicateItemException",
        "AWS WAF couldn't perform the operation because some resource in your request is a duplicate of an "
        "existing one.",
    )


def in_use() -> ApiError:
    """A resource that another one uses."""
    return ApiError(
        "WAFAssociatedItemException",
        "AWS WAF couldn't perform the operation because your resource is being used by another resource or it's "
        "associated with another resource.",
    )


def of(request: Request) -> Any:
    """moto's backend of the region of a request."""
    return backend(SERVICE, request.region)
