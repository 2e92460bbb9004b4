"""The root cause among components: the one fault that explains the most urgent of the others."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from orderops.frozen import Frozen, replace
from orderops.health.component import GONE, ComponentState, ComponentStatus
from orderops.infra.alert_rule import Priority

# An alarm that is raised, and nothing else, is the symptom of what nobody sees here.
LAST = ("alarms",)


class RootCause(Frozen):
    """The component that is the cause, how soon to act, and which components wait on it, by name."""

    component: ComponentStatus
    priority: Priority | None
    waiting: Sequence[str]


def root_cause(components: Sequence[ComponentStatus]) -> RootCause | None:
    """The cause of what is impaired, with everything that it explains; None if nothing is."""
    impaired = {component.name: component for component in components if component.impaired}
    causes: dict[str, str | None] = {}
    for name, component in impaired.items():
        # One that waits on this one already cannot be its cause.
        found = (cause for cause in _explained_by(component, impaired) if not _leads_to(cause, name, causes))
        causes[name] = next(found, None)
    roots = [impaired[name] for name, cause in causes.items() if cause is None]
    return min((_with_waiting(root, impaired, causes) for root in roots), key=_rank, default=None)


def suspected(components: Sequence[ComponentStatus]) -> tuple[ComponentStatus, ...]:
    """The components; degraded where one is unusual and another that follows it is impaired."""
    followed = {name for component in components if component.impaired for name in component.follows}
    return tuple(
        replace(component, state=ComponentState.DEGRADED, detail=f"{component.suspicion}; {component.detail}")
        if component.name in followed and component.suspicion and not component.impaired
        else component
        for component in components
    )


def _explained_by(component: ComponentStatus, impaired: Mapping[str, ComponentStatus]) -> Iterator[str]:
    """The impaired components that it follows and that are at least as bad, or suspected for its sake."""
    for name in component.follows:
        cause = impaired.get(name)
        if cause and (cause.suspicion or cause.state in GONE or component.state not in GONE):
            yield name


def _with_waiting(
    root: ComponentStatus, impaired: Mapping[str, ComponentStatus], causes: Mapping[str, str | None]
) -> RootCause:
    waiting = [name for name in impaired if name != root.name and _leads_to(name, root.name, causes)]
    known = [impaired[name].urgency for name in (root.name, *waiting)]
    return RootCause(root, min((priority for priority in known if priority), default=None), waiting)


def _leads_to(name: str, root: str, causes: Mapping[str, str | None]) -> bool:
    while cause := causes.get(name):
        if cause == root:
            return True
        name = cause
    return False


def _rank(cause: RootCause) -> tuple[str, bool, bool, int]:
    """The most urgent first; among equals what is gone before what is degraded, and what explains most."""
    root = cause.component
    return str(cause.priority or "~"), root.name in LAST, root.state not in GONE, -len(cause.waiting)
