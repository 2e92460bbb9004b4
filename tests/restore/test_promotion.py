"""One write decides who is the primary; everything follows, once; and whatever cuts it, the same command ends it."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice

import pytest

from orderops.aws.ownership import ADDRESS, from_pairs
from orderops.engine.reconcile import Step
from orderops.errors import OrderopsError, UsageError
from orderops.resources.rds_description import FORMER, PRIMARY, REHEARSAL, RESTORED
from orderops.restore.instances import PREVIOUS_PRIMARY, PROMOTED_BY, SETTLED
from orderops.restore.promotion import Promotion, check_alike, switch, switch_back
from support.command_line import Orderops
from support.recorded_history import COPY, DATABASE, Dev

pytest_plugins = ["support.recorded_history_fixtures"]

RENEW = "ecs.UpdateService"


def roles(dev: Dev) -> dict[str, str]:
    copies = dev.look()
    return {copy.name: copy.role for copy in [copies.require_primary(), *copies.others]}


def turning(dev: Dev) -> Promotion:
    return Promotion(dev.workspace, switch_back(dev.look()))


def told(steps: list[Step]) -> list[tuple[object, ...]]:
    return sorted((step.address, str(step.action), sorted(step.changes)) for step in steps)


def test_the_plan_is_what_is_carried_out(restored: Dev) -> None:
    promotion = restored.promotion()
    planned = promotion.plan()
    assert restored.changes() == []

    done = list(promotion.run())

    assert told(planned) == told(done)
    assert [step.address for step in done[:2]] == [f"rds-instance/{COPY}", f"rds-instance/{DATABASE}"]


def test_everything_follows_it_and_up_sees_no_difference(restored: Dev) -> None:
    restored.promote()

    assert roles(restored) == {COPY: PRIMARY, DATABASE: FORMER}
    assert restored.leads_to() == COPY
    primary = restored.look().require_primary()
    assert primary.settled
    assert (primary.tag(PREVIOUS_PRIMARY), primary.tag(PROMOTED_BY), primary.tag(SETTLED)) == (DATABASE, "promote", "1")
    assert restored.changes(RENEW) == [RENEW]
    assert not restored.differs()


def test_turned_back_everything_is_as_before(promoted: Dev) -> None:
    list(turning(promoted).run())

    assert roles(promoted) == {DATABASE: PRIMARY, COPY: FORMER}
    assert promoted.leads_to() == DATABASE
    primary = promoted.look().require_primary()
    assert (primary.tag(PREVIOUS_PRIMARY), primary.tag(PROMOTED_BY), primary.tag(SETTLED)) == (COPY, "back", "2")
    assert promoted.changes(RENEW) == [RENEW]
    assert not promoted.differs()


def test_further_copies_beside_it_are_no_difference(promoted: Dev) -> None:
    promoted.age(COPY)
    for role in (RESTORED, REHEARSAL):
        promoted.restore("-15m", role=role)

    assert not promoted.differs()


# cut


@pytest.mark.parametrize("taken", [1, 3, 5], ids=["decided", "told", "all but the end"])
def test_cut_after_any_step_there_is_one_primary_and_the_same_command_ends_it(restored: Dev, taken: int) -> None:
    list(islice(restored.promotion().run(), taken))

    assert roles(restored) == {COPY: PRIMARY, DATABASE: FORMER}
    assert not restored.look().require_primary().settled
    restored.promote()
    assert restored.look().require_primary().settled
    assert restored.leads_to() == COPY
    assert restored.changes(RENEW) == [RENEW]


def test_after_the_first_write_both_say_that_they_are_it_and_the_last_one_is(restored: Dev) -> None:
    list(islice(restored.promotion().run(), 1))

    raws = restored.workspace.aws.rds.describe_db_instances()["DBInstances"]
    addresses = [from_pairs(raw["TagList"])[ADDRESS] for raw in raws]
    assert addresses == [f"rds-instance/{DATABASE}"] * 2
    assert restored.look().require_primary().name == COPY


def test_up_ends_a_cut_switch_too(restored: Dev, orderops: Orderops) -> None:
    list(islice(restored.promotion().run(), 1))

    assert orderops("infra", "apply", "--yes").code == 0

    assert restored.leads_to() == COPY
    assert roles(restored)[COPY] == PRIMARY
    assert restored.promotion().plan() != [], "the tasks are still those of before"


def test_a_cut_way_back_goes_on_and_is_not_turned_round(promoted: Dev) -> None:
    list(islice(turning(promoted).run(), 1))
    assert roles(promoted)[DATABASE] == PRIMARY

    again = turning(promoted)
    assert (again.switch.to.name, again.switch.decided) == (DATABASE, True)
    list(again.run())

    assert roles(promoted) == {DATABASE: PRIMARY, COPY: FORMER}
    assert promoted.leads_to() == DATABASE


def test_list_says_which_switch_was_cut_and_the_command_that_ends_it(restored: Dev, orderops: Orderops) -> None:
    list(islice(restored.promotion().run(), 1))

    assert "not everything followed it: orderops restore promote --env dev" in orderops("restore", "list").out
    [primary] = [each for each in orderops("restore", "list", "--json").json if each["role"] == PRIMARY]
    assert (primary["name"], primary["settled"]) == (COPY, False)


# typed twice


@pytest.mark.parametrize("name", [None, COPY], ids=["without its name", "with its name"])
def test_promoting_twice_changes_nothing_and_turns_nothing_back(promoted: Dev, name: str | None) -> None:
    assert promoted.promote(name) == []
    assert promoted.changes() == []
    assert roles(promoted) == {COPY: PRIMARY, DATABASE: FORMER}


def test_turned_back_twice_it_is_turned_back_once(promoted: Dev) -> None:
    list(turning(promoted).run())
    promoted.proxy.forget()

    assert list(turning(promoted).run()) == []
    assert promoted.changes() == []
    assert roles(promoted) == {COPY: FORMER, DATABASE: PRIMARY}


def test_what_was_turned_back_is_promoted_again_only_by_its_name(promoted: Dev) -> None:
    list(turning(promoted).run())

    with pytest.raises(OrderopsError, match="no restored instance that was not primary before") as refused:
        promoted.promotion()

    assert refused.value.hint == f"orderops restore promote {COPY} --env dev"
    assert promoted.promotion(COPY).switch.to.name == COPY


def test_of_several_the_operator_says_which(restored: Dev) -> None:
    other = restored.restore("-15m")

    with pytest.raises(UsageError, match="dev has 2 restored instances: say which") as refused:
        restored.promotion()

    assert {line.split()[3] for line in refused.value.hint.splitlines()} == {COPY, other.name}
    restored.promote(other.name)
    assert roles(restored) == {other.name: PRIMARY, DATABASE: FORMER, COPY: RESTORED}


def test_a_promotion_after_a_promotion_leaves_one_primary_and_leads_back_by_one(promoted: Dev) -> None:
    promoted.age(COPY)
    other = promoted.restore("-15m")

    promoted.promote(other.name)

    assert roles(promoted) == {other.name: PRIMARY, COPY: FORMER, DATABASE: FORMER}
    assert switch_back(promoted.look()).to.name == COPY
    assert not promoted.differs()


# refused


def refused_by(decide: Callable[[], object]) -> OrderopsError:
    with pytest.raises(OrderopsError) as refused:
        decide()
    return refused.value


def test_nothing_was_promoted_so_nothing_is_turned_back(restored: Dev) -> None:
    error = refused_by(lambda: switch_back(restored.look()))

    assert error.message == f"{DATABASE} is the primary and was never promoted, so there is nothing to turn back"


def test_there_is_no_way_back_to_what_is_gone(promoted: Dev, orderops: Orderops) -> None:
    assert orderops("restore", "discard", DATABASE, "--confirm", DATABASE).code == 0
    changed = promoted.changes()

    refused = orderops("restore", "back", "--yes")

    assert refused.code == 1
    assert f"error: {DATABASE}, which was the primary before {COPY}, is gone" in refused.err
    assert f"DBInstanceIdentifier=='{DATABASE}'" in refused.err
    assert promoted.changes() == changed


def test_there_is_nothing_to_promote(dev: Dev) -> None:
    error = refused_by(dev.promotion)

    assert error.message == "dev has no restored instance to promote"
    assert error.hint == 'make one: orderops restore --at "-15m" --env dev'


def test_what_is_not_restored_to_the_end_is_not_promoted(dev: Dev) -> None:
    cut = dev.cut_restore("-15m")

    error = refused_by(lambda: dev.promotion(cut.name))

    assert error.message == f"{cut.name} is not restored to the end"


def test_what_is_made_to_be_thrown_away_is_not_promoted(dev: Dev) -> None:
    copy = dev.restore("-15m", role=REHEARSAL)

    error = refused_by(lambda: dev.promotion(copy.name))

    assert error.message == f"{copy.name} was made for a rehearsal and is thrown away after it"
    assert error.hint == "restore one to keep: orderops restore --at latest --env dev"


def test_what_is_not_set_as_the_primary_is_promoted_only_as_it_is(restored: Dev, orderops: Orderops) -> None:
    with restored.proxy.held():
        restored.instance(COPY).deletion_protection = True

    refused = orderops("restore", "promote", "--yes")

    assert refused.code == 1
    assert f"error: {COPY} is not set as {DATABASE} is:" in refused.err
    assert "DeletionProtection: False there, True here" in refused.err
    assert "--as-it-is" in refused.err
    assert restored.proxy.changing == []
    assert orderops("restore", "promote", "--dry-run", "--as-it-is").code == 0


def test_a_switch_that_is_decided_is_not_refused_for_its_settings(restored: Dev) -> None:
    list(islice(restored.promotion().run(), 1))
    with restored.proxy.held():
        restored.instance(COPY).deletion_protection = True

    check_alike(switch(restored.look(), None))


def test_where_the_primary_is_gone_nothing_new_is_made_and_what_is_left_can_take_over(
    promoted: Dev, orderops: Orderops
) -> None:
    with promoted.proxy.held():
        promoted.instance(COPY).deletion_protection = False
    promoted.workspace.aws.rds.delete_db_instance(DBInstanceIdentifier=COPY, SkipFinalSnapshot=True)
    command = f"orderops restore promote {DATABASE} --env dev"

    for words in (["infra", "plan"], ["infra", "apply", "--yes"], ["restore", "back", "--yes"]):
        refused = orderops(*words)
        assert (refused.code, command in refused.err) == (1, True), refused.err
    kept = orderops("restore", "discard", DATABASE, "--confirm", DATABASE)
    assert "may be what is left of it" in kept.err

    promoted.promote(DATABASE)

    assert roles(promoted) == {DATABASE: PRIMARY}
    assert promoted.leads_to() == DATABASE
