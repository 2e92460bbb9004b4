"""Who wants to know of each statement when it begins and ends, and when what it locked is free again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orderops.migrations.sql.files import SqlFile
from orderops.migrations.sql.parser import Statement

if TYPE_CHECKING:
    from psycopg import Connection


class Observer:
    """Told of a run while it goes on, by the one who carries it out; this one wants to know nothing."""

    def begins(self, connection: Connection, file: SqlFile, statement: Statement) -> None:
        """A statement, or one more try or piece of it, is about to be sent; may be told twice of one."""

    def ended(self, connection: Connection, file: SqlFile, statement: Statement) -> None:
        """It went well; where it runs in a transaction, that is still open."""

    def settled(self) -> None:
        """No transaction is open any more, whether it went well or not: what was locked is free."""
