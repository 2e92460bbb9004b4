"""What stands beside the database stays when it holds something, and goes when it was made to be thrown away."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest

from orderops.engine.step import Action
from orderops.infra.apply import Apply
from orderops.infra.destroy import plan_destroy
from orderops.infra.plan import make_plan
from orderops.operations.restore import copied, leftovers_removed
from orderops.resources.rds_description import DRILL, REHEARSAL
from orderops.resources.rds_instance import RdsInstance
from orderops.restore.instances import SOURCE_RESOURCE, Instance
from orderops.restore.timestamps import parse_timestamp, utc
from orderops.runs.run import Run
from support.recorded_history import COPY, DATABASE, YESTERDAY, Dev

pytest_plugins = ["support.recorded_history_fixtures"]


def addresses(dev: Dev) -> set[str]:
    return {f"rds-instance/{copy.name}" for copy in dev.look().others}


def names(dev: Dev, role: str) -> list[str]:
    return [copy.name for copy in dev.look().others if copy.role == role]


# up and down


def test_pruning_is_not_about_copies(restored: Dev) -> None:
    rehearsal = restored.restore("latest", role=REHEARSAL)

    plan = make_plan(restored.workspace, prune=True)
    assert (plan.pruned, plan.undeclared, plan.changes) == ([], [], [])
    assert list(Apply(restored.workspace).prune()) == []

    assert {copy.name for copy in restored.look().others} == {COPY, rehearsal.name}


def test_down_keeps_the_past_and_what_it_stands_on_until_it_is_named(restored: Dev) -> None:
    down = plan_destroy(restored.workspace)

    assert {f"rds-instance/{name}" for name in (COPY, DATABASE)} <= down.kept.keys()
    assert "holds a PostgreSQL 16 database of 20 GB" in down.kept[f"rds-instance/{COPY}"]
    kinds = {owned.kind.kind for owned in down.found if owned.address in down.kept}
    assert {"rds-subnet-group", "rds-parameter-group", "ec2-security-group", "ec2-vpc"} <= kinds
    assert f"rds-instance/{COPY}" not in down.with_named([COPY]).kept
    assert f"rds-instance/{DATABASE}" in down.with_named([COPY]).kept


def test_down_keeps_the_former_primary_too(promoted: Dev) -> None:
    kept = plan_destroy(promoted.workspace).kept

    assert {address for address in kept if address.startswith("rds-instance/")} == {
        f"rds-instance/{DATABASE}",
        f"rds-instance/{DATABASE}-former",
    }


@pytest.mark.parametrize("role", [REHEARSAL, DRILL])
def test_down_takes_what_was_made_to_be_thrown_away_without_its_name(dev: Dev, role: str) -> None:
    copy = dev.restore("latest", role=role)

    down = plan_destroy(dev.workspace)

    assert f"rds-instance/{copy.name}" not in down.kept
    assert [owned.observed.id for owned in down.removed if owned.kind is RdsInstance] == [copy.name]


# of runs that were cut


@contextmanager
def a_run(dev: Dev) -> Iterator[Run]:
    with dev.workspace.restore_runs.begun("restore drill", None, wait=timedelta(), waiting=lambda *_: None) as run:
        yield run


def clean_up(dev: Dev, at: str = "latest", role: str = DRILL) -> None:
    with a_run(dev) as run:
        leftovers_removed(dev.workspace, run, parse_timestamp(at), role)


@pytest.mark.parametrize("role", [REHEARSAL, DRILL])
def test_a_copy_that_a_killed_run_had_finished_goes_and_leaves_nothing(restored: Dev, role: str) -> None:
    left = restored.restore("latest", role=role)

    clean_up(restored, role=role)

    assert addresses(restored) == {f"rds-instance/{COPY}"}
    snapshots = restored.workspace.aws.rds.describe_db_snapshots(SnapshotType="manual")["DBSnapshots"]
    assert (left.role, snapshots) == (role, [])


def test_the_other_kind_of_copy_is_not_touched(restored: Dev) -> None:
    rehearsal = restored.restore("latest", role=REHEARSAL)

    clean_up(restored, role=DRILL)

    assert names(restored, REHEARSAL) == [rehearsal.name]


def test_one_that_is_still_being_made_is_taken_up(dev: Dev) -> None:
    cut = dev.cut_restore("latest", role=REHEARSAL)

    clean_up(dev, role=REHEARSAL)
    with a_run(dev) as run:
        copy = copied(dev.workspace, run, parse_timestamp("latest"), REHEARSAL)

    assert (copy.name, copy.ready, copy.moment) == (cut.name, True, cut.moment)
    assert names(dev, REHEARSAL) == [cut.name]


def test_a_drill_begins_anew_since_it_is_measured(dev: Dev) -> None:
    dev.cut_restore("latest", role=DRILL)

    clean_up(dev)

    assert names(dev, DRILL) == []


def of_another_source(dev: Dev, copy: Instance) -> None:
    RdsInstance.retag(dev.workspace.aws, copy.observed, {SOURCE_RESOURCE: "db-PROMOTED-AWAY"})


def test_one_that_no_run_would_take_up_goes(dev: Dev) -> None:
    of_another_source(dev, dev.cut_restore("latest", role=DRILL))
    dev.cut_restore(utc(YESTERDAY), role=DRILL)

    clean_up(dev)

    assert names(dev, DRILL) == []


def test_one_whose_restore_failed_goes(dev: Dev) -> None:
    cut = dev.cut_restore("latest", role=DRILL)
    with dev.proxy.held():
        dev.instance(cut.name).status = "incompatible-restore"

    clean_up(dev)

    assert names(dev, DRILL) == []


def test_a_copy_to_be_thrown_away_comes_in_another_class(dev: Dev) -> None:
    with a_run(dev) as run:
        copy = copied(dev.workspace, run, parse_timestamp("latest"), REHEARSAL, instance_class="db.t3.small")

    assert copy.observed.properties["DBInstanceClass"] == "db.t3.small"
    assert copy.ready
    assert {step.action for step in make_plan(dev.workspace).steps} == {Action.NO_OP}
