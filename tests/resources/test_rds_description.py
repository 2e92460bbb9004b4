"""The primary among several instances, also after an interrupted promotion."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from orderops.aws.client import Aws
from orderops.aws.ownership import Ownership, to_pairs
from orderops.resources.rds_description import FORMER, PRIMARY, instances, sought_backup, term_of
from support.tag_keys import ADDRESS, ENVIRONMENT, ROLE, TERM

DECLARED = "rds-instance/orderops-dev-database"
SOUGHT = Ownership("dev", DECLARED, "orderops-dev-database")


def instance(aws: Aws, name: str, tags: Mapping[str, str]) -> None:
    aws.rds.create_db_instance(
        DBInstanceIdentifier=name,
        Engine="postgres",
        DBInstanceClass="db.t3.micro",
        AllocatedStorage=20,
        MasterUsername="orderops",
        ManageMasterUserPassword=True,
        Tags=to_pairs({ENVIRONMENT: "dev", **tags}),
    )


def addresses(aws: Aws, owner: Ownership) -> dict[str, str]:
    return {observed.id: (observed.tags or {})[ADDRESS] for observed in instances(aws, owner)}


def test_the_last_promoted_of_two_primaries_is_the_primary(aws: Aws) -> None:
    instance(aws, "orderops-dev-database", {ADDRESS: DECLARED})
    instance(aws, "copy", {ADDRESS: DECLARED, ROLE: PRIMARY, TERM: "1"})
    instance(aws, "later", {ADDRESS: DECLARED, ROLE: PRIMARY, TERM: "2"})

    assert addresses(aws, Ownership("dev")) == {
        "later": DECLARED,
        "copy": "rds-instance/copy-former",
        "orderops-dev-database": f"{DECLARED}-former",
    }
    roles = {observed.id: (observed.tags or {}).get(ROLE) for observed in instances(aws, SOUGHT)}
    assert roles == {"later": PRIMARY, "orderops-dev-database": FORMER}


def test_two_primaries_without_a_promotion_are_both_reported(aws: Aws) -> None:
    instance(aws, "orderops-dev-database", {ADDRESS: DECLARED})
    instance(aws, "copy", {ADDRESS: DECLARED})

    assert addresses(aws, SOUGHT) == {"orderops-dev-database": DECLARED, "copy": DECLARED}


def test_another_environment_has_its_own_primary(aws: Aws) -> None:
    instance(aws, "orderops-dev-database", {ADDRESS: DECLARED})
    instance(aws, "theirs", {ENVIRONMENT: "prod", ADDRESS: DECLARED, TERM: "4"})

    assert addresses(aws, SOUGHT) == {"orderops-dev-database": DECLARED, "theirs": DECLARED}
    assert addresses(aws, Ownership("dev")) == {"orderops-dev-database": DECLARED}


@pytest.mark.parametrize(
    ("told", "term"),
    [("3", 3), ("", 0), ("\u00b2", 0), ("\u0663", 0), ("-1", 0), ("1 ", 0), ("3\n", 0), ("9" * 5000, 0)],
)
def test_a_term_that_is_no_number_is_ignored(told: str, term: int) -> None:
    assert term_of({TERM: told}) == term


@pytest.mark.parametrize(
    ("name", "tags", "ours"),
    [
        ("orderops-dev-database", {ENVIRONMENT: "dev"}, True),
        ("promoted", {ENVIRONMENT: "dev"}, True),
        ("orderops-dev-database", {}, True),
        ("orderops-dev-eu-database", {ENVIRONMENT: "dev-eu"}, False),
        ("shop", {}, False),
    ],
)
def test_retained_backups_of_an_environment_whose_name_begins_alike_are_not_ours(
    name: str, tags: Mapping[str, str], ours: bool
) -> None:
    raw = {"DBInstanceIdentifier": name, "TagList": to_pairs(tags)}

    assert sought_backup(raw, Ownership("dev")) is ours
