"""botocore's own event handlers, registered for one client after the other: of all services, or of a few.

botocore copies all handlers for each client, most of which are of other services and of its documentation. It also
translates the name of each event, again and again, from the names of services that it used until 2018. Here, names are
translated when a handler is registered.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

from botocore import handlers
from botocore.hooks import EventAliaser, HierarchicalEmitter


class _Emitter(HierarchicalEmitter):  # type: ignore[misc]  # botocore is read without types
    """An emitter that takes each handler as it is. botocore's inspects their signatures, eight for each client."""

    def _verify_accept_kwargs(self, func: Callable[..., Any]) -> None:
        pass


def all_handlers() -> Any:
    """Return an emitter with all handlers of botocore."""
    return _emitter_of(lambda event: True)


def handlers_of(names: Collection[str]) -> Any:
    """Return an emitter with the handlers that clients of a service call, which has these names."""
    return _emitter_of(lambda event: _concerns(event, names))


def _emitter_of(wanted: Callable[[str], bool]) -> Any:
    emitter = _Emitter()
    events = EventAliaser(emitter)
    for event, handler, *order in handlers.BUILTIN_HANDLERS:
        if not wanted(event):
            continue
        if order == [handlers.REGISTER_FIRST]:
            events.register_first(event, handler)
        elif order == [handlers.REGISTER_LAST]:
            events.register_last(event, handler)
        else:
            events.register(event, handler)
    return emitter


def _concerns(event: str, names: Collection[str]) -> bool:
    """Whether calls of a service with these names emit it, such as `before-call.s3.DeleteObjects` or `before-call`."""
    kind, _, rest = event.partition(".")
    service = rest.partition(".")[0]
    return kind != "docs" and (not service or service == "*" or service in names)
