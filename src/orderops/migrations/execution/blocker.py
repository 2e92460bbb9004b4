"""Sessions that hold a lock which conflicts with a migration."""

from __future__ import annotations

from orderops.frozen import Frozen
from orderops.migrations.sql.parser import masked


class Blocker(Frozen):
    """A session with a conflicting lock."""

    pid: int
    user: str
    application: str
    state: str
    backend: str
    relation: str
    mode: str
    query: str
    age: float | None
    """Seconds since its transaction began; None if this role may not see it."""
    untouchable: bool
    """Whether its role is a superuser or a replication role."""

    @property
    def brief(self) -> str:
        """Pid, application and user."""
        return f"pid {self.pid}, {self._who}" if self.pid else "a prepared transaction"

    @property
    def describe(self) -> str:
        """One line with pid, user, state, lock and last statement; values in the statement are masked."""
        if not self.pid:
            return f"a prepared transaction (select * from pg_prepared_xacts) holds {self.mode} on {self.relation}"
        since = f" for {self.age:.0f} s" if self.age is not None else ""
        what = f", {self.state}{since}" if self.state else since
        on = f", holds {self.mode} on {self.relation}" if self.relation else ""
        query = f"; last statement: {masked(self.query).rstrip(' ;')}" if self.query else ""
        return f"pid {self.pid}, {self._who}{what}{on}{query}"

    @property
    def gives_way(self) -> bool:
        """Whether the session is an autovacuum that may be cancelled."""
        # PostgreSQL cancels autovacuum itself for a waiting session, but never the one that prevents wraparound.
        return self.backend == "autovacuum worker" and "wraparound" not in self.query

    @property
    def may_be_ended(self) -> bool:
        """Whether orderops may terminate the session at all: only those of clients, never superusers or replication."""
        return bool(self.pid) and self.backend == "client backend" and not self.untouchable

    @property
    def _who(self) -> str:
        return " as ".join(filter(None, [self.application, self.user])) or self.backend
