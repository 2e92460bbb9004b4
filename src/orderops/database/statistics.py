"""Statistics of the planner, which an upgrade to another major version empties."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from time import monotonic
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from psycopg import Connection


@dataclass(frozen=True)
class Analysis:
    """How long ANALYZE took, and of how many tables the planner has statistics since."""

    seconds: float
    tables: int
    version: str

    def to_dict(self) -> dict[str, Any]:
        """As JSON, with stable keys."""
        return asdict(self)


def analyze(connection: Connection) -> Analysis:
    """Gather the statistics of every table of the database."""
    began = monotonic()
    connection.execute("ANALYZE")
    seconds = round(monotonic() - began, 3)
    # The first query with a plan of its own: it reads every table's statistics.
    row = connection.execute("select count(distinct (schemaname, tablename)) from pg_stats").fetchone()
    version = connection.info.parameter_status("server_version") or ""
    return Analysis(seconds, int(row[0]) if row else 0, version.partition(" ")[0])
