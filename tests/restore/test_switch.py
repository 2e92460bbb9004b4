"""Which instance becomes the primary, what prevents that, and which instance is never discarded."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from orderops.aws.client import Aws
from orderops.aws.documents import Bucket
from orderops.aws.ownership import Ownership
from orderops.config.environment import load_environment
from orderops.engine.resource import Observed, Outputs, State
from orderops.errors import OrderopsError
from orderops.infra.workspace import Workspace
from orderops.restore.in_use import check_not_in_use
from orderops.restore.instances import Instance, Instances
from orderops.restore.login_carry import service_secret_to_carry
from orderops.restore.promotion import (
    Promotion,
    Switch,
    check_alike,
    switch,
    switch_back,
)
from support.repository import ENVIRONMENTS

RESTORED = {"orderops:role": "restored", "orderops:restored-to": "2026-11-20T08:00:00Z", "orderops:ready": "yes"}
FORMER = {"orderops:role": "former"}
PROMOTED = {
    "orderops:role": "primary",
    "orderops:before": "first",
    "orderops:promoted-by": "promote",
    "orderops:term": "1",
}
SETTLED = {**PROMOTED, "orderops:settled": "1"}
ENDPOINT = {"EndpointAddress": "first.rds.example", "EndpointPort": 5432}


def instance(name: str, tags: dict[str, str] | None = None, **observed: Any) -> Instance:
    return Instance(Observed(name, **{"properties": ENDPOINT, "tags": tags or {}, **observed}))


def dev(primary: Instance | None, *others: Instance) -> Instances:
    return Instances("dev", primary, others)


def refused(decide: Callable[[], object]) -> tuple[str, str]:
    """The message and the hint of an error."""
    with pytest.raises(OrderopsError) as error:
        decide()
    return error.value.message, error.value.hint


def test_the_only_restored_instance_is_promoted_over_the_primary() -> None:
    first, second = instance("first"), instance("second", RESTORED)

    assert switch(dev(first, second), None) == Switch(second, first, "promote")


def test_a_named_instance_takes_the_place_of_a_missing_primary() -> None:
    first, second = instance("first", FORMER), instance("second", RESTORED)

    assert switch(dev(None, first, second), "first") == Switch(first, None, "promote")
    assert refused(lambda: switch(dev(None, first, second), None)) == (
        "the primary database of dev does not exist; promote one of these instances:",
        "orderops restore promote first --env dev\norderops restore promote second --env dev",
    )


def replica(name: str, source: str | None = "first", **observed: Any) -> Instance:
    properties = {**ENDPOINT, "SourceDBInstanceIdentifier": source, "BackupRetentionPeriod": 0}
    return instance(name, properties=properties, **observed)


def test_a_read_replica_is_promoted_by_its_name_only() -> None:
    first, second = instance("first"), replica("first-replica-1")
    instances = Instances("dev", first, (), (second,))

    assert second.role == "replica"
    assert switch(instances, "first-replica-1") == Switch(second, first, "promote")
    assert refused(lambda: switch(instances, None))[0] == "dev has no restored instance to promote"
    assert refused(lambda: instances.named("first-replica-1", action="discard"))[0] == (
        "dev has no instance named first-replica-1"
    )


def test_a_replica_of_a_database_that_is_gone_takes_its_place() -> None:
    second = replica("first-replica-1", source=None)
    instances = Instances("dev", None, (), (second,))

    assert switch(instances, second.name) == Switch(second, None, "promote")
    assert refused(lambda: instances.require_primary()) == (
        "the primary database of dev does not exist; promote one of these instances:",
        "orderops restore promote first-replica-1 --env dev",
    )


def test_a_busy_replica_is_waited_for_and_a_failed_one_is_refused() -> None:
    first = instance("first")
    busy, failed = replica("busy", state=State.PENDING), replica("failed", state=State.FAILED, status="failed")
    instances = Instances("dev", first, (), (busy, failed))

    assert switch(instances, "busy").to is busy
    assert refused(lambda: switch(instances, "failed"))[0] == "failed is not ready: its status is failed"


def test_the_settings_of_a_replica_need_not_equal_those_of_the_primary() -> None:
    properties = {"BackupRetentionPeriod": 7, "MultiAZ": True}

    check_alike(Switch(replica("first-replica-1"), instance("first", properties=properties), "promote"))


def test_an_instance_that_a_command_deletes_after_use_is_not_promoted() -> None:
    rehearsal = instance("second", {**RESTORED, "orderops:role": "rehearsal"})

    assert refused(lambda: switch(dev(instance("first"), rehearsal), "second")) == (
        "second was created for a rehearsal and is deleted after it",
        "restore an instance to keep: orderops restore --at latest --env dev",
    )


def test_an_unfinished_promotion_continues_before_a_newer_instance_is_promoted() -> None:
    first, second, third = instance("first", FORMER), instance("second", PROMOTED), instance("third", RESTORED)

    assert switch(dev(second, first, third), None) == Switch(second, first, "promote", decided=True)


def test_a_finished_promotion_is_not_continued_if_a_newer_instance_waits() -> None:
    first, second, third = instance("first", FORMER), instance("second", SETTLED), instance("third", RESTORED)

    assert switch(dev(second, first, third), None) == Switch(third, second, "promote")


def test_a_finished_promotion_without_a_newer_instance_is_found_done() -> None:
    first, second = instance("first", FORMER), instance("second", SETTLED)

    assert switch(dev(second, first), None) == Switch(second, first, "promote", decided=True)


def test_an_unfinished_promotion_continues_after_the_former_primary_was_deleted() -> None:
    second = instance("second", PROMOTED)

    assert switch(dev(second, instance("other", FORMER)), None) == Switch(second, None, "promote", decided=True)


def test_an_unfinished_switch_back_continues() -> None:
    second, first = instance("second", FORMER), instance("first", {**PROMOTED, "orderops:promoted-by": "back"})
    first = instance("first", {**(first.observed.tags or {}), "orderops:before": "second"})

    assert switch_back(dev(first, second)) == Switch(first, second, "back", decided=True)


def test_switching_back_makes_the_primary_before_the_last_promotion_primary_again() -> None:
    first, second = instance("first", FORMER), instance("second", SETTLED)

    assert switch_back(dev(second, instance("other", FORMER), first)) == Switch(first, second, "back")


def test_an_error_of_switching_back_ends_with_what_to_type() -> None:
    never = refused(lambda: switch_back(dev(instance("first"))))
    deleted = refused(lambda: switch_back(dev(instance("second", SETTLED), instance("other", FORMER))))

    assert never[1] == "list the instances: orderops restore list --env dev"
    assert deleted == (
        "first, the primary before second, does not exist any more",
        "look for its final snapshot: aws rds describe-db-snapshots --query "
        "\"DBSnapshots[?DBInstanceIdentifier=='first'].DBSnapshotIdentifier\"",
    )


def test_several_former_primaries_are_offered_with_a_command_a_line() -> None:
    formers = [instance("first", FORMER), instance("other", FORMER)]
    back = {**SETTLED, "orderops:promoted-by": "back"}

    assert refused(lambda: switch(dev(instance("second", back), *formers), None)) == (
        "dev has no restored instance that was not the primary before; name one",
        "orderops restore promote first --env dev\norderops restore promote other --env dev",
    )


@pytest.mark.parametrize(
    ("candidate", "problem"),
    [
        (instance("second", {**RESTORED, "orderops:ready": ""}), "its restore is not complete"),
        (instance("second", RESTORED, state=State.PENDING, status="modifying"), "its status is modifying"),
        (instance("second", RESTORED, state=State.FAILED, status="storage-full"), "its status is storage-full"),
    ],
)
def test_an_instance_that_is_not_ready_is_not_promoted(candidate: Instance, problem: str) -> None:
    assert refused(lambda: switch(dev(instance("first"), candidate), "second")) == (
        f"second is not ready: {problem}",
        "re-run the command that restores it to continue; check its progress: orderops restore list --env dev",
    )


def test_every_setting_that_differs_from_the_replaced_instance_is_named() -> None:
    first = instance("first", properties={"MultiAZ": True, "BackupRetentionPeriod": 7, "Port": 5432})
    second = instance("second", RESTORED, properties={"MultiAZ": False, "BackupRetentionPeriod": 1, "Port": 5432})

    assert refused(lambda: check_alike(Switch(second, first, "promote"))) == (
        "the settings of second differ from those of first:\n"
        "BackupRetentionPeriod: 7 on first, 1 on second\n"
        "MultiAZ: True on first, False on second",
        "to promote it as it is, and set the rest with the next orderops up, pass --as-it-is",
    )
    check_alike(Switch(second, first, "promote", decided=True))
    check_alike(Switch(second, None, "promote"))


@pytest.mark.parametrize(
    ("present", "next_one", "carried"),
    [
        ("arn:a", None, "arn:a"),
        ("arn:a", "arn:b", "arn:a"),
        ("arn:a", "arn:a", ""),
        (None, "arn:b", ""),
    ],
    ids=["the next one has none", "the next one has an older one", "both have it", "the master user logs in"],
)
def test_the_secret_of_the_services_goes_to_the_next_primary_if_it_lacks_it(
    present: str | None, next_one: str | None, carried: str
) -> None:
    first = instance("first", properties={"ServiceSecretArn": present})
    second = instance("second", RESTORED, properties={"ServiceSecretArn": next_one})

    assert service_secret_to_carry(Switch(second, first, "promote")) == carried
    assert service_secret_to_carry(Switch(second, first, "promote", decided=True)) == ""
    assert service_secret_to_carry(Switch(second, None, "promote")) == ""


# in use


@pytest.fixture
def workspace(aws: Aws) -> Workspace:
    return Workspace(load_environment("dev", ENVIRONMENTS), aws)


def pointer_names(workspace: Workspace, host: str, port: int) -> None:
    pointer = workspace.stack.pointer
    value = {**pointer.desired(Outputs()), "SecretString": {"host": host, "port": port}}
    pointer.create(workspace.aws, value, Ownership("dev", pointer.address, pointer.name))


def test_the_only_replacement_of_a_missing_primary_is_in_use(workspace: Workspace) -> None:
    restored = instance("second", RESTORED)

    assert refused(lambda: check_not_in_use(workspace, dev(None, restored), restored)) == (
        "the primary database of dev does not exist, and second may be its only replacement",
        "make it the primary: orderops restore promote second --env dev",
    )


def test_an_instance_that_another_run_restores_is_in_use(workspace: Workspace) -> None:
    incomplete = instance("second", {**RESTORED, "orderops:ready": ""})
    complete = instance("third", RESTORED, properties={**ENDPOINT, "EndpointAddress": "third.rds.example"})
    check_not_in_use(workspace, dev(instance("first"), incomplete), incomplete)
    holder = {"run": "1f2e", "who": "ana", "host": "laptop", "command": "restore", "since": "2026-11-22T12:03:00Z"}
    Bucket(workspace.aws).put("dev/copies/lease.json", holder)

    check_not_in_use(workspace, dev(instance("first"), complete), complete)
    assert refused(lambda: check_not_in_use(workspace, dev(instance("first"), incomplete), incomplete)) == (
        "second is being restored by ana on laptop, `restore`",
        "interrupt that command with Ctrl+C, or wait for its end",
    )


def test_the_primary_is_in_use(workspace: Workspace) -> None:
    first = instance("first")

    assert refused(lambda: check_not_in_use(workspace, dev(first), first)) == (
        "first is the primary of dev, and is never discarded",
        "promote another one first: orderops restore list --env dev",
    )


def test_the_former_primary_is_in_use_until_the_switch_is_complete(workspace: Workspace) -> None:
    first, other = instance("first", FORMER), instance("other", FORMER)

    assert refused(lambda: check_not_in_use(workspace, dev(instance("second", PROMOTED), first, other), first)) == (
        "the services of dev may still use first: a switch was interrupted",
        "complete it: orderops restore promote --env dev",
    )
    check_not_in_use(workspace, dev(instance("second", PROMOTED), first, other), other)
    check_not_in_use(workspace, dev(instance("second", SETTLED), first, other), first)


def test_the_instance_that_the_pointer_names_is_in_use(workspace: Workspace) -> None:
    first, second = instance("first", FORMER), instance("second", SETTLED)
    pointer_names(workspace, "first.rds.example", 5432)
    on_another_port = instance("first", FORMER, properties={**ENDPOINT, "EndpointPort": 5433})

    assert refused(lambda: check_not_in_use(workspace, dev(second, first), first)) == (
        "the pointer secret of dev names first, so the services use it",
        "let them follow the primary: orderops up --env dev",
    )
    check_not_in_use(workspace, dev(second, on_another_port), on_another_port)


@pytest.mark.parametrize(
    ("terms", "following"), [(("", ""), "1"), (("", "3"), "4"), (("2", ""), "3"), (("5", "4"), "6")]
)
def test_the_term_of_a_promotion_is_higher_than_any_before(
    workspace: Workspace, terms: tuple[str, str], following: str
) -> None:
    to, previous = (instance(name, {"orderops:term": term}) for name, term in zip(("to", "from"), terms, strict=True))

    assert Promotion(workspace, Switch(to, previous, "promote"))._primary_tags() == {
        "Name": "orderops-dev-database",
        "orderops:environment": "dev",
        "orderops:address": "rds-instance/orderops-dev-database",
        "orderops:role": "primary",
        "orderops:before": "from",
        "orderops:term": following,
        "orderops:promoted-by": "promote",
    }
