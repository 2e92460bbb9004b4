"""Running a command where the databases can be reached: in a one-off task next to the service.

On the operator's machine, `run_job` stores the request in S3, starts the task, shows its output and returns its result.
Inside the task, `read_job` reads the request; the entry point hands it to the command.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

from orderops.aws.client import Aws
from orderops.aws.documents import BrokenDocument, Bucket, Document
from orderops.aws.validation import LARGEST, json_object
from orderops.database.connection import Login, login_at_endpoint, login_from_secret
from orderops.errors import AwsError, Meaning, OrderopsError
from orderops.frozen import Frozen
from orderops.infra.workspace import Workspace
from orderops.remote.follow import JobObserver, follow, interrupt
from orderops.remote.framing import Mark, OutputLine
from orderops.remote.request import DATABASE, DatabaseEndpoint, JobRequest, job_request_of
from orderops.remote.task import RemoteTask, TaskPlacement, placement_of, running, start

__all__ = [
    "DATABASE",
    "CurrentJob",
    "DatabaseEndpoint",
    "JobObserver",
    "JobRequest",
    "JobResult",
    "read_job",
    "run_job",
]

READABLE_FOR = 3600
"""Seconds in which the task must have read its request."""
# A URL signed with temporary credentials expires with them, which may be earlier.
WRITABLE_FOR = 12 * 3600
"""Seconds in which the task can store its result."""
# Far longer than a result can be written for.
KEPT_FOR = timedelta(days=2)
"""How long the documents of a job are kept if its operator never read the result."""


class JobResult(Frozen):
    """How a job ended."""

    exit_code: int
    result: dict[str, Any] | None = None
    """What the command passed to `CurrentJob.set_result`; None if nothing."""
    notes: Sequence[Mapping[str, Any]] = ()
    """The changes that the command made, for the run record."""
    error: OrderopsError | None = None

    def check(self) -> None:
        """Raise the job's error, if any."""
        if self.error:
            raise self.error


@dataclass(frozen=True)
class ResultShape:
    """The document in which a task stores its result, to validate it with."""

    result: dict[str, Any] | None = None
    notes: tuple[dict[str, Any], ...] = ()


def run_job(
    workspace: Workspace, request: JobRequest, observer: JobObserver, *, service: str | None = None
) -> JobResult:
    """Run a command in a task next to a service (the first of the environment by default) and wait for its end.

    If the same exclusive job is running, because its operator's process was killed, this attaches to it. Starting an
    exclusive job is a change, which needs the lease; Ctrl+C interrupts the command in the task.

    Raises OrderopsError if another exclusive job is running, or the task cannot be started or followed. An error of the
    command itself is in the result.
    """
    # Reading the output, stopping the task and deleting documents must work after the lease is lost.
    aws = workspace.aws.guarded(lambda: None)
    bucket = Bucket(aws)
    base = workspace.stack.services[service or workspace.environment.entries[0]]
    placement = placement_of(
        aws,
        environment=workspace.environment.name,
        cluster=workspace.stack.cluster.name,
        service=workspace.environment.service_name(base.key),
        role=base.jobs_role.name,
    )
    # Completed first: the pointer is part of what two jobs are compared by.
    request = _completed(request, workspace, bucket)
    existing = _running_job(bucket, aws, placement, request) if request.exclusive else None
    if existing:
        request, task = existing
        observer.on_output(OutputLine(Mark.ERR, f"attached to task {task.id}, started by {request.who}"))
    else:
        if request.exclusive:
            _remove_old_documents(bucket, request.environment)
        task = _started(workspace.aws if request.exclusive else aws, bucket, placement, request)
    return _followed(bucket, task, request, observer)


@dataclass
class CurrentJob:
    """The job that this process runs inside a task."""

    request: JobRequest
    notes: list[dict[str, Any]] = field(default_factory=list)
    result: dict[str, Any] | None = None

    @property
    def aws(self) -> Aws:
        """AWS with the credentials of the task's role."""
        return Aws(self.request.region, environment=self.request.environment)

    def login(self, name: str = DATABASE) -> Login:
        """Return the login of one of the job's databases."""
        endpoint = self.request.databases[name]
        if endpoint.pointer:
            return login_from_secret(self.aws, endpoint.pointer)
        return login_at_endpoint(self.aws, vars(endpoint))

    def note(self, **what: Any) -> None:
        """Add a change to the run record, which the operator's machine writes."""
        self.notes.append(what)

    def set_result(self, result: Mapping[str, Any]) -> None:
        """Set `JobResult.result`, replacing an earlier one."""
        self.result = dict(result)


def read_job(url: str) -> CurrentJob:
    """Read the request of this process's job. Raises OrderopsError if it cannot be read."""
    from urllib.error import URLError
    from urllib.request import urlopen

    try:
        with urlopen(url, timeout=30) as response:
            return CurrentJob(job_request_of(json_object(response.read(LARGEST + 1))))
    except (URLError, OSError, ValueError) as error:
        raise OrderopsError(
            f"the request of the job cannot be read: {error}",
            "check that the task reaches S3, then re-run this command",
        ) from None


def _completed(request: JobRequest, workspace: Workspace, bucket: Bucket) -> JobRequest:
    environment, id_ = workspace.environment.name, uuid.uuid4().hex
    own = DatabaseEndpoint(pointer=workspace.stack.pointer.name)
    return replace(
        request,
        databases={DATABASE: own, **request.databases},
        options=request.options or f"--env {environment}",
        id=id_,
        environment=environment,
        region=workspace.aws.region,
        who=workspace.aws.caller,
        result_url=bucket.link("put_object", _result_key(environment, id_), seconds=WRITABLE_FOR),
    )


def _prefix(environment: str) -> str:
    return f"{environment}/jobs/"


def _key(environment: str, id_: str) -> str:
    return f"{_prefix(environment)}{id_}.json"


def _result_key(environment: str, id_: str) -> str:
    return f"{_prefix(environment)}{id_}.result.json"


def _running_job(
    bucket: Bucket, aws: Aws, placement: TaskPlacement, mine: JobRequest
) -> tuple[JobRequest, RemoteTask] | None:
    """Return the running job that is the same as `mine`; raises OrderopsError if another exclusive job is running."""
    for id_, task in running(aws, placement):
        document = bucket.read(_key(mine.environment, id_)) if id_ else None
        # The command has ended, and only its task is still listed.
        if document is None or bucket.read(_result_key(mine.environment, id_)):
            continue
        other = _request_in(document, placement, task)
        if not other.exclusive:
            continue
        if other.same_as(mine):
            return other, task
        raise OrderopsError(
            f"orderops {other.command} is still running in {mine.environment}: task {task.id}, started by {other.who}"
            f"{f' on {other.host}' if other.host else ''}",
            f"attach to it: orderops {other.command} {other.options}\n"
            f"or stop it: aws ecs stop-task --cluster {placement.cluster} --task {task.id}",
        )
    return None


def _request_in(document: Document, placement: TaskPlacement, task: RemoteTask) -> JobRequest:
    """Read the request of a running task. Raises OrderopsError with the task if it cannot be read."""
    try:
        return job_request_of(document.value)
    except OrderopsError as error:
        stop = f"aws ecs stop-task --cluster {placement.cluster} --task {task.id}"
        raise OrderopsError(
            f"task {task.id} is running, and what it does cannot be read from {document.uri}\n{error.message}",
            f"wait for its end, or stop it: {stop}",
        ) from None


def _started(aws: Aws, bucket: Bucket, placement: TaskPlacement, request: JobRequest) -> RemoteTask:
    bucket.put(_key(request.environment, request.id), request.to_dict())
    # A signed URL, so that the role of the task needs no permission for the bucket.
    url = bucket.link("get_object", _key(request.environment, request.id), seconds=READABLE_FOR)
    try:
        return start(aws, placement, token=request.id, url=url, width=request.width)
    except OrderopsError as error:
        # If the response was lost, the task may be running, and a re-run attaches to it.
        lost = isinstance(error, AwsError) and error.meaning is Meaning.LOST
        if not lost:
            _remove_documents(bucket, request)
        raise


def _followed(bucket: Bucket, task: RemoteTask, request: JobRequest, observer: JobObserver) -> JobResult:
    """Follow a task to its end, then read its result and delete its documents."""
    try:
        end = follow(task, observer)
    except KeyboardInterrupt:
        end = interrupt(task, request.command, observer)
    except AwsError as error:
        raise _lost_contact(task, request, error) from None
    document = bucket.read(_result_key(request.environment, request.id))
    try:
        result = document.parsed(ResultShape) if document else ResultShape()
    except BrokenDocument as error:
        # The document is kept, to be looked at.
        lead = "\n".join([*(end.error.lines if end.error else [f"orderops {request.command} ended"]), error.message])
        raise OrderopsError(lead, "\n".join(filter(None, [end.error.hint if end.error else "", error.show]))) from None
    _remove_documents(bucket, request)
    return JobResult(end.exit_code, result.result, result.notes, end.error)


def _lost_contact(task: RemoteTask, request: JobRequest, error: AwsError) -> OrderopsError:
    """Return the error for a job that can no longer be followed, as when credentials expire before a migration ends."""
    effect = "re-run this command to attach to it" if request.exclusive else "re-run this command to start it again"
    return OrderopsError(
        f"orderops {request.command} continues in task {task.id}, which cannot be followed any more\n"
        + "\n".join(error.lines),
        "\n".join(filter(None, (error.hint, effect))),
    )


def _remove_old_documents(bucket: Bucket, environment: str) -> None:
    """Delete documents of jobs that were never followed to their end."""
    for key in bucket.keys(_prefix(environment)):
        document = bucket.read(key)
        if document and document.age > KEPT_FOR:
            bucket.remove(key)


def _remove_documents(bucket: Bucket, request: JobRequest) -> None:
    # A document that is left does no harm, contains no secret, and is deleted after two days.
    with suppress(AwsError):
        bucket.remove(_key(request.environment, request.id))
        bucket.remove(_result_key(request.environment, request.id))
