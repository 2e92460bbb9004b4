"""Connections that an instance class can allow: RDS user guide, LEAST({DBInstanceClassMemory/9531392}, 5000)."""

from __future__ import annotations

import pytest

from orderops.config.capacity import most_connections


# Memory in GiB: RDS user guide, "Hardware specifications for DB instance classes".
@pytest.mark.parametrize(
    ("instance_class", "gib"),
    [
        ("db.t3.micro", 1),
        ("db.t4g.small", 2),
        ("db.t4g.2xlarge", 32),
        ("db.m6g.large", 8),
        ("db.m5.xlarge", 16),
        ("db.m6i.2xlarge", 32),
        ("db.r6g.large", 16),
        ("db.r5.xlarge", 32),
    ],
)
def test_connections_follow_from_the_memory_of_the_class(instance_class: str, gib: int) -> None:
    assert most_connections(instance_class) == gib * 1024**3 // 9531392


def test_no_class_allows_more_than_5000_connections() -> None:
    assert most_connections("db.r5.24xlarge") == 5000


@pytest.mark.parametrize("instance_class", ["db.x2g.large", "db.z1d.large", "db.c6gd.medium", "db.m6g.micro"])
def test_nothing_is_claimed_about_a_class_of_unknown_memory(instance_class: str) -> None:
    assert most_connections(instance_class) is None
