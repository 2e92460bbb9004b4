"""Commands that are carried out elsewhere: in a task beside the service, where the database can be reached.

Outside stays what belongs to the operator: the question, the lease, the record. The rest is sent, word by word.
"""

from __future__ import annotations

import shlex
import socket
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from functools import wraps
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, get_args, get_type_hints

if TYPE_CHECKING:
    from orderops.infra.workspace import Workspace
    from orderops.operations.workspace import ChangeOptions
    from orderops.remote.job import DatabaseEndpoint, JobResult

P = ParamSpec("P")
STAYS = frozenset({"env", "environments", "sql", "dsn", "yes", "confirm"})
"""Parameters that are settled outside."""


def sent_where_needed(
    question: str = "", check: Callable[[Mapping[str, Any]], object] = lambda _: None
) -> Callable[[Callable[P, None]], Callable[P, None]]:
    """A command that is sent by an errand where the environment's `[database] access` is `task`.

    With a question it changes something: it is asked outside, and the command runs alone and on record. `check` is
    told the parameters, and refuses here what would be refused there, a task later.
    """

    def decorate(command: Callable[P, None]) -> Callable[P, None]:
        @wraps(command)
        def sent_or_done(*args: P.args, **given: P.kwargs) -> None:
            if not _sent(command, given, question, check):
                command(*args, **given)

        return sent_or_done

    return decorate


def send(
    workspace: Workspace,
    words: Sequence[str],
    options: ChangeOptions | None = None,
    question: str = "",
    *,
    sql: Mapping[str, str] | None = None,
    doors: Mapping[str, DatabaseEndpoint] | None = None,
    settings: Mapping[str, Any] | None = None,
    lead: str = "",
    data: Callable[[str], object] | None = None,
) -> JobResult:
    """Carry out a command in a task and show what it says, or hand on its `data`.

    With a question it is asked first, and the run is on record. Raises what the command refuses.
    """
    from orderops.operations.locked import locked_run, read_lease
    from orderops.operations.workspace import confirm_change
    from orderops.remote.job import JobObserver, JobRequest, run_job
    from orderops.ui import console
    from orderops.ui.remote import JobOutput

    def outcome() -> JobResult:
        with JobOutput(data) as shows:
            request = JobRequest(
                tuple(words),
                databases=doors or {},
                sql=sql or {},
                settings=settings or {},
                host=socket.gethostname(),
                options=lead,
                exclusive=bool(question),
                width=console.out.width,
            )
            return run_job(workspace, request, JobObserver(shows.heard, shows.waiting))

    if not question:
        ended = outcome()
        ended.check()
        return ended
    assert options
    lease = read_lease(workspace)
    confirm_change(workspace, question, options)
    with locked_run(workspace, options, lease) as taken:
        ended = outcome()
        for note in ended.notes:
            taken.record.note(**note)
        ended.check()
    return ended


def words_of(command: Callable[..., None], given: Mapping[str, Any]) -> list[str]:
    """The words that give a command these parameters, but for those that are settled outside and those left out."""
    words: list[str] = []
    defaults = signature(command).parameters
    for name, hint in get_type_hints(command, include_extras=True).items():
        option = _option(hint)
        if option and name not in STAYS and given.get(name) != defaults[name].default:
            words += _said(option, given.get(name))
    return words


def _sent(
    command: Callable[..., None],
    given: Mapping[str, Any],
    question: str,
    check: Callable[[Mapping[str, Any]], object],
) -> bool:
    """Send a command where that is the way; false where it is to be done here."""
    from orderops.config.environment import load_environment
    from orderops.operations import gate
    from orderops.operations.migrate import files_of, lead_of, means_other_database, settings_of
    from orderops.operations.workspace import ChangeOptions, open_workspace
    from orderops.remote.job import current_job

    if means_other_database(given.get("dsn")) or current_job():
        return False
    env, folder = given["env"], given.get("environments")
    if load_environment(env, folder).database.access != "task":
        return False
    words = words_of(command, given)
    dry_run, yes = bool(given.get("dry_run")), bool(given.get("yes"))
    changes = bool(question) and not dry_run
    check(given)
    _check_questions(given, changes)
    sql = files_of(given["sql"]) if "sql" in given else {}
    workspace = open_workspace(env, folder)
    shown = ["migrate", command.__name__, *words]
    send(
        workspace,
        [*shown, "--yes"] if changes else shown,
        ChangeOptions(shlex.join(shown), dry_run, yes, given.get("confirm", ()), given.get("wait", timedelta())),
        question.format(env=env) if changes else "",
        sql=sql,
        settings={**settings_of(workspace), **gate.settings_of(workspace)},
        lead=lead_of(env, given.get("sql")),
    )
    return True


def _check_questions(given: Mapping[str, Any], changes: bool) -> None:
    """Raise UsageError where a question would come up inside, where nobody is."""
    from orderops.errors import UsageError

    if changes and given.get("terminate_blockers") and not given.get("yes"):
        raise UsageError(
            "nobody can be asked about sessions in the way by a task inside the VPC", "say it beforehand: --yes"
        )


def _option(hint: Any) -> str:
    """The name of the option that a parameter is; typer keeps the first of its names as if it were a default."""
    for each in get_args(hint)[1:]:
        for name in (getattr(each, "default", None), *(getattr(each, "param_decls", None) or ())):
            if isinstance(name, str) and name.startswith("--"):
                return name
    return ""


def _said(option: str, value: Any) -> list[str]:
    match value:
        case None | False:
            return []
        case True:
            return [option]
        case list() | tuple():
            return [word for each in value for word in _said(option, each)]
        case timedelta():
            return [option, f"{value.total_seconds():.0f}s"]
        case Path():
            return [option, str(value)]
    return [option, str(value)]
