"""Observer of the statements of a run: their start, their end, and the release of their locks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orderops.migrations.sql.files import SqlFile
from orderops.migrations.sql.parser import Statement

if TYPE_CHECKING:
    from psycopg import Connection


class Observer:
    """Receives the events of a run; this base class ignores them."""

    def begins(self, connection: Connection, file: SqlFile, statement: Statement) -> None:
        """Handle the start of a statement, a retry or a batch; may be called twice for one of them."""

    def ended(self, connection: Connection, file: SqlFile, statement: Statement) -> None:
        """Handle the success of a statement; its transaction, if any, is still open."""

    def settled(self) -> None:
        """Handle the end of the transaction, committed or rolled back: its locks are released."""
