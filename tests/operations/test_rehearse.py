"""A rehearsal's instance has the smallest class of the source's family."""

from __future__ import annotations

import pytest

from orderops.operations.rehearse import smallest_of_its_family


@pytest.mark.parametrize(
    ("instance_class", "smallest"),
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
def test_the_smallest_class_of_a_family_is_chosen(instance_class: str, smallest: str) -> None:
    assert smallest_of_its_family(instance_class) == smallest
