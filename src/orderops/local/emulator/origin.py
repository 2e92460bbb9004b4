"""Where the data of a restored instance comes from; kept with the instance, for a restore may be cut."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class RestoreOrigin:
    """An instance as it was at a moment, or a snapshot as it is."""

    folder: str
    """Of the instance, or of the snapshot's data."""
    name: str
    moment: datetime | None = None
