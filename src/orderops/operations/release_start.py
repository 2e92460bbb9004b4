"""Begin to watch releases: before their rollout, or one that another run has begun."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

from orderops.aws.client import Aws
from orderops.config.service import covers_all
from orderops.engine.resource import Outputs
from orderops.engine.step import Action, Step
from orderops.infra.address import service_url
from orderops.infra.service_routing import ServiceRouting
from orderops.infra.workspace import Workspace
from orderops.operations.release_watch import ReleaseWatch, WatchedRelease, history_of
from orderops.operations.running_service import running_service
from orderops.releases.bake import ASKED, ReleaseBaseline, baseline_of
from orderops.releases.rollout import Rollout
from orderops.releases.running import image_of
from orderops.releases.stages import stage_of
from orderops.releases.verdict import ReleaseVerdict
from orderops.resources.ecs_service import EcsService
from orderops.resources.ecs_task_definition import EcsTaskDefinition
from orderops.runs.run import Run


def changing_services(workspace: Workspace, steps: Iterable[Step], images: Mapping[str, str]) -> dict[str, str]:
    """The services, with their images, of which these steps change something that runs tasks."""
    changing = {step.address for step in steps if step.action is not Action.NO_OP}
    kinds = (EcsService.kind, EcsTaskDefinition.kind)
    return {
        service: image
        for service, image in images.items()
        if changing & {f"{kind}/{workspace.environment.service_name(service)}" for kind in kinds}
    }


def releases_under_way(workspace: Workspace, services: Iterable[str]) -> list[str]:
    """The services whose deployment waits for answers, such as after an interrupted run."""
    staged = [service for service in services if workspace.environment.services[service].strategy != "rolling"]
    cluster = workspace.stack.cluster.name
    return [
        service
        for service in staged
        if stage_of(workspace.aws, cluster, workspace.environment.service_name(service)) is not None
    ]


def watch_releases(
    workspace: Workspace,
    run: Run,
    images: Mapping[str, str],
    outputs: Outputs,
    bake: timedelta | None,
    *,
    under_way: Sequence[str] = (),
) -> ReleaseWatch:
    """Note how services are before their release. `images` holds the image of each.

    `bake` is how long each bakes; None for what it declares. The releases `under_way` are taken up as they are.
    """

    def watched(service: str) -> WatchedRelease:
        if service not in images:
            return _attached(workspace, service, outputs, bake)
        rollout = Rollout.of(*_rollout_arguments(workspace, service, images[service]))
        return _watched(workspace, service, images[service], rollout, outputs, bake)

    return _watch(workspace, run, watched, [*images, *(service for service in under_way if service not in images)])


def attached_releases(
    workspace: Workspace, run: Run, services: Sequence[str], outputs: Outputs, bake: timedelta | None
) -> ReleaseWatch:
    """Take up the newest deployment of services, as far as the record of releases knows it."""
    return _watch(workspace, run, lambda service: _attached(workspace, service, outputs, bake), services)


def _attached(workspace: Workspace, service: str, outputs: Outputs, bake: timedelta | None) -> WatchedRelease:
    record = next(history_of(workspace).of(service, last=1), None)
    definition = running_service(workspace, service)["taskDefinition"]
    image = record.image if record else image_of(workspace.aws, definition)
    rollout = Rollout.under_way(*_rollout_arguments(workspace, service, image))
    if record and record.verdict is ReleaseVerdict.RUNNING:
        # By its record, since a deployment that was turned back meanwhile is the newest no more.
        rollout.deployment, rollout.definition = record.deployment, record.definition
        rollout.previous = record.previous
    one = _watched(workspace, service, image, rollout, outputs, bake)
    one.record = record if record and record.verdict is ReleaseVerdict.RUNNING else None
    return one


def values_of(workspace: Workspace, service: str, image: str) -> dict[str, str]:
    """What the words of causes name of a service."""
    environment, base = workspace.environment, workspace.stack.services[service]
    return {
        "environment": environment.name,
        "service": service,
        "image": image,
        "memory": str(base.declared.memory),
        "port": str(base.declared.port),
        "log_group": base.log_group.name,
    }


def _watch(
    workspace: Workspace,
    run: Run,
    watched: Callable[[str], WatchedRelease],
    services: Sequence[str],
) -> ReleaseWatch:
    with ThreadPoolExecutor(max(len(services), 1)) as pool:
        releases = {f"{EcsService.kind}/{one.rollout.service}": one for one in pool.map(watched, services)}
    return ReleaseWatch(workspace, run, releases)


def _rollout_arguments(workspace: Workspace, service: str, image: str) -> tuple[Aws, str, str, dict[str, str], float]:
    name, values = workspace.environment.service_name(service), values_of(workspace, service, image)
    stuck = float(workspace.environment.services[service].stuck_seconds)
    return workspace.aws, workspace.stack.cluster.name, name, values, stuck


def _watched(
    workspace: Workspace, service: str, image: str, rollout: Rollout, outputs: Outputs, bake: timedelta | None
) -> WatchedRelease:
    base = workspace.stack.services[service]
    # `/version` and `/ready` are asked where the service's rules forward them, and another service's do not come first.
    forwarded = base.routing is not None and covers_all(base.declared.paths, ASKED)
    url = service_url(workspace.stack, outputs, service) if forwarded else ""
    group = _live_group(base.routing, outputs) if base.routing else ""
    # Without a release before there is nothing to return to and nothing to compare with.
    seconds = 0.0 if not rollout.previous else base.declared.bake_seconds if bake is None else bake.total_seconds()
    baseline = baseline_of(workspace.aws, group, url) if seconds else ReleaseBaseline()
    watched = WatchedRelease(service, rollout, seconds, baseline, url, image.rpartition("/")[2], image, group)
    if base.routing and base.routing.second:
        watched.rules = (outputs[base.routing.rule].arn, outputs[base.routing.second.test_rule].arn)
    return watched


def _live_group(routing: ServiceRouting, outputs: Outputs) -> str:
    """The target group that clients reach before the release."""
    live = outputs[routing.rule].properties.get("LiveTargetGroupArn") if routing.second else ""
    return str(live or outputs[routing.target_group].arn)
