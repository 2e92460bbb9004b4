"""Change what runs of a service without a new image: attach to a release, return to an earlier one, restart, scale."""

from __future__ import annotations

from datetime import timedelta

from orderops.errors import OrderopsError, UsageError
from orderops.images.ecr import ECR_IMAGE
from orderops.images.resolve import images_of
from orderops.infra.apply import Release
from orderops.infra.workspace import Workspace
from orderops.operations.deploy import deploy_services, show_released
from orderops.operations.locked import locked_run, read_lease
from orderops.operations.options import ChangeOptions
from orderops.operations.release_start import attached_releases, watch_releases
from orderops.operations.release_watch import ReleaseWatch, failures_shown, history_of
from orderops.operations.running_service import names_in_ecs, running_service
from orderops.operations.workspace import confirm_change
from orderops.releases.record import ReleaseRecord
from orderops.releases.running import image_of as running_image
from orderops.releases.running import replace_tasks, set_task_count
from orderops.releases.verdict import ReleaseVerdict
from orderops.ui import console
from orderops.ui.progress import Progress

ROLLBACK = "service rollback"
SEARCHED = 100
"""Releases among which an earlier one is looked for."""


def attach(workspace: Workspace, options: ChangeOptions, services: list[str], bake: timedelta | None) -> None:
    """Watch the newest deployment of services that another run has begun, and judge it."""
    lease = read_lease(workspace)
    release = Release(workspace)
    with locked_run(workspace, options, lease) as run:
        watch = attached_releases(workspace, run, services, release.outputs, bake)
        _judge(watch)


def roll_back(
    workspace: Workspace,
    options: ChangeOptions,
    service: str,
    to: str | None,
    bake: timedelta | None,
    *,
    ignore_schema: bool = False,
) -> None:
    """Release the image of an earlier release again, by its digest.

    Raises OrderopsError if there is none, or if it does not work with the schema of the database.
    """
    record = _earlier(workspace, service, to)
    image = record.image
    match = ECR_IMAGE.fullmatch(image)
    if not (image.startswith("process://") or (match and match["digest"]) or "@sha256:" in image):
        raise OrderopsError(
            f"{image} is not pinned by a digest: its tag may be another image by now",
            f"release it by name: orderops service deploy {service} --image {image}",
        )
    console.info(f"{service} returns to {record.image}, released {record.started[:19]}Z by {record.who}")
    # A process runs the sources that are installed now, whatever the tag behind the @ was.
    given = image.partition("@")[0] if image.startswith("process://") else image
    # Its workers return with it.
    choices = images_of(workspace.aws, workspace.environment, [service], {service: given})
    deploy_services(workspace, options, choices, bake, ignore_schema=ignore_schema)


def restart(workspace: Workspace, options: ChangeOptions, service: str, bake: timedelta | None) -> None:
    """Replace every task of a service by a new one of the same release, without an interruption."""
    raw = running_service(workspace, service)
    if options.dry_run:
        console.info(f"{raw['runningCount']} tasks of {service} would be replaced")
        return
    confirm_change(workspace, f"Restart the {raw['runningCount']} tasks of {service}?", options)
    lease = read_lease(workspace)
    release = Release(workspace)
    with locked_run(workspace, options, lease) as run:
        images = {service: running_image(workspace.aws, raw["taskDefinition"])}
        watch = watch_releases(workspace, run, images, release.outputs, bake)
        replace_tasks(workspace.aws, *names_in_ecs(workspace, service))
        run.record.note(address=f"ecs-service/{raw['serviceName']}", action="restarted")
        _judge(watch)


def scale(workspace: Workspace, options: ChangeOptions, service: str, tasks: int) -> None:
    """Set the number of tasks, until autoscaling or `up` changes it. Raises UsageError above the declared maximum."""
    declared = workspace.environment.services[service]
    if tasks > declared.max_tasks:
        raise UsageError(
            f"--tasks {tasks} is more than max_tasks of {service}, which is {declared.max_tasks}",
            f"raise it in [services.{service}], then: orderops up --env {workspace.environment.name}",
        )
    raw = running_service(workspace, service)
    if raw["desiredCount"] == tasks:
        console.info(f"{service} has {tasks} tasks; nothing to do")
        return
    console.info(f"{service}: {raw['desiredCount']} -> {tasks} tasks")
    if tasks < declared.min_tasks:
        console.info(f"fewer than min_tasks ({declared.min_tasks}): the next `orderops up` brings them back")
    if options.dry_run:
        return
    confirm_change(workspace, f"Run {tasks} tasks of {service}?", options)
    with locked_run(workspace, options, read_lease(workspace)) as run:
        set_task_count(workspace.aws, *names_in_ecs(workspace, service), tasks)
        run.record.note(
            address=f"ecs-service/{raw['serviceName']}",
            action="scaled",
            changes={"desiredCount": {"live": raw["desiredCount"], "desired": tasks}},
        )
    console.info(f"next: orderops status --env {workspace.environment.name}")


def _judge(watch: ReleaseWatch) -> None:
    with failures_shown(as_json=False), Progress() as progress:
        watch.judged(progress.watch)
        released = watch.baked(progress.watch)
    show_released(released)


def _earlier(workspace: Workspace, service: str, to: str | None) -> ReleaseRecord:
    """The release to return to: the named one, or the good one before the last that was no rollback itself.

    So a rollback that is run again changes nothing, instead of bringing back what it took away.
    """
    running = running_service(workspace, service)["taskDefinition"]
    records = [
        one
        for one in history_of(workspace).of(service, last=SEARCHED)
        # One that nobody watched to its end may be what runs.
        if one.verdict is ReleaseVerdict.DEPLOYED or one.definition == running
    ]
    if to is not None:
        found = [one for one in records if to in _identities(one)]
        if not found:
            raise OrderopsError(
                f"no release of {service} that ended well is named {to}",
                f"list them: orderops service releases {service}",
            )
        return found[0]
    undone = next((number for number, one in enumerate(records) if not one.command.startswith(ROLLBACK)), len(records))
    older = records[undone + 1 :]
    earlier = next((one for one in older if one.image != records[undone].image), None)
    if earlier is None:
        raise OrderopsError(
            f"no earlier release of {service} is on record in {workspace.environment.name}",
            f"name an image: orderops service deploy {service} --env {workspace.environment.name} --image URI",
        )
    return earlier


def _identities(record: ReleaseRecord) -> tuple[str, ...]:
    """What a release may be called by: revision, version, digest, image."""
    version = record.image.rpartition("/")[2]
    return (
        record.definition.rpartition(":")[2],
        version,
        version.partition(":")[2],
        record.image.partition("@")[2],
        record.image,
    )
