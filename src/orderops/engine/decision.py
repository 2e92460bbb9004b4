"""The decision: from an observed and a desired state to the step that leads from one to the other. Calls nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from orderops.aws.ownership import ADDRESS, ENVIRONMENT, Owner, Ownership, Tags
from orderops.engine.resource import Effect, Observed, Properties, Resource, State
from orderops.engine.step import Action, Step
from orderops.errors import NotOurs, OrderopsError, ReplacementRequired
from orderops.frozen import replace

TAGS = "Tags"
"""The property of a step under which changed ownership tags are listed."""

Changes = Mapping[str, tuple[Any, Any]]


def decide(
    resource: Resource, observed: Observed | None, desired: Properties, ownership: Ownership, *, adopt: bool = False
) -> Step:
    """The step that brings a resource from its observed to its desired state; with `error` if it cannot be taken."""
    if observed is None or observed.state is State.GOING:
        wanted = {key: (None, value) for key, value in desired.items() if value is not None}
        return Step(resource.address, Action.CREATE, wanted)
    if observed.state is State.FAILED:
        return Step(resource.address, Action.UPDATE, error=_failed(resource, observed, ownership.environment))
    changes = {**property_changes(observed.properties, desired), **_tag_changes(resource, observed, ownership)}
    owner = owner_of(resource, observed.tags or {}, ownership)
    action = Action.ADOPT if owner is Owner.ADOPTABLE else Action.UPDATE if changes else Action.NO_OP
    adopt = adopt or resource.made_by_aws
    error = _ownership_error(resource, observed, owner, adopt=adopt) or _change_error(
        resource, observed, changes, ownership
    )
    step = Step(resource.address, action, changes, _worst_effect(resource, changes), error, pending=observed.pending)
    # A refused step sends nothing, so everything stays pending.
    return step if error else _with_pending(step, resource)


def owner_of(resource: Resource, tags: Tags, ownership: Ownership) -> Owner:
    """Who owns a resource with these tags."""
    # A kind that AWS keeps no tags for is ours by its deterministic name.
    return Owner.OWNED if resource.untagged else ownership.owner(tags)


def property_changes(observed: Properties, desired: Properties) -> Changes:
    """The desired properties that differ from the observed ones."""
    pairs = {key: (observed.get(key), value) for key, value in desired.items()}
    return {key: pair for key, pair in pairs.items() if pair[0] != pair[1]}


def _tag_changes(resource: Resource, observed: Observed, ownership: Ownership) -> Changes:
    tags = observed.tags or {}
    # Other tags stay: operators and AWS set their own.
    missing = {key: value for key, value in ownership.tags.items() if tags.get(key) != value}
    if not missing or resource.untagged:
        return {}
    return {TAGS: ({key: tags.get(key) for key in missing}, missing)}


def _worst_effect(resource: Resource, changes: Changes) -> Effect:
    effects = [resource.effect(key, *pair) for key, pair in changes.items() if key != TAGS]
    return max(effects, key=_weight, default=Effect.SAFE)


def _weight(effect: Effect) -> int:
    return effect.weight


def _with_pending(step: Step, resource: Resource) -> Step:
    """The step with what AWS carries out together with it, unless one of its changes replaces that."""
    sent = {key: pair for key, pair in step.changes.items() if key != TAGS}
    left = tuple(change for change in step.pending if change.key not in sent)
    if not sent or resource.leaves_pending(sent):
        return replace(step, pending=left)
    carried = tuple(change for change in left if change.sent_along)
    effect = max([step.effect, *(change.effect for change in carried)], key=_weight)
    rest = tuple(change for change in left if not change.sent_along)
    return replace(step, effect=effect, carried=carried, pending=rest)


def _failed(resource: Resource, observed: Observed, environment: str) -> OrderopsError:
    return OrderopsError(
        f"{observed.id or observed.name} is {observed.status or 'failed'}",
        f"fix the cause, then re-run this command; or, only if it holds no data, delete it to have it created again: "
        f"orderops down --only {resource.address} --env {environment}",
    )


def _ownership_error(resource: Resource, observed: Observed, owner: Owner, *, adopt: bool) -> OrderopsError | None:
    if owner is Owner.FOREIGN:
        tags = observed.tags or {}
        other = f"{tags.get(ENVIRONMENT)} {tags.get(ADDRESS, '')}".strip()
        return NotOurs(f"{observed.id} belongs to {other}", "two resources share a name or a place: change one of them")
    if owner is Owner.ADOPTABLE and not adopt:
        return NotOurs(
            f"{observed.id} exists and has no owner", f"review it, then take it over: --adopt {resource.address}"
        )
    return None


def _change_error(resource: Resource, found: Observed, changes: Changes, ownership: Ownership) -> OrderopsError | None:
    for key, (observed, desired) in changes.items():
        if key == TAGS:
            continue
        if refusal := resource.refusal(found, key, desired, ownership.environment):
            return refusal
        effect = resource.effect(key, observed, desired)
        if key in resource.immutable or effect is Effect.LOSES:
            why = "would lose data" if effect is Effect.LOSES else "cannot be changed on an existing resource"
            remove = f"orderops down --only {resource.address} --env {ownership.environment}"
            hint = resource.replacement_hint.format(remove=remove) or f"set it back to {observed!r}, or: {remove}"
            return ReplacementRequired(f"{key} {why} (observed {observed!r}, desired {desired!r})", hint)
    return None
