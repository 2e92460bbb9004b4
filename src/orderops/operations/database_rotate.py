"""orderops database rotate: new passwords for the services and the master user, without a failed login."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from orderops.database.rotation import MasterUser, Rotated, Rotation, RotationResult, ServiceUsers
from orderops.database.secret_versions import LoginSecret, Versions
from orderops.errors import UsageError
from orderops.infra.service_login import password_is_due
from orderops.operations.locked import locked_run, read_lease
from orderops.operations.migration_target import target_of
from orderops.operations.options import ChangeOptions, DatabaseOptions
from orderops.operations.remote import argv, run_by_task
from orderops.operations.workspace import confirm_change, open_workspace
from orderops.remote.request import JobRequest
from orderops.runs.history import in_seconds
from orderops.text.durations import in_words
from orderops.ui import console
from orderops.ui.progress import Progress

if TYPE_CHECKING:
    from orderops.aws.client import Aws
    from orderops.database.connection import Login
    from orderops.infra.workspace import Workspace

SERVICES, MASTER = "services", "master"
PATIENCE = timedelta(minutes=10)
"""The longest grace that is waited for. A longer one is noted, and a later run closes the login."""


@dataclass(frozen=True)
class Wanted:
    """What an operator wants of a rotation."""

    grace: timedelta | None = None
    """How long the login before stays open; None for the default, or for what an earlier run has noted."""
    if_older: timedelta = timedelta()
    """The age of a password from which on it is rotated."""

    @property
    def options(self) -> dict[str, Any]:
        """As options of a command line."""
        return {"grace": self.grace, "if_older": self.if_older or None}


def rotate(where: DatabaseOptions, options: ChangeOptions, wanted: Wanted) -> None:
    """Rotate every password of the environment's database that orderops keeps, as far as that is due."""
    if where.job:
        secrets: Mapping[str, str] = where.job.request.settings["secrets"]
        outcomes = _rotate(where.job.aws, secrets, where.job.login(), wanted, where.job.note)
        where.job.set_result({"logins": [_to_dict(*item) for item in outcomes.items()]})
        return
    workspace = open_workspace(where.env, where.environments)
    secrets = _secrets_of(workspace)
    due = _due(workspace.aws, secrets, wanted)
    if options.dry_run or not due:
        _show_due(workspace, secrets, due, wanted, as_json=options.as_json)
        return
    command = argv("database", "rotate", **wanted.options)
    options = replace(options, command=" ".join(command))
    for text in due.values():
        console.info_folded(text)
    question = f"Rotate the passwords of {where.env}?"
    if workspace.environment.database.access == "task":
        request = JobRequest((*command, "--yes"), settings={"secrets": secrets})
        logins = (run_by_task(workspace, request, options, question=question).result or {}).get("logins", [])
    else:
        lease = read_lease(workspace)
        confirm_change(workspace, question, options)
        with locked_run(workspace, options, lease) as run, target_of(workspace) as database:
            outcomes = _rotate(workspace.aws, secrets, database.login, wanted, run.record.note)
        logins = [_to_dict(*item) for item in outcomes.items()]
    if options.as_json:
        console.show_json({"logins": logins})
    else:
        console.info(f"next: orderops status --env {where.env}")


def _secrets_of(workspace: Workspace) -> dict[str, str]:
    """The names of the secrets whose passwords orderops keeps. Raises UsageError while services lack their role."""
    name = workspace.environment.name
    if password_is_due(workspace):
        raise UsageError(
            f"the services of {name} have no login of their own yet, and nothing else has a password to rotate",
            f"make it: orderops migrate grant --env {name}",
        )
    master = workspace.stack.database.master
    # The master user first: as it the other one is rotated.
    return {**({MASTER: master.name} if master else {}), SERVICES: workspace.stack.login.name}


def _rotate(
    aws: Aws, secrets: Mapping[str, str], database: Login, wanted: Wanted, note: Callable[..., None]
) -> dict[str, RotationResult]:
    """Rotate what is due, and return what each has come to."""
    outcomes: dict[str, RotationResult] = {}
    for who, name in secrets.items():
        secret = LoginSecret(aws, name)
        before = secret.versions()
        if who == MASTER:
            outcome = Rotation(secret, MasterUser(database)).run(timedelta(), wanted.if_older)
            database = replace(database, password=secret.login().password)
        else:
            outcome = _rotate_services(Rotation(secret, ServiceUsers(database)), wanted)
        outcomes[who] = outcome
        console.info_folded(_in_words(who, outcome))
        if secret.versions() != before:
            note(action="rotated", login=who, user=outcome.username, state=str(outcome.state))
    return outcomes


def _rotate_services(rotation: Rotation, wanted: Wanted) -> RotationResult:
    outcome = rotation.run(wanted.grace, wanted.if_older)
    if outcome.open_until and outcome.open_until - datetime.now(UTC) <= PATIENCE:
        _wait(outcome.open_until, outcome.username)
        outcome = rotation.run()
    return outcome


def _wait(until: datetime, username: str) -> None:
    """Wait for a time, and say why."""
    left = (until - datetime.now(UTC)).total_seconds()
    console.info(f"{username} is in use; the login before is closed in {in_words(left)}")
    with Progress() as progress:
        while (left := (until - datetime.now(UTC)).total_seconds()) > 0:
            progress.watch(username, f"the login before is closed in {in_words(left)}")
            time.sleep(min(1.0, left))


def _due(aws: Aws, secrets: Mapping[str, str], wanted: Wanted) -> dict[str, str]:
    """What a run would do, in words, for each login that has something to be done."""
    due = {}
    for who, name in secrets.items():
        secret = LoginSecret(aws, name)
        if text := _next_step(secret, secret.versions(), wanted):
            due[who] = f"{_named(who)}: {text}"
    return due


def _next_step(secret: LoginSecret, versions: Versions, wanted: Wanted) -> str:
    if versions.making:
        return "go on with the rotation that was interrupted"
    if versions.closing:
        until = secret.open_until()
        waits = wanted.grace is None and until and until - datetime.now(UTC) > PATIENCE
        return "" if waits else "close the login before the present one"
    age = datetime.now(UTC) - versions.current_since
    return "" if age < wanted.if_older else f"a new password; the present one is {in_words(age)} old"


def _show_due(
    workspace: Workspace, secrets: Mapping[str, str], due: Mapping[str, str], wanted: Wanted, *, as_json: bool
) -> None:
    if as_json:
        console.show_json({"due": list(due)})
        return
    for text in due.values():
        console.data(f"~ {text}")
    for who in secrets.keys() - due.keys():
        secret = LoginSecret(workspace.aws, secrets[who])
        versions = secret.versions()
        until = secret.open_until() if versions.closing else None
        state = Rotated.OPEN if until else Rotated.UNTIMELY
        console.info_folded(_in_words(who, RotationResult(state, secret.name, versions.current_since, until)))


def _named(who: str) -> str:
    return {SERVICES: "the services", MASTER: "the master user"}[who]


def _in_words(who: str, outcome: RotationResult) -> str:
    if outcome.state is Rotated.UNTIMELY:
        return f"{_named(who)}: not due, the password is {in_words(datetime.now(UTC) - outcome.since)} old"
    if outcome.state is Rotated.OPEN and outcome.open_until:
        until = in_seconds(outcome.open_until)
        return f"{_named(who)}: the login before the present one is open until {until}; re-run this command after that"
    if who == MASTER:
        return f"{_named(who)}: {outcome.username} has a new password"
    return f"{_named(who)}: they log in as {outcome.username}, and the login before is closed"


def _to_dict(who: str, outcome: RotationResult) -> dict[str, Any]:
    return {
        "login": who,
        "user": outcome.username,
        "state": str(outcome.state),
        "since": in_seconds(outcome.since),
        "open_until": in_seconds(outcome.open_until) if outcome.open_until else None,
    }
