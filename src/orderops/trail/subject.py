"""What is looked for in CloudTrail: a resource, as its events may spell it, and the properties that changed."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from orderops.engine.resource import Observed, Outputs, Resource, unknown_in
from orderops.frozen import Frozen
from orderops.trail.calls import ALL, PARAMETERS, TAGS, UNLISTED, Setter, setters_of, sources_of
from orderops.trail.event import TrailEvent

# A listener's ARN, of which those of its rules are made: Elastic Load Balancing API reference, "Resource ARNs".
LISTENER = re.compile(r":listener/")


class TrailSubject(Frozen):
    """A resource whose last changes are asked for."""

    kind: str
    names: tuple[str, ...]
    """Its id, name and ARN: what its events may call it."""
    properties: frozenset[str] = frozenset()
    """The properties that changed, in AWS's words; without any, every change but of tags counts."""
    gone: bool = False
    """Whether it does not exist any more, so that only its deletion counts."""
    parents: tuple[str, ...] = ()
    """Starts of its ARN, where it is gone and AWS alone knew the rest."""

    @property
    def listed_as(self) -> tuple[str, ...]:
        """The spellings by which CloudTrail may list it as a resource, the likely one first."""
        return () if self.kind in UNLISTED else self.names[:2]

    @property
    def events(self) -> tuple[str, ...]:
        """The names of the calls that may have made the change."""
        names = (setter.event for setter in setters_of(self.kind, gone=self.gone) if self._may_set(setter))
        return tuple(dict.fromkeys(names))

    def is_changed_by(self, event: TrailEvent) -> bool:
        """Whether the event changed this resource, and one of the properties."""
        return event.source in sources_of(self.kind) and any(
            setter.event == event.event and self._names(setter, event) and self._sets(setter, event)
            for setter in setters_of(self.kind, gone=self.gone)
        )

    def _names(self, setter: Setter, event: TrailEvent) -> bool:
        given = [*_at(event.parameters, setter.path.split(".")), *event.resources]
        if self.names:
            return any(name in spelling for name in self.names for spelling in map(_spellings, given))
        return any(value.startswith(parent) for parent in self.parents for value in given)

    def _may_set(self, setter: Setter) -> bool:
        if self.gone or not setter.sets:
            return True
        if not self.properties:
            return setter.sets != (TAGS,)
        return not self.properties.isdisjoint(setter.sets) or (ALL in setter.sets and bool(self.properties - {TAGS}))

    def _sets(self, setter: Setter, event: TrailEvent) -> bool:
        if setter.sets or self.gone or not self.properties:
            return self._may_set(setter)
        keys = {key.lower() for key in _keys(event.parameters)}
        return any(
            key.lower() in keys for property_ in self.properties for key in PARAMETERS.get(property_, (property_,))
        )


def subject_of(
    resource: Resource, observed: Observed | None, outputs: Outputs, properties: Collection[str] = ()
) -> TrailSubject:
    """Return what to look for: a declared resource, as it is observed, or as it was called before it was deleted."""
    if observed:
        given = (observed.id, observed.arn, observed.name)
        return TrailSubject(resource.kind, tuple(dict.fromkeys(filter(None, given))), frozenset(properties))
    known = outputs[resource].arn
    # EC2 and the balancer make up the names of their resources, so that nothing of ours is in their events.
    own = resource.kind.partition("-")[0] not in ("ec2", "elbv2") or resource.kind in NAMED
    names = (resource.name if own else "", "" if unknown_in(known) else known)
    parents = tuple(
        LISTENER.sub(":listener-rule/", arn) + "/"
        for need in resource.needs()
        if need.kind == "elbv2-listener" and not unknown_in(arn := outputs[need].arn)
    )
    return TrailSubject(resource.kind, tuple(filter(None, names)), gone=True, parents=parents)


# Kinds of these services whose name is part of their ARN.
NAMED = frozenset({"elbv2-load-balancer", "elbv2-target-group"})


def _spellings(value: str) -> set[str]:
    """A parameter's value, and the name in it where it is an ARN or a URL."""
    parts = value.split("/")
    # A balancer's or target group's ARN has an id after its name.
    inner = {parts[-2]} if value.startswith("arn:") and len(parts) > 2 else set()
    # A name with slashes, such as that of a log group, follows the last colon of an ARN.
    tail = {value.removesuffix(":*").rpartition(":")[2]} if value.startswith("arn:") else set()
    return {value, *tail, *inner, *({parts[-1]} if value.startswith(("arn:", "https:", "http:")) else set())}


def _at(value: Any, path: list[str]) -> Iterator[str]:
    """The texts at a path of a parameter tree, through lists."""
    if isinstance(value, list):
        for inner in value:
            yield from _at(inner, path)
    elif not path:
        if isinstance(value, str):
            yield value
    elif isinstance(value, Mapping) and path[0] in value:
        yield from _at(value[path[0]], path[1:])


def _keys(value: Any) -> Iterator[str]:
    """All keys of a parameter tree."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield str(key)
            yield from _keys(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _keys(inner)
