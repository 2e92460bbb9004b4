"""Changes that belong together: made together or not at all.

One key of an environment file changes several resources, such as a port that a task, a security group and a listener
have to agree on. If one of them refuses and the others are changed, the system stops serving.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from orderops.engine.decision import TAGS
from orderops.engine.resource import Resource
from orderops.engine.step import Action, Step
from orderops.errors import OrderopsError
from orderops.frozen import replace


def held_back(steps: Iterable[Step], resources: Iterable[Resource]) -> dict[str, str]:
    """Addresses whose change must not be made, each with the refused address that it belongs together with.

    Two changes belong together if one resource needs the other, directly or through others. The file does not say which
    keys led to a change, so more may belong together than one key changes, and never less: whatever two resources have
    to agree on, one of them, or a third that changes with them, needs the other.
    """
    changing = {step.address: step for step in steps if _matters(step)}
    refused = {address for address, step in changing.items() if step.error}
    if not refused:
        return {}
    needs = _all_needs(resources)
    groups = {address: {address} for address in changing}
    for address in changing:
        for need in needs.get(address, set()) & changing.keys():
            _join(groups, address, need)
    return {
        address: min(causes)
        for address, group in groups.items()
        if address not in refused and (causes := group & refused)
    }


def with_held(steps: Iterable[Step], held: Mapping[str, str]) -> list[Step]:
    """The same steps, with those marked that are held back."""
    return [replace(step, held_by=held.get(step.address, "")) for step in steps]


def refusals(steps: Iterable[Step]) -> dict[str, OrderopsError]:
    """Why the refused and the held steps are not taken, by address."""
    found = {step.address: step for step in steps if step.refused}
    return {address: step.error or _held_error(step, found.get(step.held_by)) for address, step in found.items()}


def _held_error(step: Step, cause: Step | None) -> OrderopsError:
    hint = cause.error.hint if cause and cause.error else ""
    return OrderopsError(f"not changed: it belongs together with {step.held_by}, which is refused", hint)


def _matters(step: Step) -> bool:
    # Tags say who owns a resource and change nothing that another one has to agree on.
    return step.error is not None or (step.action is not Action.NO_OP and bool(step.changes.keys() - {TAGS}))


def _all_needs(resources: Iterable[Resource]) -> dict[str, set[str]]:
    """Every address that a resource needs, directly or through others."""
    found: dict[str, set[str]] = {}

    def walk(resource: Resource) -> set[str]:
        if resource.address not in found:
            direct = list(resource.needs())
            found[resource.address] = {need.address for need in direct}.union(*(walk(need) for need in direct))
        return found[resource.address]

    for resource in resources:
        walk(resource)
    return found


def _join(groups: dict[str, set[str]], one: str, other: str) -> None:
    if groups[one] is not groups[other]:
        groups[one] |= groups[other]
        for address in groups[other]:
            groups[address] = groups[one]
