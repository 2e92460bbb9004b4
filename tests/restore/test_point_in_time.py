"""A restore creates one new instance and leaves the original unchanged; a re-run completes an interrupted one."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import pytest

from orderops.errors import OrderopsError
from orderops.resources.rds_instance import RdsInstance
from orderops.restore.instances import Instance
from orderops.restore.point_in_time import Restore
from orderops.restore.timestamps import utc
from support.command_line import Orderops
from support.emulated_account import QUICK
from support.recorded_history import DATABASE, RESTORED_INSTANCE, YESTERDAY, Dev
from support.repository import ENVIRONMENTS

# End to end.
pytestmark = pytest.mark.slow

pytest_plugins = ["support.recorded_history_fixtures"]

AT = utc(YESTERDAY)
RESTORE = "rds.RestoreDBInstanceToPointInTime"


def retag(dev: Dev, instance: Instance, **tags: str) -> None:
    RdsInstance.retag(dev.workspace.aws, instance.observed, tags)


def test_a_restore_creates_one_instance_and_leaves_the_original_unchanged(dev: Dev, orderops: Orderops) -> None:
    before = dev.instances().require_primary()

    done = orderops("restore", "--at", AT, "--yes")

    assert (done.code, done.out) == (0, f"{RESTORED_INSTANCE}\n"), done.err
    shown = " ".join(done.err.split())
    assert shown.startswith(f"restore {DATABASE} to {AT}")
    assert f" as {RESTORED_INSTANCE} a new instance; the original is not changed" in shown
    assert shown.endswith(
        f"next: orderops restore compare {RESTORED_INSTANCE} --env dev --environments {ENVIRONMENTS}"
        f" then: orderops restore promote {RESTORED_INSTANCE} --env dev --environments {ENVIRONMENTS}"
    )
    [restored] = dev.instances().others
    assert state_of(dev.instances().require_primary()) == state_of(before)
    assert (restored.name, restored.role, restored.ready, restored.moment) == (
        RESTORED_INSTANCE,
        "restored",
        True,
        YESTERDAY,
    )
    assert restored.tag("orderops:source") == DATABASE
    assert restored.tag("orderops:source-resource") == before.observed.properties["DbiResourceId"]
    assert dev.changes(RESTORE) == [RESTORE]
    assert not dev.has_changes()


def test_a_repeated_restore_finds_the_instance(restored: Dev, orderops: Orderops) -> None:
    repeated = orderops("restore", "--at", AT, "--yes")

    assert (repeated.code, repeated.out) == (0, f"{RESTORED_INSTANCE}\n")
    assert repeated.err.startswith(f"{RESTORED_INSTANCE} exists already, as of {AT}")
    assert restored.proxy.changing == []


def test_a_dry_run_shows_the_instance_and_changes_nothing(dev: Dev, orderops: Orderops) -> None:
    assert f"+ create rds-instance/{RESTORED_INSTANCE}" in orderops("restore", "--at", AT, "--dry-run").out
    assert dev.proxy.changing == []


def test_a_restore_without_a_terminal_needs_yes(dev: Dev, orderops: Orderops) -> None:
    refused = orderops("restore", "--at", AT)

    assert refused.code == 2
    assert "hint: pass --yes" in refused.err
    assert dev.proxy.changing == []


@pytest.mark.parametrize("at", [AT, "-15m", "latest"], ids=["a time", "-15m", "latest"])
def test_an_interrupted_restore_keeps_its_name_and_time_when_resumed(dev: Dev, at: str) -> None:
    interrupted = dev.interrupted_restore(at)
    assert not interrupted.ready
    wait_for_another_second()
    dev.proxy.forget()

    done = dev.restore(at)

    assert (done.name, done.moment, done.tag("orderops:begun")) == (
        interrupted.name,
        interrupted.moment,
        interrupted.tag("orderops:begun"),
    )
    assert done.ready
    assert len(dev.instances().others) == 1
    assert dev.changes() == ["rds.AddTagsToResource"]


def test_before_a_migration_is_the_last_second_before_its_start(dev: Dev) -> None:
    request = dev.request("before V7", start_of=lambda version: YESTERDAY + timedelta(seconds=version / 10))

    assert (request.moment, request.name, request.tags["orderops:asked"]) == (YESTERDAY, RESTORED_INSTANCE, "before V7")


@pytest.mark.parametrize("at", ["-15m", "latest"])
def test_a_relative_time_restores_another_instance_once_the_first_is_ready(dev: Dev, at: str) -> None:
    first = dev.restore(at)
    assert first.tag("orderops:asked") == at
    wait_for_another_second()

    request = dev.request(at)

    assert request.existing is None
    assert request.moment > (first.moment or request.moment)


def test_a_restore_by_another_operator_during_the_wait_for_the_lease_is_used(dev: Dev) -> None:
    began = datetime.now(UTC) - timedelta(seconds=1)
    other = dev.restore("-15m")

    request = dev.request("-15m", since=began)

    assert request.existing is not None
    assert (request.name, request.existing.ready) == (other.name, True)
    assert dev.request("-20m", since=began).existing is None


def test_an_instance_with_other_settings_is_corrected_before_it_is_ready(dev: Dev) -> None:
    interrupted = dev.interrupted_restore(AT)
    request, workspace = dev.request(AT), dev.workspace
    with dev.proxy.held():
        dev.record(interrupted.name).deletion_protection = True
    work = Restore(workspace.aws, workspace.stack, request, limits=QUICK)

    changes = {step.address.partition("/")[0]: step.changes for step in work.plan()}
    assert list(changes["rds-instance"]) == ["DeletionProtection"]
    list(work.run())

    assert not dev.record(interrupted.name).deletion_protection
    assert dev.named(interrupted.name).ready


# the name is in use


def test_the_name_of_an_instance_from_another_source_is_an_error(restored: Dev) -> None:
    retag(
        restored,
        restored.named(RESTORED_INSTANCE),
        **{"orderops:source-resource": "db-GONE", "orderops:source": "orderops-dev-before"},
    )

    with pytest.raises(
        OrderopsError, match="which has the requested name, was restored from orderops-dev-before"
    ) as refused:
        restored.request(AT)

    assert refused.value.hint == f"discard it: orderops restore discard {RESTORED_INSTANCE} --env dev"


def test_the_name_of_an_instance_with_another_role_is_an_error(restored: Dev) -> None:
    retag(restored, restored.named(RESTORED_INSTANCE), **{"orderops:role": "former"})

    with pytest.raises(OrderopsError, match="was restored to that time before, and its role is former now") as refused:
        restored.request(AT)

    assert "orderops restore list --env dev" in refused.value.hint


def test_the_name_of_a_promoted_instance_is_an_error(promoted: Dev, orderops: Orderops) -> None:
    refused = orderops("restore", "--at", AT, "--from", DATABASE, "--yes")

    assert refused.code == 1
    assert f"error: {RESTORED_INSTANCE} was restored to that time before, and its role is primary now" in refused.err
    assert promoted.proxy.changing == []


def test_the_name_of_an_instance_that_is_being_deleted_is_an_error(restored: Dev) -> None:
    with restored.proxy.held():
        restored.record(RESTORED_INSTANCE).status = "deleting"

    with pytest.raises(OrderopsError, match="which has the requested name, is being deleted") as refused:
        restored.request(AT)

    assert refused.value.hint == "wait until it is deleted, then re-run this command"


# the source


def test_an_instance_other_than_the_primary_can_be_the_source(promoted: Dev) -> None:
    earlier = YESTERDAY - timedelta(hours=1)
    with pytest.raises(OrderopsError, match="is before the oldest backup") as refused:
        promoted.request(utc(earlier))
    assert refused.value.hint == f"restore it from {DATABASE}: --at {utc(earlier)} --from {DATABASE}"

    instance = promoted.restore(utc(earlier), source=DATABASE)

    assert (instance.tag("orderops:source"), instance.moment, instance.ready) == (DATABASE, earlier, True)
    assert not promoted.has_changes()


def test_a_promoted_instance_can_be_the_source(promoted: Dev) -> None:
    promoted.age(RESTORED_INSTANCE, days=0.5)

    instance = promoted.restore("-15m")

    assert instance.tag("orderops:source") == RESTORED_INSTANCE
    assert not promoted.has_changes()


def test_a_database_without_backups_cannot_be_restored(dev: Dev, orderops: Orderops) -> None:
    with dev.proxy.held():
        dev.record().backup_retention_period = 0

    refused = orderops("restore", "--at", AT, "--yes")

    assert refused.code == 1
    assert f"error: {DATABASE} keeps no backups, so it cannot be restored" in refused.err
    assert "backup_days = 7" in refused.err
    assert dev.proxy.changing == []


def test_a_database_before_its_first_backup_cannot_be_restored(dev: Dev, orderops: Orderops) -> None:
    dev.age(days=0)

    refused = orderops("restore", "--at", "latest", "--yes")

    assert refused.code == 1
    assert f"error: {DATABASE} has no backup yet" in refused.err
    assert dev.proxy.changing == []


def test_a_rehearsal_does_not_use_a_restored_instance(restored: Dev) -> None:
    instance = restored.restore(AT, role="rehearsal")

    assert instance.name != RESTORED_INSTANCE
    assert instance.observed.properties["BackupRetentionPeriod"] == 0
    assert len(restored.instances().others) == 2
    assert {"orderops:restored-to", "orderops:ready"} <= (instance.observed.tags or {}).keys()


def state_of(instance: Instance) -> dict[str, object]:
    """Return all properties except the one that changes every second."""
    observed = instance.observed
    properties = {key: value for key, value in observed.properties.items() if key != "LatestRestorableTime"}
    return {**properties, "tags": observed.tags, "state": observed.state}


def wait_for_another_second() -> None:
    """Wait until a relative time is another second."""
    deadline, second = time.monotonic() + 5, utc(datetime.now(UTC))
    while utc(datetime.now(UTC) - timedelta(seconds=0.2)) <= second:
        assert time.monotonic() < deadline, "the clock does not advance"
        time.sleep(0.02)
