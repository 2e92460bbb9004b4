"""What a plan of the infrastructure alone leaves out: the services that run on it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from orderops.engine.decision import decide
from orderops.engine.inventory import Inventory
from orderops.engine.resource import Outputs, Resource
from orderops.engine.step import Action, Step
from orderops.engine.terms import Terms
from orderops.frozen import Frozen, field, replace
from orderops.infra.stack import Stack
from orderops.resources.ecs_task_definition import EcsTaskDefinition


class ServicesLeftOut(Frozen):
    """Steps of released services that differ from the file apart from their image, and services without a release."""

    changes: list[Step] = field(default_factory=list)
    unreleased: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, list[str]]:
        """Addresses that differ, and services without a release. Keys are stable."""
        return {"differ": sorted(step.address for step in self.changes), "unreleased": self.unreleased}

    def late(self, stack: Stack) -> set[str]:
        """Addresses that wait for the next release: they lead clients to where tasks are only after it."""
        return stack.listeners.late if self.changes or self.unreleased else set()

    def waiting(self, stack: Stack) -> set[str]:
        """Addresses that must not be narrowed before the next release: running tasks still need what they allow."""
        differing = {step.address for step in self.changes}
        services = {key: stack.release({}, only=(key,)) for key in stack.services}
        return {
            need.address
            for key, release in services.items()
            if key in self.unreleased or differing & {resource.address for resource in release}
            for resource in release
            for need in resource.needs()
            if need.permits
        }


def running_images(stack: Stack, inventory: Inventory) -> dict[str, str]:
    """The image of each released service."""
    definitions = {
        key: resource
        for key in stack.services
        for resource in stack.release({}, only=(key,))
        # Not that of the board's tasks, which run the image of a service too.
        if isinstance(resource, EcsTaskDefinition) and not resource.scheduled
    }
    found = {key: inventory.get(resource, {}) for key, resource in definitions.items()}
    return {key: str(observed.properties["Image"]) for key, observed in found.items() if observed}


def left_out(
    stack: Stack, steps: Iterable[Step], release: Iterable[Resource], released: Collection[str]
) -> ServicesLeftOut:
    """Separate the steps of a release from a plan of everything."""
    addresses = {resource.address for resource in release}
    changes = [step for step in steps if step.address in addresses and step.action is not Action.NO_OP]
    return ServicesLeftOut(changes, [key for key in stack.services if key not in released])


def widened_steps(
    steps: Iterable[Step], resources: Iterable[Resource], outputs: Outputs, inventory: Inventory, terms: Terms
) -> Iterator[Step]:
    """The steps of these resources, where those that must not be narrowed yet are only widened."""
    by_address = {resource.address: resource for resource in resources}
    for step in steps:
        resource = by_address.get(step.address)
        if resource is None:
            continue
        if resource.address in terms.widen and resource in outputs:
            observed = outputs[resource]
            desired = resource.widened(observed.properties, resource.desired(outputs))
            ignored = terms.left_alone(resource.address, observed.properties, desired)
            desired = {**desired, **{key: live for key, (live, _) in ignored.items()}}
            ownership = inventory.ownership(resource)
            widened = decide(resource, observed, desired, ownership, adopt=resource.address in terms.adopt)
            yield replace(widened, held_by=step.held_by, ignored=ignored)
        else:
            yield step
