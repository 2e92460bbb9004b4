"""What stands beside the database stays when it holds something, and goes when it was made to be thrown away."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest

from orderops.engine.reconcile import Action
from orderops.infra.workspace import Apply, make_plan, take_down
from orderops.operations.restore import copied, leftovers_removed
from orderops.resources.rds_description import DRILL, REHEARSAL
from orderops.resources.rds_instance import RdsInstance
from orderops.restore.instances import SOURCE_RESOURCE, Copy
from orderops.restore.timestamps import read_moment, utc
from orderops.runs.run import Run
from support.recorded_history import COPY, DATABASE, YESTERDAY, Dev

pytest_plugins = ["support.recorded_history_fixtures"]


def addresses(dev: Dev) -> set[str]:
    return {f"rds-instance/{copy.name}" for copy in dev.look().beside}


def names(dev: Dev, role: str) -> list[str]:
    return [copy.name for copy in dev.look().beside if copy.role == role]


# up and down


def test_pruning_is_not_about_copies(restored: Dev) -> None:
    rehearsal = restored.restore("latest", role=REHEARSAL)

    plan = make_plan(restored.site, prune=True)
    assert (plan.pruned, plan.unclaimed, plan.changes) == ([], [], [])
    assert list(Apply(restored.site).prune()) == []

    assert {copy.name for copy in restored.look().beside} == {COPY, rehearsal.name}


def test_down_keeps_the_past_and_what_it_stands_on_until_it_is_named(restored: Dev) -> None:
    down = take_down(restored.site)

    assert {f"rds-instance/{name}" for name in (COPY, DATABASE)} <= down.kept.keys()
    assert "holds a PostgreSQL 16 database of 20 GB" in down.kept[f"rds-instance/{COPY}"]
    kinds = {owned.kind.kind for owned in down.found if owned.address in down.kept}
    assert {"rds-subnet-group", "rds-parameter-group", "ec2-security-group", "ec2-vpc"} <= kinds
    assert f"rds-instance/{COPY}" not in down.naming([COPY]).kept
    assert f"rds-instance/{DATABASE}" in down.naming([COPY]).kept


def test_down_keeps_the_former_primary_too(promoted: Dev) -> None:
    kept = take_down(promoted.site).kept

    assert {address for address in kept if address.startswith("rds-instance/")} == {
        f"rds-instance/{DATABASE}",
        f"rds-instance/{DATABASE}-former",
    }


@pytest.mark.parametrize("role", [REHEARSAL, DRILL])
def test_down_takes_what_was_made_to_be_thrown_away_without_its_name(dev: Dev, role: str) -> None:
    copy = dev.restore("latest", role=role)

    down = take_down(dev.site)

    assert f"rds-instance/{copy.name}" not in down.kept
    assert [owned.live.id for owned in down.going if owned.kind is RdsInstance] == [copy.name]


# of runs that were cut


@contextmanager
def a_run(dev: Dev) -> Iterator[Run]:
    with dev.site.copying.begun("restore drill", None, wait=timedelta(), waiting=lambda *_: None) as run:
        yield run


def clean_up(dev: Dev, at: str = "latest", role: str = DRILL) -> None:
    with a_run(dev) as run:
        leftovers_removed(dev.site, run, read_moment(at), role)


@pytest.mark.parametrize("role", [REHEARSAL, DRILL])
def test_a_copy_that_a_killed_run_had_finished_goes_and_leaves_nothing(restored: Dev, role: str) -> None:
    left = restored.restore("latest", role=role)

    clean_up(restored, role=role)

    assert addresses(restored) == {f"rds-instance/{COPY}"}
    snapshots = restored.site.aws.rds.describe_db_snapshots(SnapshotType="manual")["DBSnapshots"]
    assert (left.role, snapshots) == (role, [])


def test_the_other_kind_of_copy_is_not_touched(restored: Dev) -> None:
    rehearsal = restored.restore("latest", role=REHEARSAL)

    clean_up(restored, role=DRILL)

    assert names(restored, REHEARSAL) == [rehearsal.name]


def test_one_that_is_still_being_made_is_taken_up(dev: Dev) -> None:
    cut = dev.cut_restore("latest", role=REHEARSAL)

    clean_up(dev, role=REHEARSAL)
    with a_run(dev) as run:
        copy = copied(dev.site, run, read_moment("latest"), REHEARSAL)

    assert (copy.name, copy.ready, copy.moment) == (cut.name, True, cut.moment)
    assert names(dev, REHEARSAL) == [cut.name]


def test_a_drill_begins_anew_since_it_is_measured(dev: Dev) -> None:
    dev.cut_restore("latest", role=DRILL)

    clean_up(dev)

    assert names(dev, DRILL) == []


def of_another_source(dev: Dev, copy: Copy) -> None:
    RdsInstance.retag(dev.site.aws, copy.live, {SOURCE_RESOURCE: "db-PROMOTED-AWAY"})


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
        copy = copied(dev.site, run, read_moment("latest"), REHEARSAL, instance_class="db.t3.small")

    assert copy.live.properties["DBInstanceClass"] == "db.t3.small"
    assert copy.ready
    assert {step.action for step in make_plan(dev.site).steps} == {Action.NO_OP}
