"""The rotation of a password: a new login is made, tried, put into use, and the one before it closed.

Every step can be repeated, and the labels of the secret's versions tell which one is next. The services' login
alternates between two users, so that both passwords are valid during the change. The master user is one user: between
two calls its new password is valid and not yet the current one, and orderops alone logs in with it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from orderops.database import service_role
from orderops.database.connection import CredentialsShape, Login, connect
from orderops.database.secret_versions import PENDING, LoginSecret, Versions
from orderops.errors import OrderopsError
from orderops.frozen import Frozen

NAME = "orderops database rotate"
DEFAULT_GRACE = timedelta(minutes=2)
"""How long the login before stays open. Services read the secret again after 30 s, and renew connections after 60."""


class Rotated(StrEnum):
    """What a run of a rotation has come to."""

    UNTIMELY = "not due"
    OPEN = "the login before is open"
    DONE = "rotated"


class RotationResult(Frozen):
    """What a run has come to, the user that logs in from then on, and until when the user before it still can."""

    state: Rotated
    username: str
    since: datetime
    open_until: datetime | None = None
    changed: bool = True
    """Whether this run has done anything."""


class Users(ABC):
    """The users of a database whose password is rotated."""

    def __init__(self, database: Login) -> None:
        self._database = database

    @abstractmethod
    def next_user(self, current: str) -> str:
        """The user that gets the next password. Raises OrderopsError for a current one that is not known."""

    @abstractmethod
    def open(self, new: CredentialsShape) -> None:
        """Give the user its new password. Harmless to repeat."""

    def check(self, new: CredentialsShape) -> None:
        """Log in as the user. Raises OrderopsError if that is refused."""
        with connect(self._as(new), name=NAME) as connection:
            connection.execute("select 1")

    @abstractmethod
    def close_other(self, current: str) -> None:
        """Let nobody log in with the password before any more. Harmless to repeat."""

    def _as(self, login: CredentialsShape) -> Login:
        return replace(self._database, username=login.username, password=login.password)


class ServiceUsers(Users):
    """The two users of the services. The database is opened as the master user."""

    def next_user(self, current: str) -> str:
        if current not in (service_role.ROLE, service_role.SECOND):
            raise OrderopsError(
                "the secret of the services names a user that orderops has not made",
                "make the services' role, and have the secret name it: orderops migrate grant",
            )
        return service_role.other_user(current)

    def open(self, new: CredentialsShape) -> None:
        with connect(self._database, name=NAME) as connection:
            service_role.open_login(connection, new.username, new.password)

    def check(self, new: CredentialsShape) -> None:
        with connect(self._as(new), name=NAME) as connection:
            row = connection.execute("select pg_has_role(%s, 'USAGE')", [service_role.ROLE]).fetchone()
        if row != (True,):
            raise OrderopsError(
                f"{new.username} logs in, and has not the rights of {service_role.ROLE}",
                "an inherited role lacks: alter role orderops_service_b inherit; then re-run this command",
            )

    def close_other(self, current: str) -> None:
        with connect(self._database, name=NAME) as connection:
            service_role.close_login(connection, service_role.other_user(current))


class MasterUser(Users):
    """The master user, whose password is in a secret of ours. The database is opened with the current password."""

    def next_user(self, current: str) -> str:
        return current

    def open(self, new: CredentialsShape) -> None:
        if self._opens(new):
            # Set by a run that was interrupted. The current password opens nothing any more.
            return
        with connect(self._database, name=NAME) as connection:
            service_role.set_password(connection, new.username, new.password)

    def close_other(self, current: str) -> None:
        # One user has one password.
        pass

    def _opens(self, login: CredentialsShape) -> bool:
        try:
            self.check(login)
        except OrderopsError:
            # A database that cannot be reached refuses the current password as well, and says why.
            return False
        return True


@dataclass
class Rotation:
    """The rotation of the password in one secret."""

    secret: LoginSecret
    users: Users
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)

    def run(self, grace: timedelta | None = None, if_older: timedelta = timedelta()) -> RotationResult:
        """Take every step that is due. A given grace replaces the one that an earlier run has noted.

        A new rotation begins only if the present password is older than `if_older`; one that was begun goes on.
        """
        versions = self.secret.versions()
        if versions.closing:
            if grace is not None:
                self.secret.keep_open(self.clock() + grace)
            return self._close(versions, begun=grace is not None)
        if not versions.making:
            if self.clock() - versions.current_since < if_older:
                return RotationResult(
                    Rotated.UNTIMELY, self.secret.login().username, versions.current_since, changed=False
                )
            versions = self.secret.begin(versions, self.users.next_user(self.secret.login().username))
        new = self.secret.login(PENDING)
        self.users.open(new)
        self.users.check(new)
        versions = self.secret.finish(versions, self.clock() + (DEFAULT_GRACE if grace is None else grace))
        return self._close(versions, begun=True)

    def _close(self, versions: Versions, *, begun: bool) -> RotationResult:
        """Close the login before the current one, if its time has come; `begun` if this run has changed something."""
        username, until = self.secret.login().username, self.secret.open_until()
        if until and until > self.clock():
            return RotationResult(Rotated.OPEN, username, versions.current_since, until, changed=begun)
        self.users.close_other(username)
        self.secret.end(versions)
        return RotationResult(Rotated.DONE, username, versions.current_since)
