"""A single tag update makes the switch, services follow once, and a re-run completes an interrupted one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import islice

import pytest

from orderops.aws.ownership import from_pairs
from orderops.engine.resource import Effect
from orderops.engine.step import Action, Step
from orderops.errors import OrderopsError, UsageError
from orderops.restore.promotion import Promotion, check_alike, switch, switch_back
from support.command_line import Orderops
from support.emulated_account import QUICK
from support.recorded_history import DATABASE, RESTORED_INSTANCE, Dev

# End to end.
pytestmark = pytest.mark.slow

pytest_plugins = ["support.recorded_history_fixtures"]

RENEW = "ecs.UpdateService"


def roles(dev: Dev) -> dict[str, str]:
    instances = dev.instances()
    return {instance.name: instance.role for instance in [instances.require_primary(), *instances.others]}


def switching_back(dev: Dev) -> Promotion:
    return Promotion(dev.workspace, switch_back(dev.instances()))


def tagged_addresses(dev: Dev) -> dict[str, str]:
    """Return the address that each instance is tagged with."""
    raw_instances = dev.workspace.aws.rds.describe_db_instances()["DBInstances"]
    return {raw["DBInstanceIdentifier"]: from_pairs(raw["TagList"])["orderops:address"] for raw in raw_instances}


def summary(steps: list[Step]) -> list[tuple[object, ...]]:
    return sorted((step.address, str(step.action), sorted(step.changes)) for step in steps)


def test_a_promotion_runs_the_planned_steps(restored: Dev) -> None:
    promotion = restored.promotion()
    planned = promotion.plan()
    assert restored.changes() == []

    done = list(promotion.run())

    assert summary(planned) == summary(done)
    assert [step.address for step in done[:2]] == [f"rds-instance/{RESTORED_INSTANCE}", f"rds-instance/{DATABASE}"]


def test_the_plan_of_a_promotion_shows_both_roles_and_the_restart_of_the_services(restored: Dev) -> None:
    first, second, *others = restored.promotion().plan()

    assert first == Step(f"rds-instance/{RESTORED_INSTANCE}", Action.UPDATE, {"role": ("restored", "primary")})
    assert second == Step(f"rds-instance/{DATABASE}", Action.UPDATE, {"role": ("primary", "former")})
    [service] = [step for step in others if step.address.startswith("ecs-service/")]
    assert (service.changes, service.effect) == ({"Renewed": (False, True)}, Effect.RESTARTS)


def test_a_promotion_changes_nothing_that_does_not_refer_to_the_primary(restored: Dev) -> None:
    sqs = restored.workspace.aws.sqs
    queue = sqs.list_queues()["QueueUrls"][0]
    sqs.set_queue_attributes(QueueUrl=queue, Attributes={"VisibilityTimeout": "7"})

    steps = restored.promote()

    assert not any(step.address.startswith("sqs-queue/") for step in steps)
    assert sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["All"])["Attributes"]["VisibilityTimeout"] == "7"


def test_services_follow_a_promotion_and_up_finds_no_difference(restored: Dev) -> None:
    restored.promote()

    assert roles(restored) == {RESTORED_INSTANCE: "primary", DATABASE: "former"}
    assert restored.pointed_instance() == RESTORED_INSTANCE
    primary = restored.instances().require_primary()
    assert primary.settled
    assert (primary.tag("orderops:before"), primary.tag("orderops:promoted-by"), primary.tag("orderops:settled")) == (
        DATABASE,
        "promote",
        "1",
    )
    assert tagged_addresses(restored) == {
        RESTORED_INSTANCE: f"rds-instance/{DATABASE}",
        DATABASE: f"rds-instance/{DATABASE}-former",
    }
    assert restored.changes(RENEW) == [RENEW]
    assert not restored.has_changes()


def test_a_promotion_reports_which_service_it_waits_for(restored: Dev) -> None:
    waits: list[tuple[str, str]] = []

    steps = list(replace(restored.promotion(), on_wait=lambda *wait: waits.append(wait)).run())

    [service] = [step.address for step in steps if step.address.startswith("ecs-service/")]
    # Without text where it starts and where it ends, however long the tasks of the emulator take between.
    assert [wait for wait in waits if wait[0] == service and not wait[1]][-2:] == [(service, "")] * 2


def test_a_service_of_another_owner_in_the_cluster_is_not_restarted(restored: Dev) -> None:
    ecs = restored.workspace.aws.ecs
    [cluster] = ecs.list_clusters()["clusterArns"]
    [arn] = ecs.list_services(cluster=cluster)["serviceArns"]
    [ours] = ecs.describe_services(cluster=cluster, services=[arn])["services"]
    copied = {key: ours[key] for key in ("taskDefinition", "networkConfiguration", "launchType")}
    ecs.create_service(cluster=cluster, serviceName="reports", desiredCount=0, **copied)

    restarted = [step.address for step in restored.promote() if step.address.startswith("ecs-service/")]

    assert restarted == [f"ecs-service/{ours['serviceName']}"]
    assert restored.changes(RENEW) == [RENEW]


def test_switching_back_restores_the_original_primary(promoted: Dev) -> None:
    list(switching_back(promoted).run())

    assert roles(promoted) == {DATABASE: "primary", RESTORED_INSTANCE: "former"}
    assert promoted.pointed_instance() == DATABASE
    primary = promoted.instances().require_primary()
    assert (primary.tag("orderops:before"), primary.tag("orderops:promoted-by"), primary.tag("orderops:settled")) == (
        RESTORED_INSTANCE,
        "back",
        "2",
    )
    assert promoted.changes(RENEW) == [RENEW]
    assert not promoted.has_changes()


def test_further_restored_instances_are_no_difference(promoted: Dev) -> None:
    promoted.age(RESTORED_INSTANCE)
    for role in ("restored", "rehearsal"):
        promoted.restore("-15m", role=role)

    assert not promoted.has_changes()


# interrupted


@pytest.mark.parametrize("taken", [1, 3, 5], ids=["tagged", "pointer updated", "all but the last"])
def test_a_promotion_interrupted_after_any_step_is_completed_by_a_re_run(restored: Dev, taken: int) -> None:
    list(islice(restored.promotion().run(), taken))

    assert roles(restored) == {RESTORED_INSTANCE: "primary", DATABASE: "former"}
    assert not restored.instances().require_primary().settled
    restored.promote()
    assert restored.instances().require_primary().settled
    assert restored.pointed_instance() == RESTORED_INSTANCE
    assert restored.changes(RENEW) == [RENEW]


def test_a_switch_of_which_only_the_mark_is_missing_is_completed_by_one_step(restored: Dev) -> None:
    interrupted = restored.promotion()
    list(islice(interrupted.run(), len(interrupted.plan())))
    restored.proxy.forget()

    completing = restored.promotion()
    left = [Step(f"rds-instance/{RESTORED_INSTANCE}", Action.UPDATE, {"switch": ("begun", "done")})]
    assert completing.plan() == left
    assert restored.changes() == []
    assert list(completing.run()) == left

    assert restored.changes() == ["rds.AddTagsToResource"]
    assert restored.instances().require_primary().tag("orderops:settled") == "1"
    assert restored.promotion().plan() == []


def test_of_two_instances_tagged_as_the_primary_the_higher_term_counts(restored: Dev) -> None:
    list(islice(restored.promotion().run(), 1))

    assert tagged_addresses(restored) == dict.fromkeys((RESTORED_INSTANCE, DATABASE), f"rds-instance/{DATABASE}")
    assert restored.instances().require_primary().name == RESTORED_INSTANCE


def test_a_re_run_takes_the_address_of_the_primary_from_the_former_one(restored: Dev) -> None:
    list(islice(restored.promotion().run(), 1))

    restored.promote()

    # The tags themselves: what `instances` shows follows from the terms already.
    assert tagged_addresses(restored) == {
        RESTORED_INSTANCE: f"rds-instance/{DATABASE}",
        DATABASE: f"rds-instance/{DATABASE}-former",
    }


def test_up_completes_the_tags_and_pointer_of_an_interrupted_promotion(restored: Dev, orderops: Orderops) -> None:
    list(islice(restored.promotion().run(), 1))

    assert orderops("infra", "apply", "--yes").code == 0

    assert restored.pointed_instance() == RESTORED_INSTANCE
    assert roles(restored)[RESTORED_INSTANCE] == "primary"
    assert restored.promotion().plan() != [], "the old tasks are still running"


def test_an_interrupted_switch_back_is_completed_and_not_reversed(promoted: Dev) -> None:
    list(islice(switching_back(promoted).run(), 1))
    assert roles(promoted)[DATABASE] == "primary"

    repeated = switching_back(promoted)
    assert (repeated.switch.to.name, repeated.switch.decided) == (DATABASE, True)
    list(repeated.run())

    assert roles(promoted) == {DATABASE: "primary", RESTORED_INSTANCE: "former"}
    assert promoted.pointed_instance() == DATABASE


def test_list_shows_the_command_that_completes_an_interrupted_promotion(restored: Dev, orderops: Orderops) -> None:
    list(islice(restored.promotion().run(), 1))

    assert "promotion not finished: orderops restore promote --env dev" in orderops("restore", "list").out
    [primary] = [raw for raw in orderops("restore", "list", "--json").json if raw["role"] == "primary"]
    assert (primary["name"], primary["settled"]) == (RESTORED_INSTANCE, False)


# repeated


@pytest.mark.parametrize("name", [None, RESTORED_INSTANCE], ids=["without its name", "with its name"])
def test_a_repeated_promotion_changes_nothing(promoted: Dev, name: str | None) -> None:
    assert promoted.promote(name) == []
    assert promoted.changes() == []
    assert roles(promoted) == {RESTORED_INSTANCE: "primary", DATABASE: "former"}


def test_a_repeated_switch_back_changes_nothing(promoted: Dev) -> None:
    list(switching_back(promoted).run())
    promoted.proxy.forget()

    assert list(switching_back(promoted).run()) == []
    assert promoted.changes() == []
    assert roles(promoted) == {RESTORED_INSTANCE: "former", DATABASE: "primary"}


def test_an_instance_that_was_switched_back_from_is_promoted_only_by_its_name(promoted: Dev) -> None:
    list(switching_back(promoted).run())

    with pytest.raises(OrderopsError, match="no restored instance that was not the primary before") as refused:
        promoted.promotion()

    assert refused.value.hint == f"orderops restore promote {RESTORED_INSTANCE} --env dev"
    assert promoted.promotion(RESTORED_INSTANCE).switch.to.name == RESTORED_INSTANCE


def test_several_restored_instances_need_a_name(restored: Dev) -> None:
    other = restored.restore("-15m")

    with pytest.raises(UsageError, match="dev has 2 restored instances: name one") as refused:
        restored.promotion()

    assert {line.split()[3] for line in refused.value.hint.splitlines()} == {RESTORED_INSTANCE, other.name}
    restored.promote(other.name)
    assert roles(restored) == {other.name: "primary", DATABASE: "former", RESTORED_INSTANCE: "restored"}


def test_a_second_promotion_can_be_switched_back_by_one(promoted: Dev) -> None:
    promoted.age(RESTORED_INSTANCE)
    other = promoted.restore("-15m")

    promoted.promote(other.name)

    assert roles(promoted) == {other.name: "primary", RESTORED_INSTANCE: "former", DATABASE: "former"}
    assert switch_back(promoted.instances()).to.name == RESTORED_INSTANCE
    assert not promoted.has_changes()


# errors


def error_of(decide: Callable[[], object]) -> OrderopsError:
    with pytest.raises(OrderopsError) as refused:
        decide()
    return refused.value


def test_switching_back_without_a_promotion_is_an_error(restored: Dev) -> None:
    error = error_of(lambda: switch_back(restored.instances()))

    assert error.message == f"{DATABASE} was never promoted, so there is no previous primary to switch back to"


def test_switching_back_to_a_deleted_instance_is_an_error(promoted: Dev, orderops: Orderops) -> None:
    assert orderops("restore", "discard", DATABASE, "--confirm", DATABASE).code == 0
    changed = promoted.changes()

    refused = orderops("restore", "back", "--yes")

    assert refused.code == 1
    assert f"error: {DATABASE}, the primary before {RESTORED_INSTANCE}, does not exist any more" in refused.err
    assert f"DBInstanceIdentifier=='{DATABASE}'" in refused.err
    assert promoted.changes() == changed


def test_promoting_without_a_restored_instance_is_an_error(dev: Dev) -> None:
    error = error_of(dev.promotion)

    assert error.message == "dev has no restored instance to promote"
    assert error.hint == 'restore one: orderops restore --at "-15m" --env dev'


def test_an_incomplete_instance_is_not_promoted(dev: Dev) -> None:
    interrupted = dev.interrupted_restore("-15m")

    error = error_of(lambda: dev.promotion(interrupted.name))

    assert error.message == f"{interrupted.name} is not ready: its restore is not complete"


def test_a_disposable_instance_is_not_promoted(dev: Dev) -> None:
    instance = dev.restore("-15m", role="rehearsal")

    error = error_of(lambda: dev.promotion(instance.name))

    assert error.message == f"{instance.name} was created for a rehearsal and is deleted after it"
    assert error.hint == "restore an instance to keep: orderops restore --at latest --env dev"


def test_an_instance_with_other_settings_is_promoted_only_with_as_it_is(restored: Dev, orderops: Orderops) -> None:
    with restored.proxy.held():
        restored.record(RESTORED_INSTANCE).deletion_protection = True

    refused = orderops("restore", "promote", "--yes")

    assert refused.code == 1
    assert f"error: the settings of {RESTORED_INSTANCE} differ from those of {DATABASE}:" in refused.err
    assert f"DeletionProtection: False on {DATABASE}, True on {RESTORED_INSTANCE}" in " ".join(refused.err.split())
    assert "--as-it-is" in refused.err
    assert restored.proxy.changing == []
    assert orderops("restore", "promote", "--dry-run", "--as-it-is").code == 0


def test_settings_are_not_checked_after_the_tags_have_been_switched(restored: Dev) -> None:
    list(islice(restored.promotion().run(), 1))
    with restored.proxy.held():
        restored.record(RESTORED_INSTANCE).deletion_protection = True

    check_alike(switch(restored.instances(), None))


def test_a_deleted_primary_is_not_recreated_and_a_former_one_can_take_over(promoted: Dev, orderops: Orderops) -> None:
    with promoted.proxy.held():
        promoted.record(RESTORED_INSTANCE).deletion_protection = False
    promoted.workspace.aws.rds.delete_db_instance(DBInstanceIdentifier=RESTORED_INSTANCE, SkipFinalSnapshot=True)
    command = f"orderops restore promote {DATABASE} --env dev"

    for argv in (["infra", "plan"], ["infra", "apply", "--yes"], ["restore", "back", "--yes"]):
        refused = orderops(*argv)
        assert (refused.code, command in refused.err) == (1, True), refused.err
    kept = orderops("restore", "discard", DATABASE, "--confirm", DATABASE)
    assert "may be its only replacement" in kept.err

    promoted.promote(DATABASE)

    assert roles(promoted) == {DATABASE: "primary"}
    assert promoted.pointed_instance() == DATABASE


def test_a_promotion_waits_until_the_listing_shows_the_new_primary(restored: Dev) -> None:
    promotion = restored.promotion()
    restored.proxy.lag = 1.0
    assert restored.instances().require_primary().name == DATABASE

    list(islice(promotion.run(), 1))

    assert restored.instances().require_primary().name == RESTORED_INSTANCE


def test_a_promotion_that_the_listing_does_not_show_in_time_stops_before_the_services_follow(restored: Dev) -> None:
    promotion = restored.promotion()
    restored.proxy.lag = 60.0
    assert restored.instances().require_primary().name == DATABASE

    error = error_of(lambda: list(replace(promotion, limits=QUICK).run()))

    assert error.message == f"{RESTORED_INSTANCE} was tagged as the primary, but AWS does not list it as such yet"
    assert error.hint == "re-run this command to continue"
    assert restored.changes() == ["rds.AddTagsToResource"]
