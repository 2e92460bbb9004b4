"""Reads of one examination: what these credentials may not read is left out and named, and the rest is still seen."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from orderops.errors import AwsError
from orderops.health.component import ComponentState, ComponentStatus

T = TypeVar("T")


class Reads:
    """Collects the calls that were denied."""

    def __init__(self) -> None:
        self._errors: list[AwsError] = []

    @property
    def denied(self) -> tuple[str, ...]:
        """The denied calls, sorted."""
        return tuple(sorted({error.call for error in self._errors}))

    def value(self, read: Callable[[], T], otherwise: T) -> T:
        """What `read` returns, or `otherwise` where the credentials may not read it."""
        try:
            return read()
        except AwsError as error:
            if not error.denied:
                raise
            self._errors.append(error)
            return otherwise

    def component(self, name: str, read: Callable[[], ComponentStatus]) -> ComponentStatus:
        """The component that `read` returns; unknown where the credentials may not read it."""
        try:
            return read()
        except AwsError as error:
            if not error.denied:
                raise
            self._errors.append(error)
            detail = f"these credentials may not call {error.call}"
            return ComponentStatus(name, ComponentState.UNKNOWN, detail, denied=error.call)

    def check_any(self, components: tuple[ComponentStatus, ...]) -> None:
        """Raise the first error if nothing at all could be read."""
        if self._errors and all(component.denied for component in components):
            raise self._errors[0]
