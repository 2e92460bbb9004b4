"""A session that holds what keeps a migration out, as an operator is told of it."""

from __future__ import annotations

from dataclasses import dataclass

from orderops.migrations.sql.parser import masked


@dataclass(frozen=True)
class Blocker:
    """A session that holds what keeps us out."""

    pid: int
    user: str
    application: str
    state: str
    backend: str
    relation: str
    mode: str
    query: str
    age: float | None
    """Seconds since its transaction began; None where we may not see it."""
    untouchable: bool
    """Whether its role is a superuser's or replicates."""

    @property
    def brief(self) -> str:
        """Who it is, in few words."""
        return f"pid {self.pid}, {self._who}" if self.pid else "a prepared transaction"

    @property
    def describe(self) -> str:
        """Who it is and what it does, in a line; values of its statement are left out."""
        if not self.pid:
            return f"a prepared transaction (select * from pg_prepared_xacts) holds {self.mode} on {self.relation}"
        since = f" for {self.age:.0f} s" if self.age is not None else ""
        what = f", {self.state}{since}" if self.state else since
        on = f", holds {self.mode} on {self.relation}" if self.relation else ""
        query = f"; last statement: {masked(self.query).rstrip(' ;')}" if self.query else ""
        return f"pid {self.pid}, {self._who}{what}{on}{query}"

    @property
    def gives_way(self) -> bool:
        """Whether it is autovacuum, which PostgreSQL itself cancels for who waits; not the one against wraparound."""
        return self.backend == "autovacuum worker" and "wraparound" not in self.query

    @property
    def may_be_ended(self) -> bool:
        """Whether it is a client's session that we would ever end."""
        return bool(self.pid) and self.backend == "client backend" and not self.untouchable

    @property
    def _who(self) -> str:
        return " as ".join(filter(None, [self.application, self.user])) or self.backend
