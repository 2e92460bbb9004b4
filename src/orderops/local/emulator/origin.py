"""Source of a restored instance's data; stored with the instance, so that an interrupted restore can continue."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class RestoreOrigin:
    """Source instance at a point in time, or a snapshot when `moment` is None."""

    folder: str
    """Directory name of the source instance or of the snapshot's data."""
    name: str
    moment: datetime | None = None
