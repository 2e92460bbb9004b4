"""Connections that an instance class allows: RDS user guide, LEAST({DBInstanceClassMemory/9531392},5000)."""

from __future__ import annotations

import pytest

from orderops.config.capacity import most_connections

# What `SHOW max_connections` answered, by the memory of the class in GiB: public reports.
SEEN = {2: 198, 4: 413, 8: 856, 16: 1700, 32: 3400}


# Memory in GiB: RDS user guide, "Hardware specifications for DB instance classes".
@pytest.mark.parametrize(
    ("instance_class", "gib"),
    [
        ("db.t4g.small", 2),
        ("db.t3.medium", 4),
        ("db.m6g.large", 8),
        ("db.m5.xlarge", 16),
        ("db.r6g.large", 16),
        ("db.t4g.2xlarge", 32),
        ("db.m6i.2xlarge", 32),
        ("db.r5.xlarge", 32),
    ],
)
def test_the_estimate_is_a_little_below_what_servers_of_that_memory_allow(instance_class: str, gib: int) -> None:
    estimate = most_connections(instance_class)

    assert estimate is not None
    assert 0.9 * SEEN[gib] < estimate < SEEN[gib]


@pytest.mark.parametrize("instance_class", ["db.t3.micro", "db.t4g.micro"])
def test_a_gibibyte_allows_fewer_than_the_112_of_the_formula(instance_class: str) -> None:
    assert 60 < (most_connections(instance_class) or 0) <= 80


def test_no_class_allows_more_than_5000_connections() -> None:
    assert most_connections("db.r5.24xlarge") == 5000


@pytest.mark.parametrize("instance_class", ["db.x2g.large", "db.z1d.large", "db.c6gd.medium", "db.m6g.micro"])
def test_nothing_is_claimed_about_a_class_of_unknown_memory(instance_class: str) -> None:
    assert most_connections(instance_class) is None


# Values that RDS takes for max_connections: RDS user guide, "DB parameter formulas" and "DB parameter functions".
@pytest.mark.parametrize(
    ("setting", "most"),
    [
        ("50", 50),
        ("LEAST({DBInstanceClassMemory/9531392}, 40)", 40),
        ("GREATEST({DBInstanceClassMemory/9531392}, 500)", 500),
        ("SUM(20,{DBInstanceClassMemory/1099511627776})", 20),
        ("{DBInstanceClassMemory/0}", None),
        ("{log(DBInstanceClassMemory/8187281418)*1000}", None),
    ],
)
def test_max_connections_of_a_parameter_group_is_a_number_or_a_formula(setting: str, most: int | None) -> None:
    assert most_connections("db.t3.micro", setting) == most


def test_a_number_counts_for_every_class() -> None:
    assert most_connections("db.x2g.large", "300") == 300
