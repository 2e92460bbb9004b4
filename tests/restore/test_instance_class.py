"""A copy that is only looked at runs on the smallest instance of the same kind."""

from __future__ import annotations

import pytest

from orderops.restore.instance_class import smallest_of_its_family


@pytest.mark.parametrize(
    ("given", "smallest"),
    [
        ("db.t3.medium", "db.t3.micro"),
        ("db.t4g.2xlarge", "db.t4g.micro"),
        ("db.t3.micro", "db.t3.micro"),
        ("db.m6g.2xlarge", "db.m6g.large"),
        ("db.r6i.large", "db.r6i.large"),
        ("db.m1.small", "db.m1.small"),
        ("db.serverless", "db.serverless"),
    ],
)
def test_the_smallest_of_its_family(given: str, smallest: str) -> None:
    assert smallest_of_its_family(given) == smallest
