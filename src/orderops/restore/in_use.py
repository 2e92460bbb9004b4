"""Whether an instance may still be used by the services, and so is not discarded."""

from __future__ import annotations

from orderops.errors import OrderopsError
from orderops.infra.workspace import Workspace
from orderops.restore.instances import PREVIOUS_PRIMARY, PROMOTED_BY, Instance, Instances


def check_not_in_use(workspace: Workspace, instances: Instances, instance: Instance) -> None:
    """Raise OrderopsError if an instance is the primary or may be used by the services, by its tags or the pointer."""
    env, primary = workspace.environment.name, instances.primary
    if instances.primary_missing:
        raise OrderopsError(
            f"the primary database of {env} does not exist, and {instance.name} may be its only replacement",
            f"make it the primary: orderops restore promote {instance.name} --env {env}",
        )
    if not instance.ready and (who := workspace.restore_runs.current_holder()):
        raise OrderopsError(
            f"{instance.name} is being restored by {who}", "interrupt that command with Ctrl+C, or wait for its end"
        )
    if primary and instance.name == primary.name:
        raise OrderopsError(
            f"{instance.name} is the primary of {env}, and is never discarded",
            f"promote another one first: orderops restore list --env {env}",
        )
    if primary and not primary.settled and primary.tag(PREVIOUS_PRIMARY) == instance.name:
        raise OrderopsError(
            f"the services of {env} may still use {instance.name}: a switch was interrupted",
            f"complete it: orderops restore {primary.tag(PROMOTED_BY)} --env {env}",
        )
    pointer = workspace.stack.pointer.now(workspace.aws, env)
    properties = instance.observed.properties
    endpoint = [properties["EndpointAddress"], properties["EndpointPort"]]
    # The tags alone are not enough: someone may have edited the secret by hand.
    if pointer and [pointer[0].get(key) for key in ("host", "port")] == endpoint:
        raise OrderopsError(
            f"the pointer secret of {env} names {instance.name}, so the services use it",
            f"let them follow the primary: orderops up --env {env}",
        )
