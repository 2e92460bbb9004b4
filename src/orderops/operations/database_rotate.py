"""orderops database rotate: new passwords for the services and the master user, without a failed login."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from orderops.database.rotation import MasterUser, Rotated, Rotation, RotationResult, ServiceUsers
from orderops.database.secret_versions import LoginSecret
from orderops.errors import UsageError
from orderops.frozen import Frozen, replace
from orderops.infra.service_login import password_is_due
from orderops.operations.deployments import check_receives_schema
from orderops.operations.locked import locked_run, read_lease
from orderops.operations.migration_target import target_of
from orderops.operations.options import ChangeOptions, DatabaseOptions
from orderops.operations.remote import argv, run_by_task
from orderops.operations.workspace import confirm_change, open_workspace
from orderops.remote.request import JobRequest
from orderops.resources.rds_master import let_go
from orderops.restore.instances import load_instances
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


class Wanted(Frozen):
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
    if not options.dry_run:
        check_receives_schema(workspace)
    secrets = _secrets_of(workspace)
    seen = [_look(who, LoginSecret(workspace.aws, name), wanted) for who, name in secrets.items()]
    if options.dry_run or not any(login.due for login in seen):
        _show(seen, as_json=options.as_json)
        return
    for login in seen:
        console.info_folded(login.text)
    logins = _change(workspace, secrets, options, wanted)
    if options.as_json:
        console.show_json({"logins": logins})
    else:
        console.info(f"next: orderops status --env {where.env}")


def _change(
    workspace: Workspace, secrets: Mapping[str, str], options: ChangeOptions, wanted: Wanted
) -> list[dict[str, Any]]:
    """Ask and rotate, here or by a task; return what each login has come to."""
    command = argv("database", "rotate", **wanted.options)
    options = replace(options, command=" ".join(command))
    question = f"Rotate the passwords of {workspace.environment.name}?"
    if workspace.environment.database.access == "task":
        request = JobRequest((*command, "--yes"), settings={"secrets": secrets})
        result = run_by_task(
            workspace, request, options, question=question, around=lambda _: _master_password_known(workspace)
        )
        logins: list[dict[str, Any]] = (result.result or {}).get("logins", [])
        return logins
    lease = read_lease(workspace)
    confirm_change(workspace, question, options)
    with (
        locked_run(workspace, options, lease) as run,
        _master_password_known(workspace),
        target_of(workspace) as database,
    ):
        outcomes = _rotate(workspace.aws, secrets, database.login, wanted, run.record.note)
    return [_to_dict(*item) for item in outcomes.items()]


@contextmanager
def _master_password_known(workspace: Workspace) -> Iterator[None]:
    """Rotate in the body. Other instances with the master password of now, such as one that was promoted from, get
    another one first: the next password would be in the secret, and not in them.
    """
    if workspace.stack.database.master:
        primary = load_instances(workspace.aws, workspace.stack).require_primary().observed
        let_go(workspace.aws, primary, str(primary.properties["MasterUserSecretArn"]))
    yield


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
        if who == MASTER:
            outcome = Rotation(secret, MasterUser(database)).run(timedelta(), wanted.if_older)
            database = dataclasses.replace(database, password=secret.login().password)
        else:
            outcome = _rotate_services(Rotation(secret, ServiceUsers(database)), wanted)
        outcomes[who] = outcome
        console.info_folded(_in_words(who, outcome))
        if outcome.changed:
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


class _Login(Frozen):
    """A login as it is now."""

    who: str
    due: bool
    """Whether a run would do something for it."""
    text: str


def _look(who: str, secret: LoginSecret, wanted: Wanted) -> _Login:
    """Look what a run would do for a login, and why it would not."""
    versions, now = secret.versions(), datetime.now(UTC)
    age = in_words(now - versions.current_since)
    if versions.making:
        due, text = True, "go on with the rotation that was interrupted"
    elif versions.closing:
        until = secret.open_until()
        due, text = True, "close the login before the present one"
        if wanted.grace is None and until and until - now > PATIENCE:
            due, text = False, _open_until(until)
    elif now - versions.current_since < wanted.if_older:
        due, text = False, f"not due, the password is {age} old"
    else:
        due, text = True, f"a new password; the present one is {age} old"
    return _Login(who, due, f"{_named(who)}: {text}")


def _show(logins: Sequence[_Login], *, as_json: bool) -> None:
    if as_json:
        console.show_json({"due": [login.who for login in logins if login.due]})
        return
    for login in logins:
        if login.due:
            console.data(f"~ {login.text}")
        else:
            console.info_folded(login.text)


def _named(who: str) -> str:
    return {SERVICES: "the services", MASTER: "the master user"}[who]


def _in_words(who: str, outcome: RotationResult) -> str:
    if outcome.state is Rotated.UNTIMELY:
        return f"{_named(who)}: not due, the password is {in_words(datetime.now(UTC) - outcome.since)} old"
    if outcome.state is Rotated.OPEN and outcome.open_until:
        return f"{_named(who)}: {_open_until(outcome.open_until)}"
    if who == MASTER:
        return f"{_named(who)}: {outcome.username} has a new password"
    return f"{_named(who)}: they log in as {outcome.username}, and the login before is closed"


def _open_until(moment: datetime) -> str:
    return f"the login before the present one is open until {in_seconds(moment)}; re-run this command after that"


def _to_dict(who: str, outcome: RotationResult) -> dict[str, Any]:
    return {
        "login": who,
        "user": outcome.username,
        "state": str(outcome.state),
        "since": in_seconds(outcome.since),
        "open_until": in_seconds(outcome.open_until) if outcome.open_until else None,
    }
