"""Restored instances are kept by plan and destroy; disposable ones of interrupted runs are deleted."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest

from orderops.engine.inventory import Owned
from orderops.engine.step import Action
from orderops.infra.apply import Apply
from orderops.infra.destroy import DestroyPlan, plan_destroy
from orderops.infra.plan import make_plan
from orderops.operations.restore import delete_abandoned, restored_instance
from orderops.resources.rds_instance import RdsInstance
from orderops.restore.instances import Instance
from orderops.restore.timestamps import parse_timestamp, utc
from orderops.runs.run import Run
from support.recorded_history import DATABASE, RESTORED_INSTANCE, YESTERDAY, Dev

# End to end.
pytestmark = pytest.mark.slow

pytest_plugins = ["support.recorded_history_fixtures"]


def addresses(dev: Dev) -> set[str]:
    return {f"rds-instance/{instance.name}" for instance in dev.instances().others}


def names(dev: Dev, role: str) -> list[str]:
    return [instance.name for instance in dev.instances().others if instance.role == role]


# up and down


def test_pruning_ignores_restored_instances(restored: Dev) -> None:
    rehearsal = restored.restore("latest", role="rehearsal")

    plan = make_plan(restored.workspace, prune=True)
    assert (plan.pruned, plan.undeclared, plan.changes) == ([], [], [])
    assert list(Apply(restored.workspace).prune()) == []

    assert {instance.name for instance in restored.instances().others} == {RESTORED_INSTANCE, rehearsal.name}


def test_destroy_keeps_restored_instances_and_their_network_until_named(restored: Dev) -> None:
    down = plan_destroy(restored.workspace)

    assert kept_instances(down) == {RESTORED_INSTANCE, DATABASE}
    assert all("holds a PostgreSQL 16 database of 20 GB" in down.kept[owned.key] for owned in instances_of(down))
    kinds = {owned.kind.kind for owned in down.found if owned.key in down.kept}
    assert {"rds-subnet-group", "rds-parameter-group", "ec2-security-group", "ec2-vpc"} <= kinds
    assert kept_instances(down.with_named([RESTORED_INSTANCE])) == {DATABASE}


def test_destroy_keeps_primary_and_former_primary_until_each_is_named_by_its_identifier(promoted: Dev) -> None:
    down = plan_destroy(promoted.workspace)

    assert kept_instances(down) == {RESTORED_INSTANCE, DATABASE}
    assert kept_instances(down.with_named([DATABASE])) == {RESTORED_INSTANCE}  # the primary has that address now
    assert kept_instances(down.with_named([f"rds-instance/{RESTORED_INSTANCE}"])) == {DATABASE}


def test_an_instance_with_the_copied_tags_of_a_drill_is_kept(dev: Dev) -> None:
    rds = dev.workspace.aws.rds
    drill = dev.restore("latest", role="drill")
    tags = [{"Key": key, "Value": value} for key, value in (drill.observed.tags or {}).items()]
    rds.create_db_instance(
        DBInstanceIdentifier="billing",
        Engine="postgres",
        DBInstanceClass="db.t3.micro",
        AllocatedStorage=20,
        MasterUsername="billing",
        ManageMasterUserPassword=True,
        Tags=tags,
    )
    clean_up(dev)

    assert {instance.name for instance in dev.instances().others} == {"billing"}
    assert "billing" in kept_instances(plan_destroy(dev.workspace))


def instances_of(down: DestroyPlan) -> list[Owned]:
    return [owned for owned in down.found if owned.kind is RdsInstance]


def kept_instances(down: DestroyPlan) -> set[str]:
    return {owned.observed.id for owned in instances_of(down) if owned.key in down.kept}


@pytest.mark.parametrize("role", ["rehearsal", "drill"])
def test_down_takes_what_was_made_to_be_thrown_away_without_its_name(dev: Dev, role: str) -> None:
    instance = dev.restore("latest", role=role)

    down = plan_destroy(dev.workspace)

    assert instance.name not in kept_instances(down)
    assert [owned.observed.id for owned in down.removed if owned.kind is RdsInstance] == [instance.name]


# of runs that were interrupted


@contextmanager
def a_run(dev: Dev) -> Iterator[Run]:
    with dev.workspace.restore_runs.begun("restore drill", None, wait=timedelta(), waiting=lambda *_: None) as run:
        yield run


def clean_up(dev: Dev, at: str = "latest", role: str = "drill") -> None:
    with a_run(dev) as run:
        delete_abandoned(dev.workspace, run, parse_timestamp(at), role)


@pytest.mark.parametrize("role", ["rehearsal", "drill"])
def test_a_complete_instance_of_a_killed_run_is_deleted_without_a_snapshot(restored: Dev, role: str) -> None:
    left = restored.restore("latest", role=role)

    clean_up(restored, role=role)

    assert addresses(restored) == {f"rds-instance/{RESTORED_INSTANCE}"}
    snapshots = restored.workspace.aws.rds.describe_db_snapshots(SnapshotType="manual")["DBSnapshots"]
    assert (left.role, snapshots) == (role, [])


def test_disposable_instances_of_another_role_are_kept(restored: Dev) -> None:
    rehearsal = restored.restore("latest", role="rehearsal")

    clean_up(restored, role="drill")

    assert names(restored, "rehearsal") == [rehearsal.name]


def test_an_incomplete_instance_is_resumed(dev: Dev) -> None:
    interrupted = dev.interrupted_restore("latest", role="rehearsal")

    clean_up(dev, role="rehearsal")
    with a_run(dev) as run:
        instance = restored_instance(dev.workspace, run, parse_timestamp("latest"), "rehearsal")

    assert (instance.name, instance.ready, instance.moment) == (interrupted.name, True, interrupted.moment)
    assert names(dev, "rehearsal") == [interrupted.name]


def test_a_drill_never_resumes_an_instance(dev: Dev) -> None:
    dev.interrupted_restore("latest", role="drill")

    clean_up(dev)

    assert names(dev, "drill") == []


def of_another_source(dev: Dev, instance: Instance) -> None:
    RdsInstance.retag(dev.workspace.aws, instance.observed, {"orderops:source-resource": "db-PROMOTED-AWAY"})


def test_an_instance_that_no_run_would_resume_is_deleted(dev: Dev) -> None:
    of_another_source(dev, dev.interrupted_restore("latest", role="drill"))
    dev.interrupted_restore(utc(YESTERDAY), role="drill")

    clean_up(dev)

    assert names(dev, "drill") == []


def test_an_instance_with_a_failed_restore_is_deleted(dev: Dev) -> None:
    interrupted = dev.interrupted_restore("latest", role="drill")
    with dev.proxy.held():
        dev.record(interrupted.name).status = "incompatible-restore"

    clean_up(dev)

    assert names(dev, "drill") == []


def test_a_disposable_instance_can_have_another_class(dev: Dev) -> None:
    with a_run(dev) as run:
        instance = restored_instance(
            dev.workspace, run, parse_timestamp("latest"), "rehearsal", instance_class="db.t3.small"
        )

    assert instance.observed.properties["DBInstanceClass"] == "db.t3.small"
    assert instance.ready
    assert {step.action for step in make_plan(dev.workspace).steps} == {Action.NO_OP}
