"""How long things take that take minutes on AWS."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Pace:
    """Seconds: short enough for a laptop, long enough that nobody finds things ready at once."""

    network: float = 0.2
    """Until a VPC or a NAT gateway is available, or gone."""
