"""The smallest instance class of a family: a copy that is only looked at need not cost what the original does.

The smaller one has the same processor and the same generation, so that it runs the same engine and parameters.
"""

from __future__ import annotations

BURSTABLE = "micro"
OTHERS = "large"


def smallest_of_its_family(instance_class: str) -> str:
    """As db.t3.medium has db.t3.micro, and db.m6g.2xlarge has db.m6g.large; what is not of that form stays."""
    parts = instance_class.split(".")
    if len(parts) != 3:
        return instance_class
    prefix, family, size = parts
    smallest = BURSTABLE if family.startswith("t") else OTHERS
    return (
        instance_class if size in ("nano", "micro", "small") and smallest == OTHERS else f"{prefix}.{family}.{smallest}"
    )
