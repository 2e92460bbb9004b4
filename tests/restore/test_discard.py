"""An unused instance can be discarded after its name is typed; one that services use never."""

from __future__ import annotations

import json
from itertools import islice

import pytest

from orderops.resources.rds_instance import RdsInstance, final_snapshot
from orderops.ui import console
from support.command_line import Orderops, Said
from support.recorded_history import DATABASE, POINTER, RESTORED_INSTANCE, Dev

# End to end.
pytestmark = pytest.mark.slow

pytest_plugins = ["support.recorded_history_fixtures"]


def snapshots(dev: Dev) -> list[str]:
    response = dev.workspace.aws.rds.describe_db_snapshots(SnapshotType="manual")
    return [snapshot["DBSnapshotIdentifier"] for snapshot in response["DBSnapshots"]]


def discard(orderops: Orderops, name: str, *options: str) -> Said:
    return orderops("restore", "discard", name, "--confirm", name, *options)


def test_a_restored_instance_is_deleted_and_its_final_snapshot_is_kept(restored: Dev, orderops: Orderops) -> None:
    kept = final_snapshot(restored.named(RESTORED_INSTANCE).observed)

    done = discard(orderops, RESTORED_INSTANCE)

    assert done.code == 0, done.err
    assert f"a final snapshot is kept: {kept}" in done.err
    assert snapshots(restored) == [kept]
    assert restored.instances().others == []
    assert not restored.has_changes()


def test_no_snapshot_is_kept_with_no_snapshot(restored: Dev, orderops: Orderops) -> None:
    done = discard(orderops, RESTORED_INSTANCE, "--no-snapshot")

    assert "no snapshot is kept: its data is lost" in done.err
    assert (snapshots(restored), restored.instances().others) == ([], [])


def test_a_disposable_instance_leaves_no_snapshot(dev: Dev, orderops: Orderops) -> None:
    instance = dev.restore("latest", role="rehearsal")

    assert discard(orderops, instance.name).code == 0
    assert (snapshots(dev), dev.instances().others) == ([], [])


def test_deletion_protection_is_removed_before_the_deletion(restored: Dev, orderops: Orderops) -> None:
    with restored.proxy.held():
        restored.record(RESTORED_INSTANCE).deletion_protection = True

    assert discard(orderops, RESTORED_INSTANCE).code == 0
    assert restored.instances().others == []


@pytest.mark.parametrize(
    "confirmation", [[], ["--confirm", "dev"], ["--confirm", DATABASE]], ids=["none", "the environment", "another"]
)
def test_only_the_instances_own_name_confirms_its_deletion(
    restored: Dev, orderops: Orderops, confirmation: list[str]
) -> None:
    refused = orderops("restore", "discard", RESTORED_INSTANCE, *confirmation)

    assert refused.code == 2
    assert f"error: {RESTORED_INSTANCE} is kept: its name was not given" in refused.err
    assert f"orderops restore discard {RESTORED_INSTANCE} --env dev --confirm {RESTORED_INSTANCE}" in refused.err
    assert restored.proxy.changing == []


def test_a_dry_run_shows_what_is_kept_and_changes_nothing(restored: Dev, orderops: Orderops) -> None:
    shown = orderops("restore", "discard", "--dry-run")

    assert shown.code == 0
    assert f"{RESTORED_INSTANCE}: restored, restored to " in shown.err
    assert "a final snapshot is kept: " in shown.err
    assert restored.proxy.changing == []


@pytest.mark.parametrize("name", [DATABASE, DATABASE.upper()])
def test_the_primary_is_never_deleted(restored: Dev, orderops: Orderops, name: str) -> None:
    refused = discard(orderops, name)

    assert refused.code == 1
    assert f"error: {DATABASE} is the primary of dev, and is never discarded" in refused.err
    assert restored.proxy.changing == []


def test_a_promoted_instance_is_never_deleted(promoted: Dev, orderops: Orderops) -> None:
    assert f"error: {RESTORED_INSTANCE} is the primary of dev" in discard(orderops, RESTORED_INSTANCE).err
    assert promoted.proxy.changing == []


def test_an_instance_that_the_pointer_names_is_not_deleted(restored: Dev, orderops: Orderops) -> None:
    pointer = {**restored.pointer(), "host": restored.named(RESTORED_INSTANCE).observed.properties["EndpointAddress"]}
    restored.workspace.aws.secretsmanager.put_secret_value(SecretId=POINTER, SecretString=json.dumps(pointer))

    refused = discard(orderops, RESTORED_INSTANCE)

    assert refused.code == 1
    assert f"error: the pointer secret of dev names {RESTORED_INSTANCE}, so the services use it" in refused.err
    assert "hint: let them follow the primary: orderops up --env dev" in refused.err
    assert restored.changes() == ["secretsmanager.PutSecretValue"]


def test_the_former_primary_of_an_interrupted_promotion_is_not_deleted(restored: Dev, orderops: Orderops) -> None:
    list(islice(restored.promotion().run(), 3))
    changed = restored.changes()

    refused = discard(orderops, DATABASE)

    assert refused.code == 1
    assert f"error: the services of dev may still use {DATABASE}: a switch was interrupted" in refused.err
    assert "hint: complete it: orderops restore promote --env dev" in refused.err
    assert restored.changes() == changed


def test_discarding_the_former_primary_leaves_the_primary_unchanged(promoted: Dev, orderops: Orderops) -> None:
    assert discard(orderops, DATABASE).code == 0

    instances = promoted.instances()
    primary = instances.require_primary()
    assert (primary.name, primary.role, instances.others) == (
        RESTORED_INSTANCE,
        "primary",
        [],
    )
    assert not promoted.has_changes()


def test_an_interrupted_restore_can_be_discarded(dev: Dev, orderops: Orderops) -> None:
    interrupted = dev.interrupted_restore("latest", role="drill")

    assert discard(orderops, interrupted.name).code == 0
    assert dev.instances().others == []


def test_discarding_a_deleted_instance_again_changes_nothing(restored: Dev, orderops: Orderops) -> None:
    assert discard(orderops, RESTORED_INSTANCE).code == 0
    changed = restored.changes()

    assert discard(orderops, RESTORED_INSTANCE).code == 0
    assert restored.changes() == changed


def test_an_unknown_name_is_an_error(restored: Dev, orderops: Orderops) -> None:
    refused = discard(orderops, "orderops-staging-database")

    assert refused.code == 2
    assert "error: dev has no instance named orderops-staging-database" in refused.err
    assert "hint: list the instances: orderops restore list --env dev" in refused.err


def test_final_snapshots_are_found_by_their_environment(restored: Dev, orderops: Orderops) -> None:
    discard(orderops, RESTORED_INSTANCE)

    leftovers = RdsInstance.leftovers(restored.workspace.aws, restored.owner)
    [left] = [leftover for leftover in leftovers if leftover.what == "snapshot"]
    assert left.names == tuple(snapshots(restored))


def test_an_instance_whose_tags_another_one_carries_is_not_deleted(restored: Dev, orderops: Orderops) -> None:
    twin = restored.restore("latest")
    RdsInstance.retag(restored.workspace.aws, twin.observed, restored.named(RESTORED_INSTANCE).observed.tags or {})
    changed = restored.changes()

    refused = discard(orderops, RESTORED_INSTANCE)

    assert refused.code == 1
    assert (
        f"error: {RESTORED_INSTANCE} and {twin.name} carry the same tag orderops:address=rds-instance/" in refused.err
    )
    assert "hint: remove the tag orderops:address from the one that orderops did not make" in refused.err
    assert restored.changes() == changed


def test_an_instance_promoted_while_the_operator_decides_is_not_deleted(
    restored: Dev, orderops: Orderops, monkeypatch: pytest.MonkeyPatch
) -> None:
    def promoted_meanwhile(name: str, *_: object, **__: object) -> bool:
        restored.promote(name)
        return True

    monkeypatch.setattr(console, "confirm_name", promoted_meanwhile)

    refused = orderops("restore", "discard", RESTORED_INSTANCE)

    assert refused.code == 1
    assert f"error: {RESTORED_INSTANCE} is the primary of dev, and is never discarded" in refused.err
    assert restored.changes("rds.DeleteDBInstance") == []
    assert restored.instances().require_primary().name == RESTORED_INSTANCE
