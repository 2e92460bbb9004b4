from __future__ import annotations

from support.emulated_databases import SMALL
from support.service_roles import give_rds_its_role
from support.strict_clients import Client, Refused


def test_a_retention_period_that_aws_lacks_is_refused(moto: Client, strict: Client, refused: Refused) -> None:
    moto("logs").create_log_group(logGroupName="/orderops/a")
    moto("logs").put_retention_policy(logGroupName="/orderops/a", retentionInDays=10)

    with refused("InvalidParameterException"):
        strict("logs").put_retention_policy(logGroupName="/orderops/a", retentionInDays=10)
    strict("logs").put_retention_policy(logGroupName="/orderops/a", retentionInDays=7)


def groups(client: Client) -> dict[str, int | None]:
    found = client("logs").describe_log_groups(logGroupNamePrefix="/aws/")["logGroups"]
    return {group["logGroupName"]: group.get("retentionInDays") for group in found}


def test_container_insights_makes_its_group_without_retention(moto: Client, strict: Client) -> None:
    insights = [{"name": "containerInsights", "value": "enabled"}]
    moto("ecs").create_cluster(clusterName="plain", settings=insights)
    strict("ecs").create_cluster(clusterName="off")
    assert groups(strict) == {}

    strict("ecs").create_cluster(clusterName="on", settings=insights)
    strict("ecs").update_cluster(cluster="off", settings=insights)

    names = {f"/aws/ecs/containerinsights/{name}/performance": None for name in ("on", "off")}
    assert groups(strict) == names
    strict("ecs").delete_cluster(cluster="on")
    assert groups(strict) == names


def test_log_exports_make_their_groups_without_retention(moto: Client, strict: Client) -> None:
    give_rds_its_role()
    moto("rds").create_db_instance(DBInstanceIdentifier="plain", **SMALL, EnableCloudwatchLogsExports=["postgresql"])
    strict("rds").create_db_instance(DBInstanceIdentifier="quiet", **SMALL)
    assert groups(strict) == {}

    strict("rds").create_db_instance(DBInstanceIdentifier="db", **SMALL, EnableCloudwatchLogsExports=["postgresql"])

    assert groups(strict) == {"/aws/rds/instance/db/postgresql": None}


def test_a_group_that_exists_is_used_as_it_is(strict: Client) -> None:
    give_rds_its_role()
    name = "/aws/rds/instance/db/postgresql"
    strict("logs").create_log_group(logGroupName=name)
    strict("logs").put_retention_policy(logGroupName=name, retentionInDays=30)

    strict("rds").create_db_instance(DBInstanceIdentifier="db", **SMALL, EnableCloudwatchLogsExports=["postgresql"])

    assert groups(strict) == {name: 30}


def test_groups_are_found_by_a_part_of_their_names(moto: Client, strict: Client, refused: Refused) -> None:
    for name in ("/orderops/dev/a", "/aws/rds/instance/orderops-dev-database/postgresql", "/Orderops/b", "/others"):
        moto("logs").create_log_group(logGroupName=name)

    found = strict("logs").describe_log_groups(logGroupNamePattern="orderops")["logGroups"]

    assert [group["logGroupName"] for group in found] == [
        "/aws/rds/instance/orderops-dev-database/postgresql",
        "/orderops/dev/a",
    ]
    with refused("InvalidParameterException"):
        strict("logs").describe_log_groups(logGroupNamePattern="orderops", logGroupNamePrefix="/orderops/")
