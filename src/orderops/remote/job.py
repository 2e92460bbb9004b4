"""A command carried out where the databases can be reached: by a one-off task beside the service, as an errand.

Outside, on the operator's machine, `run` writes down what is to be done, starts the task, passes on what it says and
answers how it ended. Inside, `inside` answers what is to be done, and by whom it was agreed.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cache
from typing import Any

from orderops.aws.client import Aws
from orderops.aws.documents import Bucket
from orderops.database.connection import Login, login_at_endpoint, login_from_secret
from orderops.errors import AwsError, Meaning, OrderopsError
from orderops.infra.workspace import Workspace
from orderops.remote.follow import OnJobWait, OutputHandler, follow, interrupted
from orderops.remote.framing import Mark, OutputLine
from orderops.remote.request import DATABASE, JOB_URL, DatabaseEndpoint, JobRequest, job_request_of
from orderops.remote.task import RemoteTask, TaskPlacement, placement_of, running, start

__all__ = ["DATABASE", "CurrentJob", "DatabaseEndpoint", "JobRequest", "JobResult", "current_job", "run_job"]

READABLE_FOR = 3600
"""Seconds in which the task must have begun."""
WRITABLE_FOR = 12 * 3600
"""Seconds in which its result may be left; temporary credentials of the operator's may end sooner."""

LEFT_FOR = timedelta(days=2)
"""After which nobody looks for what an errand left."""


@dataclass(frozen=True)
class JobResult:
    """How an errand ended."""

    exit_code: int
    result: dict[str, Any] | None = None
    """What the command inside left, if it left anything."""
    notes: Sequence[Mapping[str, Any]] = ()
    """What it did, for the record."""
    error: OrderopsError | None = None
    """Its refusal."""

    def check(self) -> None:
        """Raise its refusal, if it ended with one."""
        if self.error:
            raise self.error


def run_job(
    workspace: Workspace,
    argv: Sequence[str],
    *,
    sql: Mapping[str, str] | None = None,
    databases: Mapping[str, DatabaseEndpoint] | None = None,
    settings: Mapping[str, Any] | None = None,
    lead: str = "",
    host: str = "",
    width: int = 80,
    exclusive: bool = False,
    service: str | None = None,
    on_output: OutputHandler,
    on_wait: OnJobWait,
) -> JobResult:
    """Carry out `orderops WORDS` in a task beside a service, the first when none is named; ends when it has ended.

    `doors` are the databases that it needs besides the environment's own. With `alone`, no other such errand runs
    beside it: one that does the same and lost its operator is attached to, any other is refused. Starting it is a
    change and so is part of a run of the site's when it is `alone`; Ctrl+C stops it.
    """
    free = workspace.aws.guarded(lambda: None)  # reading on, stopping and clearing up need no lease
    name = workspace.environment.name
    place = placement_of(
        free,
        environment=name,
        cluster=workspace.stack.cluster.name,
        service=workspace.environment.service_name(service or next(iter(workspace.environment.services))),
    )
    bucket = Bucket(free)
    id_ = uuid.uuid4().hex
    errand = JobRequest(
        id=id_,
        argv=tuple(argv),
        environment=name,
        region=workspace.aws.region,
        databases={DATABASE: DatabaseEndpoint(pointer=workspace.stack.pointer.name), **(databases or {})},
        sql=sql or {},
        settings=settings or {},
        who=workspace.aws.caller,
        host=host,
        lead=lead or f"--env {name}",
        exclusive=exclusive,
        width=width,
        result_url=bucket.link("put_object", _result_key(name, id_), seconds=WRITABLE_FOR),
    )
    there = _other(bucket, free, place, errand) if exclusive else None
    if there:
        errand, task = there
        on_output(OutputLine(Mark.ERR, f"goes on with task {task.id}, begun by {errand.who}"))
    else:
        if exclusive:
            _sweep(bucket, name)
        bucket.put(_key(name, errand.id), errand.to_dict())
        task = _started(workspace.aws if exclusive else free, bucket, place, errand)
    return _followed(bucket, task, errand, on_output, on_wait)


@dataclass
class CurrentJob:
    """An errand, where it is carried out."""

    request: JobRequest
    notes: list[dict[str, Any]] = field(default_factory=list)
    result: dict[str, Any] | None = None

    @property
    def aws(self) -> Aws:
        """AWS as the role of the task opens it."""
        return Aws(self.request.region, environment=self.request.environment)

    def login(self, door: str = DATABASE) -> Login:
        """The way into one of the databases."""
        told = self.request.databases[door]
        if told.pointer:
            return login_from_secret(self.aws, told.pointer)
        return login_at_endpoint(self.aws, vars(told))

    def note(self, **what: Any) -> None:
        """What was done, for the record that is kept outside."""
        self.notes.append(what)

    def set_result(self, result: Mapping[str, Any]) -> None:
        """What `RunOutcome.result` is to be; the last counts."""
        self.result = dict(result)


def current_job() -> CurrentJob | None:
    """The errand that this process carries out; None on the operator's machine."""
    url = os.environ.get(JOB_URL)
    return _fetched(url) if url else None


@cache
def _fetched(url: str) -> CurrentJob:
    import json
    from urllib.error import URLError
    from urllib.request import urlopen

    try:
        with urlopen(url, timeout=30) as answer:
            return CurrentJob(job_request_of(json.load(answer)))
    except (URLError, OSError, ValueError) as error:
        raise OrderopsError(
            f"the errand cannot be read: {error}", "does the task reach S3? The same command again writes it anew"
        ) from None


def _key(environment: str, id_: str) -> str:
    return f"{environment}/errands/{id_}.json"


def _result_key(environment: str, id_: str) -> str:
    return f"{environment}/errands/{id_}.result.json"


def _other(bucket: Bucket, aws: Aws, place: TaskPlacement, mine: JobRequest) -> tuple[JobRequest, RemoteTask] | None:
    """The same errand under way, whose operator went away; raises OrderopsError for another one.

    Without its document it has ended, but for its task; and one that only looks is in nobody's way.
    """
    for id_, task in running(aws, place):
        document = bucket.read(_key(mine.environment, id_)) if id_ else None
        if document is None or bucket.read(_result_key(mine.environment, id_)):
            continue
        other = job_request_of(document.value)
        if other.exclusive and other.same_as(mine):
            return other, task
        if other.exclusive:
            raise OrderopsError(
                f"orderops {other.command} still runs in {mine.environment}: task {task.id}, begun by {other.who}"
                f"{f' on {other.host}' if other.host else ''}",
                f"go on with it: orderops {other.command} {other.lead}\n"
                f"or stop it: aws ecs stop-task --cluster {place.cluster} --task {task.id}",
            )
    return None


def _started(aws: Aws, bucket: Bucket, place: TaskPlacement, errand: JobRequest) -> RemoteTask:
    url = bucket.link("get_object", _key(errand.environment, errand.id), seconds=READABLE_FOR)
    try:
        return start(aws, place, token=errand.id, url=url)
    except OrderopsError as error:
        if not (isinstance(error, AwsError) and error.meaning is Meaning.LOST):  # else it may run, and is found again
            _clear(bucket, errand)
        raise


def _followed(
    bucket: Bucket, task: RemoteTask, errand: JobRequest, heard: OutputHandler, waiting: OnJobWait
) -> JobResult:
    """Listen until it has ended; what it wrote down is taken away then, and left while it may still run."""
    try:
        ended = follow(task, on_output=heard, on_wait=waiting)
    except KeyboardInterrupt:
        ended = interrupted(task, errand.command, on_output=heard, on_wait=waiting)
    except AwsError as error:
        raise _unheard(task, errand, error) from None
    left = bucket.read(_result_key(errand.environment, errand.id))
    _clear(bucket, errand)
    told: Mapping[str, Any] = left.value if left else {}
    return JobResult(ended.exit_code, told.get("result"), tuple(told.get("notes", ())), ended.error)


def _unheard(task: RemoteTask, errand: JobRequest, error: AwsError) -> OrderopsError:
    """AWS cannot be asked any more: what runs there runs on, as when credentials end before a long migration does."""
    again = "the same command again goes on with it" if errand.exclusive else "the same command again begins anew"
    return OrderopsError(
        f"orderops {errand.command} goes on in task {task.id}, which is not heard any more\n" + "\n".join(error.lines),
        "\n".join(filter(None, (error.hint, again))),
    )


def _sweep(bucket: Bucket, environment: str) -> None:
    """Take away what errands left whose operators went away."""
    for key in bucket.keys(f"{environment}/errands/"):
        document = bucket.read(key)
        if document and document.age > LEFT_FOR:
            bucket.remove(key)


def _clear(bucket: Bucket, errand: JobRequest) -> None:
    with suppress(AwsError):  # what stays does no harm, and says nothing secret
        bucket.remove(_key(errand.environment, errand.id))
        bucket.remove(_result_key(errand.environment, errand.id))
