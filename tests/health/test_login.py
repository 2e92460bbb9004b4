"""How the services log in to the database, as `status` says it."""

from __future__ import annotations

import pytest

from support.command_line import Orderops
from support.recorded_history import DATABASE, Dev

# End to end.
pytestmark = pytest.mark.slow

pytest_plugins = ["support.recorded_history_fixtures"]


def tag(dev: Dev, **tags: str) -> None:
    """Tag the database, as the switch of the login does."""
    rds = dev.workspace.aws.rds
    [raw] = rds.describe_db_instances(DBInstanceIdentifier=DATABASE)["DBInstances"]
    given = [{"Key": key, "Value": value} for key, value in tags.items()]
    rds.add_tags_to_resource(ResourceName=raw["DBInstanceArn"], Tags=given)


def test_a_login_as_the_master_user_is_named_with_the_command_that_ends_it(dev: Dev, orderops: Orderops) -> None:
    shown = orderops("status")

    assert "login: the services log in to the database as its master user" in " ".join(shown.out.split())
    assert "then: orderops migrate grant --env dev" in shown.out
    assert orderops("status", "--json").json["login"] == "master"


def test_other_logins_are_in_the_document_only(dev: Dev, orderops: Orderops) -> None:
    tag(dev, **{"orderops:service-secret": "arn:aws:secretsmanager:ap-southeast-2:123456789012:secret:login"})
    assert orderops("status", "--json").json["login"] == "password"

    tag(dev, **{"orderops:service-iam-user": "orderops_service_iam"})
    assert orderops("status", "--json").json["login"] == "iam"
    assert "master user" not in orderops("status").out
