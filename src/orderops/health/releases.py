"""Which release of each service runs, since when, and whether its tasks are older than a secret that they read.

All of it explains, and none of it makes an environment unhealthy: what cannot be read is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from orderops.aws.client import Aws, every, if_found
from orderops.aws.documents import Bucket
from orderops.errors import OrderopsError
from orderops.frozen import Frozen, replace
from orderops.health.secrets import value_since
from orderops.health.service import current_deployment
from orderops.images.ecr import version_of
from orderops.infra.workspace import Workspace
from orderops.releases.record import ReleaseHistory
from orderops.runs.history import in_seconds

P = ParamSpec("P")
T = TypeVar("T")
NOTHING: Mapping[str, Any] = {}
UNKNOWN: datetime | None = None

READERS = 8
# DescribeTasks: "You can specify up to 100 task IDs or ARNs".
TASKS_A_CALL = 100
# Releases among which the one that began what runs is looked for: restarts are on record as releases too.
SEARCHED = 5
# Secrets Manager: "we automatically add a hyphen and six random characters" to the name.
SUFFIX = 7


class ServiceRelease(Frozen):
    """What runs of a service. A text is empty where it is not known."""

    service: str
    image: str
    version: str
    digest: str
    revision: int
    since: str
    """Time, ISO 8601: when this release began, or else its newest deployment."""
    rollout: str
    """State of its rollout, as ECS names it."""
    outdated_tasks: int = 0
    """Tasks that started before a secret got the value that it has now."""
    changed_secrets: tuple[str, ...] = ()

    def to_dict(self, environment: str) -> dict[str, Any]:
        """As JSON, with stable keys."""
        restart = f"orderops service restart {self.service} --env {environment}"
        return {
            "service": self.service,
            "version": self.version or None,
            "digest": self.digest or None,
            "image": self.image,
            "revision": self.revision,
            "since": self.since or None,
            "rollout": self.rollout.lower() or None,
            "outdated_tasks": self.outdated_tasks,
            "changed_secrets": list(self.changed_secrets),
            "next": restart if self.outdated_tasks else None,
        }


def read_releases(workspace: Workspace, running: Mapping[str, Mapping[str, Any]]) -> tuple[ServiceRelease, ...]:
    """Read the release of each service; `running` has the services as ECS describes them, by their names there."""
    name_of = workspace.environment.service_name
    released = (service for service in workspace.environment.services if name_of(service) in running)
    found = {service: running[name_of(service)] for service in released}
    with ThreadPoolExecutor(READERS) as pool:
        containers = dict(zip(found, pool.map(lambda raw: _container(workspace.aws, raw), found.values()), strict=True))
        secrets = {service: _secrets_of(container) for service, container in containers.items()}
        arns = sorted({arn for read in secrets.values() for arn in read})
        starts = pool.submit(_starts, workspace) if arns else None
        changes = pool.map(lambda arn: _changed_at(workspace.aws, arn), arns)
        releases = list(
            pool.map(lambda service: _release(workspace, service, found[service], containers[service]), found)
        )
        changed, started = dict(zip(arns, changes, strict=True)), starts.result() if starts else {}
        return tuple(
            _with_outdated(
                release,
                started.get(name_of(release.service), ()),
                {arn: changed[arn] for arn in secrets[release.service]},
                lambda arn: _version_created(workspace.aws, arn),
            )
            for release in releases
        )


def _release(
    workspace: Workspace, service: str, raw: Mapping[str, Any], container: Mapping[str, Any]
) -> ServiceRelease:
    image, deployment = str(container.get("image", "")), current_deployment(raw)
    created = deployment.get("createdAt")
    return ServiceRelease(
        service,
        image,
        _version(workspace.aws, image),
        image.partition("@")[2] if "@sha256:" in image else "",
        int(raw["taskDefinition"].rpartition(":")[2]),
        _since(workspace, service, raw) or (in_seconds(created) if created else ""),
        str(deployment.get("rolloutState", "")),
    )


def _with_outdated(
    release: ServiceRelease,
    starts: Sequence[datetime],
    changed: Mapping[str, datetime | None],
    value_created: Callable[[str], datetime | None],
) -> ServiceRelease:
    """The release, with its tasks that are older than the value that a secret has now."""
    oldest = min(starts, default=None)
    values: dict[str, datetime] = {}
    for arn, at in changed.items():
        # A new tag or description changes a secret too, so the date of its value decides.
        if oldest and at and at > oldest and (created := value_created(arn)) and created > oldest:
            values[_name_of(arn)] = created
    if not values:
        return release
    newest = max(values.values())
    outdated = sum(start < newest for start in starts)
    return replace(release, outdated_tasks=outdated, changed_secrets=tuple(sorted(values)))


def _unless_unreadable(default: T) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Make a read return this default where credentials may not read something, or AWS does not answer."""

    def decorated(read: Callable[P, T]) -> Callable[P, T]:
        @wraps(read)
        def known(*args: P.args, **kwargs: P.kwargs) -> T:
            try:
                return read(*args, **kwargs)
            except OrderopsError:
                return default

        return known

    return decorated


@_unless_unreadable(NOTHING)
def _container(aws: Aws, raw: Mapping[str, Any]) -> Mapping[str, Any]:
    described = aws.ecs.describe_task_definition(taskDefinition=raw["taskDefinition"])["taskDefinition"]
    container: Mapping[str, Any] = described["containerDefinitions"][0]
    return container


@_unless_unreadable("")
def _version(aws: Aws, image: str) -> str:
    return version_of(aws, image)


def _secrets_of(container: Mapping[str, Any]) -> list[str]:
    """The ARNs of the secrets that a task reads when it starts."""
    given = [str(secret["valueFrom"]) for secret in container.get("secrets", ())]
    # A key, a stage and a version may follow the ARN; parameters of Systems Manager have no date to compare with.
    return sorted({":".join(value.split(":")[:7]) for value in given if ":secretsmanager:" in value})


@_unless_unreadable(NOTHING)
def _starts(workspace: Workspace) -> Mapping[str, list[datetime]]:
    """When the running tasks of each service started: those of the whole cluster, in few calls."""
    aws, cluster = workspace.aws, workspace.stack.cluster.name
    found: dict[str, list[datetime]] = {}
    arns = list(every(aws.ecs.list_tasks, "taskArns", cluster=cluster))
    for first in range(0, len(arns), TASKS_A_CALL):
        for task in aws.ecs.describe_tasks(cluster=cluster, tasks=arns[first : first + TASKS_A_CALL])["tasks"]:
            kind, _, service = str(task.get("group", "")).partition(":")
            if kind == "service" and task["lastStatus"] == "RUNNING" and task.get("startedAt"):
                found.setdefault(service, []).append(task["startedAt"])
    return found


@_unless_unreadable(UNKNOWN)
def _changed_at(aws: Aws, arn: str) -> datetime | None:
    """When a secret was changed last, in any way."""
    raw = if_found(aws.secretsmanager.describe_secret, "ResourceNotFoundException", SecretId=arn)
    changed: datetime | None = (raw or {}).get("LastChangedDate")
    return changed


@_unless_unreadable(UNKNOWN)
def _version_created(aws: Aws, arn: str) -> datetime | None:
    """When the value that a secret has now was written."""
    return value_since(aws, arn)


@_unless_unreadable("")
def _since(workspace: Workspace, service: str, raw: Mapping[str, Any]) -> str:
    """When what runs was released, by the record of releases: the first of those in a row that left it running."""
    began = ""
    for record in ReleaseHistory(Bucket(workspace.aws), workspace.environment.name).of(service, last=SEARCHED):
        if record.definition == raw["taskDefinition"]:
            began = record.started if _is_time(record.started) else ""
        elif began:
            break
    return began


def _is_time(text: str) -> bool:
    try:
        return datetime.fromisoformat(text).tzinfo is not None
    except ValueError:
        return False


def _name_of(arn: str) -> str:
    return arn.rpartition(":secret:")[2][:-SUFFIX]
