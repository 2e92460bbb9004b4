"""Blue/green deployments: which instance the database is, before, during and after the switchover."""

from __future__ import annotations

import pytest

from orderops.aws.client import Aws
from orderops.aws.ownership import Ownership, to_pairs
from orderops.engine.resource import Observed
from orderops.errors import OrderopsError
from orderops.resources.rds_deployment import green_of, told_apart
from orderops.resources.rds_description import instances, read_replicas
from support.declared_database import DB
from support.tag_keys import ADDRESS, ENVIRONMENT, ROLE

NAME = "orderops-dev-database"
ADDRESS_OF_IT = f"rds-instance/{NAME}"
TAGS = {ENVIRONMENT: "dev", ADDRESS: ADDRESS_OF_IT, "Name": NAME}
SOUGHT = Ownership("dev", ADDRESS_OF_IT, NAME)


def make(aws: Aws, *names: str) -> None:
    """Instances with the tags of the database, as RDS copies them."""
    for name in names:
        aws.rds.create_db_instance(
            DBInstanceIdentifier=name,
            Engine="postgres",
            DBInstanceClass="db.t3.micro",
            AllocatedStorage=20,
            MasterUsername="orderops",
            MasterUserPassword="chosen-by-hand",
            Tags=to_pairs(TAGS),
        )


@pytest.mark.parametrize(
    ("names", "green"),
    [((NAME, f"{NAME}-green-abc123"), f"{NAME}-green-abc123"), ((NAME, f"{NAME}-old1"), "")],
)
def test_the_database_is_the_one_with_the_name_and_knows_its_green_instance(
    aws: Aws, names: tuple[str, ...], green: str
) -> None:
    make(aws, *names)

    found = list(instances(aws, Ownership("dev")))

    [database] = [item for item in found if (item.tags or {})[ADDRESS] == ADDRESS_OF_IT]
    assert (database.id, database.properties["Green"]) == (NAME, green)
    assert [item.properties["Green"] for item in found if item is not database] == [""]


@pytest.mark.parametrize(("suffix", "role"), [("-green-abc123", "green"), ("-old1", "former"), ("-old12", "former")])
def test_green_and_the_old_one_have_roles_of_their_own(suffix: str, role: str) -> None:
    name = f"{NAME}{suffix}"

    assert told_apart("rds-instance", name, TAGS) == {
        ENVIRONMENT: "dev",
        ADDRESS: f"rds-instance/{name}-{role}",
        "Name": name,
        ROLE: role,
    }


@pytest.mark.parametrize(
    ("name", "tags"),
    [
        (NAME, TAGS),
        (f"{NAME}-green-abc12", TAGS),
        (f"{NAME}-green-abc1234", TAGS),
        (f"{NAME}-older", TAGS),
        ("theirs-green-abc123", {"who": "another"}),
        ("own-old1", {ADDRESS: "rds-instance/own-old1"}),
    ],
)
def test_every_other_instance_keeps_its_tags(name: str, tags: dict[str, str]) -> None:
    assert told_apart("rds-instance", name, tags) == tags


def test_a_green_instance_is_that_of_the_whole_name() -> None:
    assert green_of("database", ["other-database-green-abc123", "database-green-abc123"]) == "database-green-abc123"
    assert green_of("database", ["other-database-green-abc123", "database-green", "database-2-green-abc123"]) == ""


def test_a_green_instance_that_replicates_physically_is_no_read_replica_of_ours(aws: Aws) -> None:
    make(aws, NAME)
    aws.rds.create_db_instance_read_replica(
        DBInstanceIdentifier=f"{NAME}-green-abc123", SourceDBInstanceIdentifier=NAME, Tags=to_pairs(TAGS)
    )

    assert list(read_replicas(aws, Ownership("dev"))) == []
    assert {item.id for item in instances(aws, Ownership("dev"))} == {NAME, f"{NAME}-green-abc123"}


def test_while_only_green_has_the_tags_no_empty_database_is_made(aws: Aws) -> None:
    make(aws, f"{DB.name}-green-abc123", f"{DB.name}-old1")

    with pytest.raises(OrderopsError, match="so none is made") as refused:
        DB.occupant(aws, {})

    assert f"gives {DB.name}-green-abc123 the name {DB.name}" in (refused.value.hint or "")


def test_when_only_the_old_one_is_left_it_is_named_and_no_empty_database_is_made(aws: Aws) -> None:
    make(aws, f"{DB.name}-old1")

    with pytest.raises(OrderopsError, match=f"the database is gone, and {DB.name}-old1 is left of it"):
        DB.occupant(aws, {})


def test_no_setting_is_changed_while_there_is_a_green_instance() -> None:
    without = Observed(NAME, {"Green": ""})
    with_green = Observed(NAME, {"Green": f"{NAME}-green-abc123"})

    refusal = DB.refusal(with_green, "BackupRetentionPeriod", 3, "dev")

    assert DB.refusal(without, "BackupRetentionPeriod", 3, "dev") is None
    assert refusal and f"{NAME} has the green instance {NAME}-green-abc123" in refusal.message
    assert "aws rds describe-blue-green-deployments" in (refusal.hint or "")
