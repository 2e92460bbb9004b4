"""What nobody uses can be thrown away, after its name was typed; what the service uses never."""

from __future__ import annotations

import json
from itertools import islice

import pytest

from orderops.resources.rds_description import DRILL, PRIMARY, REHEARSAL
from orderops.resources.rds_instance import RdsInstance, final_snapshot
from support.command_line import Orderops, Said
from support.recorded_history import COPY, DATABASE, POINTER, Dev

pytest_plugins = ["support.recorded_history_fixtures"]


def snapshots(dev: Dev) -> list[str]:
    told = dev.workspace.aws.rds.describe_db_snapshots(SnapshotType="manual")["DBSnapshots"]
    return [raw["DBSnapshotIdentifier"] for raw in told]


def discard(orderops: Orderops, name: str, *words: str) -> Said:
    return orderops("restore", "discard", name, "--confirm", name, *words)


def test_a_copy_goes_and_its_final_snapshot_stays(restored: Dev, orderops: Orderops) -> None:
    kept = final_snapshot(restored.copy(COPY).observed)

    done = discard(orderops, COPY)

    assert done.code == 0, done.err
    assert f"a final snapshot is kept: {kept}" in done.err
    assert snapshots(restored) == [kept]
    assert restored.look().others == []
    assert not restored.differs()


def test_where_no_snapshot_is_wanted_none_stays(restored: Dev, orderops: Orderops) -> None:
    done = discard(orderops, COPY, "--no-snapshot")

    assert "no snapshot is kept: its data is lost" in done.err
    assert (snapshots(restored), restored.look().others) == ([], [])


def test_of_what_was_made_to_be_thrown_away_nothing_stays(dev: Dev, orderops: Orderops) -> None:
    copy = dev.restore("latest", role=REHEARSAL)

    assert discard(orderops, copy.name).code == 0
    assert (snapshots(dev), dev.look().others) == ([], [])


def test_its_protection_is_taken_off(restored: Dev, orderops: Orderops) -> None:
    with restored.proxy.held():
        restored.instance(COPY).deletion_protection = True

    assert discard(orderops, COPY).code == 0
    assert restored.look().others == []


@pytest.mark.parametrize("words", [[], ["--confirm", "dev"], ["--confirm", DATABASE]], ids=["", "dev", "another"])
def test_it_wants_its_name(restored: Dev, orderops: Orderops, words: list[str]) -> None:
    refused = orderops("restore", "discard", COPY, *words)

    assert refused.code == 2
    assert f"error: {COPY} is kept: its name was not given" in refused.err
    assert f"orderops restore discard {COPY} --env dev --confirm {COPY}" in refused.err
    assert restored.proxy.changing == []


def test_a_dry_run_says_what_would_stay_and_changes_nothing(restored: Dev, orderops: Orderops) -> None:
    said = orderops("restore", "discard", "--dry-run")

    assert said.code == 0
    assert f"{COPY}: restored, restored to " in said.err
    assert "a final snapshot is kept: " in said.err
    assert restored.proxy.changing == []


@pytest.mark.parametrize("name", [DATABASE, DATABASE.upper()])
def test_the_primary_never_goes(restored: Dev, orderops: Orderops, name: str) -> None:
    refused = discard(orderops, name)

    assert refused.code == 1
    assert f"error: {DATABASE} is the primary of dev, and is never discarded" in refused.err
    assert restored.proxy.changing == []


def test_a_promoted_one_is_the_primary(promoted: Dev, orderops: Orderops) -> None:
    assert f"error: {COPY} is the primary of dev" in discard(orderops, COPY).err
    assert promoted.proxy.changing == []


def test_what_the_services_are_told_to_use_stays(restored: Dev, orderops: Orderops) -> None:
    told = {**restored.pointer(), "host": restored.copy(COPY).observed.properties["EndpointAddress"]}
    restored.workspace.aws.secretsmanager.put_secret_value(SecretId=POINTER, SecretString=json.dumps(told))

    refused = discard(orderops, COPY)

    assert refused.code == 1
    assert f"error: the services of dev are told to use {COPY}" in refused.err
    assert "hint: let them follow the primary: orderops up --env dev" in refused.err
    assert restored.changes() == ["secretsmanager.PutSecretValue"]


def test_what_a_cut_switch_may_leave_in_use_stays(restored: Dev, orderops: Orderops) -> None:
    list(islice(restored.promotion().run(), 3))
    changed = restored.changes()

    refused = discard(orderops, DATABASE)

    assert refused.code == 1
    assert f"error: the services of dev may still use {DATABASE}: a switch was interrupted" in refused.err
    assert "hint: finish it: orderops restore promote --env dev" in refused.err
    assert restored.changes() == changed


def test_without_the_original_the_promoted_one_stays_the_primary(promoted: Dev, orderops: Orderops) -> None:
    assert discard(orderops, DATABASE).code == 0

    copies = promoted.look()
    assert (copies.the_primary().name, copies.the_primary().role, copies.others) == (COPY, PRIMARY, [])
    assert not promoted.differs()


def test_a_cut_restore_can_be_thrown_away(dev: Dev, orderops: Orderops) -> None:
    cut = dev.cut_restore("latest", role=DRILL)

    assert discard(orderops, cut.name).code == 0
    assert dev.look().others == []


def test_what_is_gone_already_is_gone(restored: Dev, orderops: Orderops) -> None:
    assert discard(orderops, COPY).code == 0
    changed = restored.changes()

    assert discard(orderops, COPY).code == 0
    assert restored.changes() == changed


def test_a_name_that_nothing_has_is_refused(restored: Dev, orderops: Orderops) -> None:
    refused = discard(orderops, "orderops-staging-database")

    assert refused.code == 2
    assert "error: no instance of dev is named orderops-staging-database" in refused.err
    assert "hint: what there is: orderops restore list --env dev" in refused.err


def test_the_snapshot_of_the_past_is_found_by_its_environment(restored: Dev, orderops: Orderops) -> None:
    discard(orderops, COPY)

    [left] = [left for left in RdsInstance.leftovers(restored.workspace.aws, restored.owner) if left.what == "snapshot"]
    assert left.names == tuple(snapshots(restored))
