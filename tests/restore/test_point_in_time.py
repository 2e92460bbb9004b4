"""A restore makes one new instance beside the original; whatever cuts it, the same words go on with it."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import pytest

from orderops.aws.ownership import ROLE
from orderops.errors import OrderopsError
from orderops.resources.rds_description import FORMER, REHEARSAL, RESTORED
from orderops.resources.rds_instance import RdsInstance
from orderops.restore.instances import ASKED, BEGUN, MOMENT, READY, SOURCE, SOURCE_RESOURCE, Instance
from orderops.restore.point_in_time import Restore
from orderops.restore.timestamps import utc
from support.command_line import Orderops
from support.emulated_account import QUICK
from support.recorded_history import COPY, DATABASE, YESTERDAY, Dev

pytest_plugins = ["support.recorded_history_fixtures"]

AT = utc(YESTERDAY)
RESTORE = "rds.RestoreDBInstanceToPointInTime"


def retag(dev: Dev, copy: Instance, **tags: str) -> None:
    RdsInstance.retag(dev.workspace.aws, copy.observed, tags)


def test_it_makes_one_instance_beside_the_original_and_leaves_that_alone(dev: Dev, orderops: Orderops) -> None:
    before = dev.look().the_primary()

    said = orderops("restore", "--at", AT, "--yes")

    assert (said.code, said.out) == (0, f"{COPY}\n"), said.err
    told = " ".join(said.err.split())
    assert told.startswith(f"restore {DATABASE} to {AT}")
    assert f" as {COPY} beside it: the original stays as it is" in told
    assert told.endswith(
        f"next: orderops restore compare {COPY} --env dev then: orderops restore promote {COPY} --env dev"
    )
    [copy] = dev.look().others
    assert as_it_is(dev.look().the_primary()) == as_it_is(before)
    assert (copy.name, copy.role, copy.ready, copy.moment) == (COPY, RESTORED, True, YESTERDAY)
    assert copy.tag(SOURCE) == DATABASE
    assert copy.tag(SOURCE_RESOURCE) == before.observed.properties["DbiResourceId"]
    assert dev.changes(RESTORE) == [RESTORE]
    assert not dev.differs()


def test_typed_again_it_is_there_already(restored: Dev, orderops: Orderops) -> None:
    again = orderops("restore", "--at", AT, "--yes")

    assert (again.code, again.out) == (0, f"{COPY}\n")
    assert again.err.startswith(f"{COPY} exists already, as of {AT}")
    assert restored.proxy.changing == []


def test_a_dry_run_changes_nothing(dev: Dev, orderops: Orderops) -> None:
    assert f"+ create rds-instance/{COPY}" in orderops("restore", "--at", AT, "--dry-run").out
    assert dev.proxy.changing == []


def test_nobody_is_asked_for_nothing(dev: Dev, orderops: Orderops) -> None:
    refused = orderops("restore", "--at", AT)

    assert refused.code == 2
    assert "hint: say it beforehand: --yes" in refused.err
    assert dev.proxy.changing == []


@pytest.mark.parametrize("at", [AT, "-15m", "latest"], ids=["a time", "-15m", "latest"])
def test_a_cut_one_is_gone_on_with_under_its_name_and_with_its_moment(dev: Dev, at: str) -> None:
    cut = dev.cut_restore(at)
    assert not cut.ready
    wait_for_another_second()
    dev.proxy.forget()

    done = dev.restore(at)

    assert (done.name, done.moment, done.tag(BEGUN)) == (cut.name, cut.moment, cut.tag(BEGUN))
    assert done.ready
    assert len(dev.look().others) == 1
    assert dev.changes() == ["rds.AddTagsToResource"]


def test_before_a_migration_is_the_second_before_it_began(dev: Dev) -> None:
    goal = dev.target("before V7", start_of=lambda version: YESTERDAY + timedelta(seconds=version / 10))

    assert (goal.moment, goal.name, goal.tags[ASKED]) == (YESTERDAY, COPY, "before V7")


@pytest.mark.parametrize("at", ["-15m", "latest"])
def test_the_same_words_after_it_was_ready_make_another(dev: Dev, at: str) -> None:
    first = dev.restore(at)
    assert first.tag(ASKED) == at
    wait_for_another_second()

    goal = dev.target(at)

    assert goal.found is None
    assert goal.moment > (first.moment or goal.moment)


def test_what_somebody_else_made_with_the_same_words_while_it_was_waited_for_is_taken(dev: Dev) -> None:
    began = datetime.now(UTC) - timedelta(seconds=1)
    made = dev.restore("-15m")

    goal = dev.target("-15m", since=began)

    assert goal.found is not None
    assert (goal.name, goal.found.ready) == (made.name, True)
    assert dev.target("-20m", since=began).found is None


def test_a_copy_that_is_not_set_as_its_source_is_not_called_ready(dev: Dev) -> None:
    cut = dev.cut_restore(AT)
    goal, workspace = dev.target(AT), dev.workspace
    with dev.proxy.held():
        dev.instance(cut.name).deletion_protection = True
    work = Restore(workspace.aws, workspace.stack, goal, limits=QUICK)

    assert "DeletionProtection" in str(work.plan()[0].changes)
    list(work.run())

    assert not dev.instance(cut.name).deletion_protection
    assert dev.copy(cut.name).ready


# whose the name is


def test_the_name_of_another_one_s_copy_is_not_taken(restored: Dev) -> None:
    retag(restored, restored.copy(COPY), **{SOURCE_RESOURCE: "db-GONE", SOURCE: "orderops-dev-before"})

    with pytest.raises(OrderopsError, match=f"{COPY} is a copy of orderops-dev-before, and has the name") as refused:
        restored.target(AT)

    assert refused.value.hint == f"remove it: orderops restore discard {COPY} --env dev"


def test_a_copy_that_has_another_role_since_is_not_taken(restored: Dev) -> None:
    retag(restored, restored.copy(COPY), **{ROLE: FORMER})

    with pytest.raises(OrderopsError, match=f"{COPY} was restored to that moment before, and is former now") as refused:
        restored.target(AT)

    assert "orderops restore list --env dev" in refused.value.hint


def test_the_primary_is_never_made_again_by_the_moment_that_it_has(promoted: Dev, orderops: Orderops) -> None:
    refused = orderops("restore", "--at", AT, "--from", DATABASE, "--yes")

    assert refused.code == 1
    assert f"error: {COPY} was restored to that moment before, and is primary now" in refused.err
    assert promoted.proxy.changing == []


def test_what_is_going_is_waited_for(restored: Dev) -> None:
    with restored.proxy.held():
        restored.instance(COPY).status = "deleting"

    with pytest.raises(OrderopsError, match=f"{COPY} is going, and has the name") as refused:
        restored.target(AT)

    assert refused.value.hint == "wait until it is gone; then the same command"


# which source


def test_another_instance_than_the_primary_can_be_restored(promoted: Dev) -> None:
    earlier = YESTERDAY - timedelta(hours=1)
    with pytest.raises(OrderopsError, match="is before the first backup") as refused:
        promoted.target(utc(earlier))
    assert refused.value.hint == f"{DATABASE} can: --at {utc(earlier)} --from {DATABASE}"

    copy = promoted.restore(utc(earlier), source=DATABASE)

    assert (copy.tag(SOURCE), copy.moment, copy.ready) == (DATABASE, earlier, True)
    assert not promoted.differs()


def test_one_that_was_promoted_can_be_restored_itself(promoted: Dev) -> None:
    promoted.age(COPY, days=0.5)

    copy = promoted.restore("-15m")

    assert copy.tag(SOURCE) == COPY
    assert not promoted.differs()


def test_without_backups_there_is_nothing_to_restore(dev: Dev, orderops: Orderops) -> None:
    with dev.proxy.held():
        dev.instance().backup_retention_period = 0

    refused = orderops("restore", "--at", AT, "--yes")

    assert refused.code == 1
    assert f"error: {DATABASE} keeps no backups, so there is nothing to restore" in refused.err
    assert "backup_days = 7" in refused.err
    assert dev.proxy.changing == []


def test_before_the_first_backup_there_is_nothing_to_restore_yet(dev: Dev, orderops: Orderops) -> None:
    dev.age(days=0)

    refused = orderops("restore", "--at", "latest", "--yes")

    assert refused.code == 1
    assert f"error: {DATABASE} has no backup yet" in refused.err
    assert dev.proxy.changing == []


def test_a_rehearsal_s_copy_is_another_one_than_a_restored_one(restored: Dev) -> None:
    copy = restored.restore(AT, role=REHEARSAL)

    assert copy.name != COPY
    assert copy.observed.properties["BackupRetentionPeriod"] == 0
    assert len(restored.look().others) == 2
    assert {MOMENT, READY} <= (copy.observed.tags or {}).keys()


def as_it_is(copy: Instance) -> dict[str, object]:
    """All that is told of it but what every second changes."""
    told = {key: value for key, value in copy.observed.properties.items() if key != "LatestRestorableTime"}
    return {**told, "tags": copy.observed.tags, "state": copy.observed.state}


def wait_for_another_second() -> None:
    """Until what is told by its distance from now is another moment."""
    deadline, second = time.monotonic() + 5, utc(datetime.now(UTC))
    while utc(datetime.now(UTC) - timedelta(seconds=0.2)) <= second:
        assert time.monotonic() < deadline, "the clock stands still"
        time.sleep(0.02)
