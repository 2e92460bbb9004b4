"""`orderops database scale` against the emulator over HTTP: now, in the window, refused, interrupted and repeated."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from orderops.local.emulator.protocol import ApiError
from support.command_line import Orderops, Said
from support.faulty_proxy import Proxy
from support.guided_changes_fixtures import NAME, instance

pytestmark = pytest.mark.slow

pytest_plugins = ["support.guided_changes_fixtures", "support.dev_accounts"]
ALARM = "orderops-dev-database-connections-high"
Scale = Callable[..., Said]


@pytest.fixture
def orderops(capsys: pytest.CaptureFixture[str], proxy: Proxy, dev_released: bytes, folder: Path) -> Orderops:
    proxy.bring_back(dev_released)
    return Orderops(capsys, "--env", "dev", "--environments", str(folder))


@pytest.fixture
def scale(orderops: Orderops) -> Scale:
    return lambda instance_class, *words: orderops("database", "scale", "--class", instance_class, "--yes", *words)


def declared(folder: Path) -> str:
    [line] = [line for line in (folder / "dev.toml").read_text().splitlines() if "instance_class" in line]
    return line


def threshold(client: Callable[[str], Any]) -> float:
    [alarm] = client("cloudwatch").describe_alarms(AlarmNames=[ALARM])["MetricAlarms"]
    return float(alarm["Threshold"])


def test_a_larger_class_is_declared_carried_out_and_followed_by_its_alarm(
    scale: Scale, rds: Any, folder: Path, client: Callable[[str], Any]
) -> None:
    before = threshold(client)

    said = scale("db.m6g.large")

    assert said.code == 0, said.err
    assert instance(rds)["DBInstanceClass"] == "db.m6g.large"
    assert instance(rds)["DBInstanceStatus"] == "available"
    assert declared(folder) == 'instance_class = "db.m6g.large"'
    assert threshold(client) > 5 * before
    assert "orderops-dev-database has db.m6g.large" in said.err


def test_comments_and_other_lines_of_the_file_stay(scale: Scale, folder: Path) -> None:
    text = (folder / "dev.toml").read_text()

    scale("db.t3.small")

    assert (folder / "dev.toml").read_text() == text.replace("db.t3.micro", "db.t3.small")


def test_the_plan_says_what_is_interrupted_and_what_the_server_takes(scale: Scale, rds: Any, folder: Path) -> None:
    text = (folder / "dev.toml").read_text()

    said = scale("db.t3.small", "--dry-run")

    words = " ".join(said.out.split())
    assert "~ update rds-instance/orderops-dev-database" in words
    assert "not measured here yet, AWS's usual figure is 5 to 10 min, since there is no standby" in words
    assert "the server takes about 185 in place of about 80; the services open up to 40 during a deployment" in words
    assert "storage: 20 GB, does not grow by itself" in words
    assert "CPU credits:" in words
    assert "cost: +20.44 USD a month (20.44 -> 40.88), prices of 2026-11-28" in words
    assert '+instance_class = "db.t3.small"' in words
    assert (folder / "dev.toml").read_text() == text
    assert instance(rds)["DBInstanceClass"] == "db.t3.micro"


def test_a_repeated_command_says_so_and_changes_nothing(scale: Scale, proxy: Proxy) -> None:
    scale("db.t3.small")
    proxy.forget()

    said = scale("db.t3.small")

    assert said.code == 0
    assert "orderops-dev-database has db.t3.small already; nothing was changed" in said.err
    assert proxy.changing == []


def test_a_class_that_was_changed_by_hand_is_only_declared(scale: Scale, rds: Any, folder: Path, proxy: Proxy) -> None:
    rds.modify_db_instance(DBInstanceIdentifier=NAME, DBInstanceClass="db.t3.small", ApplyImmediately=True)
    proxy.later(1)
    while instance(rds)["DBInstanceClass"] != "db.t3.small":
        pass
    proxy.forget()

    assert scale("db.t3.small").code == 0

    assert declared(folder) == 'instance_class = "db.t3.small"'
    assert "rds.ModifyDBInstance" not in proxy.changing


def test_in_the_window_the_class_waits_and_nothing_is_interrupted(scale: Scale, rds: Any, folder: Path) -> None:
    said = scale("db.t3.small", "--at", "window", "--json").json

    found = instance(rds)
    assert (found["DBInstanceClass"], found["PendingModifiedValues"]) == (
        "db.t3.micro",
        {"DBInstanceClass": "db.t3.small"},
    )
    assert declared(folder) == 'instance_class = "db.t3.small"'
    assert (said["when"], said["applied"], said["away"]) == ("window", True, None)


def test_a_class_that_waits_for_the_window_is_not_sent_again(scale: Scale, proxy: Proxy) -> None:
    scale("db.t3.small", "--at", "window")
    proxy.forget()

    said = scale("db.t3.small", "--at", "window")

    assert "in the maintenance window sun:17:00-sun:17:30 (UTC); nothing to do until then" in " ".join(said.err.split())
    assert proxy.changing == []


def test_what_waits_for_the_window_is_carried_out_by_now(scale: Scale, rds: Any) -> None:
    scale("db.t3.small", "--at", "window")

    said = scale("db.t3.small", "--at", "now")

    assert said.code == 0, said.err
    assert instance(rds)["DBInstanceClass"] == "db.t3.small"
    assert instance(rds)["PendingModifiedValues"] == {}


def test_now_shows_and_carries_out_everything_that_is_pending(scale: Scale, rds: Any) -> None:
    rds.modify_db_instance(DBInstanceIdentifier=NAME, MultiAZ=True, ApplyImmediately=False)

    shown = " ".join(scale("db.t3.small", "--dry-run").out.split())
    scale("db.t3.small")

    assert "also carries out, now: MultiAZ false -> true interrupts" in shown
    assert instance(rds)["MultiAZ"] is True


def test_the_window_leaves_pending_what_is_pending(scale: Scale, rds: Any) -> None:
    rds.modify_db_instance(DBInstanceIdentifier=NAME, MultiAZ=True, ApplyImmediately=False)

    scale("db.t3.small", "--at", "window")

    assert instance(rds)["PendingModifiedValues"] == {"DBInstanceClass": "db.t3.small", "MultiAZ": True}


@pytest.mark.parametrize("at", ["now", "window"])
def test_the_class_in_force_takes_back_one_that_waits(scale: Scale, rds: Any, folder: Path, at: str) -> None:
    scale("db.t3.small", "--at", "window")
    rds.modify_db_instance(DBInstanceIdentifier=NAME, MultiAZ=True, ApplyImmediately=False)

    said = scale("db.t3.micro", "--at", at)

    assert said.code == 0, said.err
    found = instance(rds)
    assert (found["DBInstanceClass"], found["PendingModifiedValues"]) == ("db.t3.micro", {"MultiAZ": True})
    assert declared(folder) == 'instance_class = "db.t3.micro"'


def test_other_differences_from_the_file_are_left_alone(scale: Scale, rds: Any, folder: Path) -> None:
    rds.modify_db_instance(DBInstanceIdentifier=NAME, BackupRetentionPeriod=3, ApplyImmediately=True)

    scale("db.t3.small")

    assert instance(rds)["BackupRetentionPeriod"] == 3


def test_the_next_plan_knows_how_long_the_last_change_took(scale: Scale, orderops: Orderops) -> None:
    first = scale("db.t3.small", "--json").json

    shown = " ".join(scale("db.t3.medium", "--dry-run").out.split())

    assert first["away"]["seen_by"] == "the status of the instance"
    assert "db.t3.micro -> db.t3.small took" in shown
    assert "AWS's usual figure" not in shown
    [run] = orderops("history", "--json", "--last", "1").json
    [measured] = [step for step in run["steps"] if step.get("action") == "measured"]
    assert (measured["before"], measured["after"], measured["kind"]) == ("db.t3.micro", "db.t3.small", "class")


# What the class lacks, by the emulator's table: its zones, its versions, its existence.
@pytest.mark.parametrize(
    ("instance_class", "said"),
    [
        ("m6g.large", "'m6g.large' is no instance class"),
        ("db.zz.large", "RDS offers no db.zz.large for PostgreSQL 16.15 in this region"),
        (
            "db.r8g.large",
            "RDS offers no db.r8g.large in ap-southeast-2a, where orderops-dev-database runs; it has it in",
        ),
    ],
)
def test_a_class_that_rds_does_not_offer_is_refused_before_anything_changes(
    scale: Scale, proxy: Proxy, folder: Path, instance_class: str, said: str
) -> None:
    proxy.forget()

    refused = scale(instance_class)

    assert refused.code in (1, 2)
    assert said in " ".join(refused.err.split())
    assert proxy.changing == []
    assert declared(folder) == 'instance_class = "db.t3.micro"'


def test_a_class_that_takes_fewer_connections_than_the_services_open_is_refused(
    scale: Scale, proxy: Proxy, folder: Path
) -> None:
    scale("db.t3.small")
    file = folder / "dev.toml"
    file.write_text(file.read_text().replace("max_tasks = 5", "max_tasks = 10"))
    proxy.forget()

    refused = scale("db.t3.micro")

    words = " ".join(refused.err.split())
    assert refused.code == 1
    assert "open up to 80 database connections during a deployment" in words
    assert "a db.t3.micro has about 80 and keeps 15 for RDS, migrations and operators, which leaves 65" in words
    assert "lower pool_size or max_tasks under [services] in dev.toml" in words
    assert proxy.changing == []
    assert declared(folder) == 'instance_class = "db.t3.small"'


def test_an_instance_that_rds_is_at_work_on_is_refused(scale: Scale, rds: Any, proxy: Proxy, folder: Path) -> None:
    rds.stop_db_instance(DBInstanceIdentifier=NAME)
    proxy.forget()

    refused = scale("db.t3.small")

    assert refused.code == 1
    assert "orderops-dev-database is stop" in refused.err
    assert proxy.changing == []
    assert declared(folder) == 'instance_class = "db.t3.micro"'


def test_a_class_without_capacity_is_named_with_the_next_step_and_can_be_tried_again(
    scale: Scale, proxy: Proxy, rds: Any
) -> None:
    message = "The specified DB instance class is not available in the specified Availability Zone."
    full = ApiError("InsufficientDBInstanceCapacity", message)
    proxy.rule = lambda request: full if request.action == "ModifyDBInstance" else None

    refused = scale("db.t3.small")
    proxy.forget()
    again = scale("db.t3.small")

    assert "AWS has no db.t3.small available in these zones of ap-southeast-2 at present" in " ".join(
        refused.err.split()
    )
    assert "re-run this command later" in " ".join(refused.err.split())
    assert (refused.code, again.code) == (1, 0)
    assert instance(rds)["DBInstanceClass"] == "db.t3.small"


def test_an_environment_without_a_database_is_refused(
    capsys: pytest.CaptureFixture[str], proxy: Proxy, folder: Path
) -> None:
    orderops = Orderops(capsys, "--env", "dev", "--environments", str(folder))

    refused = orderops("database", "scale", "--class", "db.t3.small", "--yes")

    assert refused.code == 1
    assert "dev has no database yet" in refused.err
    assert proxy.changing == []


def test_a_smaller_replica_is_changed_before_its_primary(scale: Scale, rds: Any, folder: Path) -> None:
    password = {"ManageMasterUserPassword": False, "MasterUserPassword": "as-an-operator-set-it"}
    rds.modify_db_instance(DBInstanceIdentifier=NAME, ApplyImmediately=True, **password)
    while instance(rds)["DBInstanceStatus"] != "available":
        pass
    replica = {"DBInstanceIdentifier": f"{NAME}-reads", "SourceDBInstanceIdentifier": NAME}
    made = rds.create_db_instance_read_replica(**replica, DBInstanceClass="db.t3.micro")["DBInstance"]
    # The emulator copies the tags of the source, with which the replica would be a second primary.
    rds.remove_tags_from_resource(
        ResourceName=made["DBInstanceArn"], TagKeys=[tag["Key"] for tag in instance(rds)["TagList"]]
    )

    refused = scale("db.t3.small")

    assert f"{NAME}-reads would be smaller than its primary, and stop to follow it" in " ".join(refused.err.split())
    assert declared(folder) == 'instance_class = "db.t3.micro"'


@pytest.fixture
def replicated(scale: Scale, orderops: Orderops, folder: Path, rds: Any) -> str:
    """The name of a read replica that the file declares."""
    file = folder / "dev.toml"
    file.write_text(file.read_text().replace("[database]", '[database]\nmaster = "own"\nreplicas = 1', 1))
    arn = instance(rds)["DBInstanceArn"]
    # As after `migrate grant`, whose task the emulator does not run: the services have a login of their own.
    login = {"Key": "orderops:service-secret", "Value": "arn:aws:secretsmanager:ap-southeast-2:1:secret:login"}
    rds.add_tags_to_resource(ResourceName=arn, Tags=[login])
    applied = orderops("infra", "apply", "--yes")
    assert applied.code == 0, applied.err
    return f"{NAME}-replica-1"


def test_declared_replicas_grow_before_the_database_and_shrink_after_it(
    scale: Scale, orderops: Orderops, rds: Any, replicated: str
) -> None:
    def order() -> list[str]:
        [run] = orderops("history", "--json", "--last", "1").json
        names = [step["address"].partition("/")[2] for step in run["steps"] if "address" in step]
        return [name for name in names if name in (NAME, replicated)]

    up = scale("db.t3.small")
    growing = order()
    down = scale("db.t3.micro")

    assert (up.code, down.code) == (0, 0), up.err + down.err
    assert (growing, order()) == ([replicated, NAME], [NAME, replicated])
    classes = {raw["DBInstanceClass"] for raw in rds.describe_db_instances()["DBInstances"]}
    assert classes == {"db.t3.micro"}
    assert "nothing was changed" in scale("db.t3.micro").err


@pytest.mark.parametrize("command", [("infra", "apply", "--yes"), ("infra", "plan")], ids=" ".join)
def test_the_file_alone_does_not_make_the_database_outgrow_its_replicas(
    orderops: Orderops, scale: Scale, rds: Any, replicated: str, folder: Path, proxy: Proxy, command: tuple[str, ...]
) -> None:
    file = folder / "dev.toml"
    file.write_text(file.read_text().replace("db.t3.micro", "db.t3.small"))
    proxy.forget()

    refused = orderops(*command)

    assert (refused.code, proxy.changing) == (1, [])
    assert f"{replicated} would be smaller than the database for a while" in " ".join(refused.err.split())
    assert "orderops database scale --class db.t3.small --env dev" in " ".join(refused.err.split())
    assert scale("db.t3.small").code == 0
    assert orderops("infra", "plan").code == 0


def test_the_file_alone_shrinks_the_database_before_its_replicas(
    orderops: Orderops, scale: Scale, rds: Any, replicated: str, folder: Path
) -> None:
    assert scale("db.t3.small").code == 0
    file = folder / "dev.toml"
    file.write_text(file.read_text().replace("db.t3.small", "db.t3.micro"))

    assert orderops("infra", "apply", "--yes").code == 0

    assert {raw["DBInstanceClass"] for raw in rds.describe_db_instances()["DBInstances"]} == {"db.t3.micro"}
