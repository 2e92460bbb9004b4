"""Commands that run by a remote job: in a task next to the service, where the databases can be reached.

What belongs to the operator stays here: the question, the lease, the record. The job carries the rest as an argv.
"""

from __future__ import annotations

import shlex
import socket
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from orderops.errors import OrderopsError, UsageError

if TYPE_CHECKING:
    from orderops.infra.workspace import Workspace
    from orderops.operations.options import ChangeOptions, LockOptions, MigrateOptions
    from orderops.remote.job import JobRequest, JobResult
    from orderops.runs.run import Run

T = TypeVar("T")


def argv(*words: str, **options: Any) -> list[str]:
    """A command line: `argv("migrate", "apply", to=3)` is ["migrate", "apply", "--to", "3"].

    An option that is None, False or empty is left out; True is a flag; a sequence repeats the option.
    """
    given = list(words)
    for name, value in options.items():
        given += _option(f"--{name.strip('_').replace('_', '-')}", value)
    return given


def run_by_task(
    workspace: Workspace,
    request: JobRequest,
    options: ChangeOptions | None = None,
    *,
    question: str = "",
    on_data: Callable[[str], object] | None = None,
    around: Callable[[Run], AbstractContextManager[None]] = lambda _: nullcontext(),
    on_result: Callable[[JobResult], object] = lambda _: None,
) -> JobResult:
    """Run a command in a task and show its output, or pass its stdout to `on_data`.

    With a question the operator is asked first, the run is recorded, and no other job runs meanwhile; `around` is what
    the change needs before and after the job, and gets the result by `on_result`. Raises what the command raises.
    """
    from orderops.operations.locked import locked_run, read_lease
    from orderops.operations.workspace import confirm_change
    from orderops.remote.job import JobObserver, run_job
    from orderops.ui import console
    from orderops.ui.remote import JobOutput

    request = replace(
        request, host=socket.gethostname(), exclusive=bool(question), width=request.width or console.out.width
    )

    def run() -> JobResult:
        with JobOutput(on_data) as output:
            return run_job(workspace, request, JobObserver(output.show, output.waiting))

    if not question:
        result = run()
        result.check()
        return result
    assert options, "a change has options"
    lease = read_lease(workspace)
    confirm_change(workspace, question, options)
    # The lease is held on this machine: a task that is killed could not release it.
    with locked_run(workspace, options, lease) as recorded, around(recorded):
        result = run()
        # Recorded also if the command failed: what it did before that counts.
        for note in result.notes:
            recorded.record.note(**note)
        result.check()
        on_result(result)
    return result


def answer_of_task(workspace: Workspace, request: JobRequest, shape: type[T]) -> T:
    """Run a command that changes nothing in a task, without its output, and return its result.

    Raises what the command raises, and OrderopsError for a result of another shape.
    """
    from orderops.aws.validation import Malformed, validated
    from orderops.remote.job import JobObserver, run_job
    from orderops.ui.progress import Progress

    with Progress() as progress:
        end = run_job(workspace, request, JobObserver(lambda _: None, progress.watch))
    end.check()
    try:
        return validated(end.result, shape)
    except Malformed as error:
        raise OrderopsError(f"the result of the task {error}", "re-run this command") from None


def migrate_by_task(
    where: MigrateOptions,
    command: Sequence[str],
    options: ChangeOptions | None = None,
    *,
    question: str = "",
    locks: LockOptions | None = None,
    with_login: bool = False,
) -> bool:
    """Run a migrate command by a task, if the environment's `[database] access` is `task`; return whether it ran.

    With a question the command changes something, unless it is a dry run. With `with_login` it makes the services'
    role as well, if that is due.
    """
    from orderops.config.environment import load_environment
    from orderops.operations.migration_target import is_other_database
    from orderops.operations.workspace import open_workspace

    if (
        where.job
        or is_other_database(where.dsn)
        or load_environment(where.env, where.environments).database.access != "task"
    ):
        return False
    changes = options is not None and bool(question) and not options.dry_run
    if changes and locks and locks.terminate_blockers and not (options and options.yes):
        raise UsageError("a task in the VPC cannot ask before terminating blocking sessions", "pass --yes")
    workspace = open_workspace(where.env, where.environments)
    if not changes:
        run_by_task(workspace, _migrate_request(workspace, where, command), options)
        return True
    assert options, "a change has options"
    _change_by_task(workspace, where, command, options, question.format(env=where.env), with_login=with_login)
    return True


def _change_by_task(
    workspace: Workspace,
    where: MigrateOptions,
    command: Sequence[str],
    options: ChangeOptions,
    question: str,
    *,
    with_login: bool,
) -> None:
    from orderops.infra.service_login import login_is_due
    from orderops.operations import service_login
    from orderops.operations.deployments import check_receives_schema

    check_receives_schema(workspace)
    # Confirmed here, so not asked there.
    request = _migrate_request(workspace, where, [*command, "--yes"])
    options = options.of(shlex.join(command))
    if not (with_login and login_is_due(workspace)):
        run_by_task(workspace, request, options, question=question)
        return
    tokens, made = bool(workspace.stack.pointer.iam_user), service_login.MadeRoles()
    request = replace(request, settings={**request.settings, **service_login.job_settings(workspace, tokens=tokens)})
    run_by_task(
        workspace,
        request,
        options,
        question=question,
        around=lambda run: service_login.login_switch(workspace, run.recent_writes, made),
        on_result=made.read,
    )


def _migrate_request(workspace: Workspace, where: MigrateOptions, command: Sequence[str]) -> JobRequest:
    from orderops.operations import gate
    from orderops.operations.migration_target import files_of, lead_of, settings_of
    from orderops.remote.job import JobRequest

    return JobRequest(
        tuple(command),
        sql=files_of(where.sql),
        settings={**settings_of(workspace), **gate.settings_of(workspace)},
        options=lead_of(where.env, where.sql),
    )


def _option(name: str, value: Any) -> list[str]:
    match value:
        case None | False:
            return []
        case True:
            return [name]
        case str() | int() | Path():
            return [name, str(value)]
        case timedelta():
            return [name, f"{value.total_seconds():.0f}s"]
        case list() | tuple():
            return [word for item in value for word in _option(name, item)]
    raise TypeError(f"{name}: {value!r}")
