"""Runs: one at a time, each on record."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from orderops.aws.client import Aws
from orderops.engine.resource import UNKNOWN
from orderops.engine.step import Action, Step
from orderops.errors import OrderopsError
from orderops.local.emulator.protocol import ApiError
from orderops.operations.guarded import check_covered
from orderops.runs.change_guard import ChangeGuard
from support.command_line import Orderops
from support.faulty_proxy import Fate, Proxy, from_change
from support.killable_process import Victim
from support.repository import ENVIRONMENTS

WORDS = ("--env", "dev", "--environments", str(ENVIRONMENTS))
APPLY = ("infra", "apply", *WORDS, "--yes")


@pytest.fixture
def orderops(capsys: pytest.CaptureFixture[str], proxy: Proxy) -> Orderops:
    return Orderops(capsys, *WORDS)


@pytest.fixture
def holder(proxy: Proxy) -> Iterator[Victim]:
    """A holder that was killed, or suspended, in the middle of an apply."""
    with proxy.held():
        victim = Victim(*APPLY)
        proxy.rule = from_change(20, Fate.UNDONE, then=victim.kill)
    victim.ended()
    proxy.settle()
    proxy.forget()
    yield victim


def test_read_only_commands_take_no_lease_and_leave_no_record(orderops: Orderops, proxy: Proxy) -> None:
    for words in (
        ["infra", "plan"],
        ["up", "--dry-run", "--image", "example.com/app:1"],
        ["status"],
        ["down", "--yes"],
    ):
        orderops(*words)

    assert orderops("history").err == "no run has changed dev yet\n"
    assert proxy.changing == []


@pytest.mark.slow
def test_history_shows_operator_command_time_and_outcome(orderops: Orderops, proxy: Proxy) -> None:
    assert orderops("infra", "apply", "--yes").code == 0
    assert orderops("infra", "apply", "--yes").code == 0
    assert orderops("infra", "destroy", "--yes").code == 0

    runs = orderops("history", "--json").json

    assert [run["command"] for run in runs] == ["infra destroy --env dev", "infra apply --env dev"]
    first = runs[1]
    assert first["who"] == "arn:aws:sts::123456789012:user/moto"
    assert first["outcome"] == "done"
    assert first["started"] < first["ended"]
    made = {step["address"] for step in first["steps"] if step["action"] == "create"}
    assert {"ec2-vpc/orderops-dev-vpc", "rds-instance/orderops-dev-database"} <= made
    assert {step["action"] for step in runs[0]["steps"]} == {"delete"}
    lines = orderops("history").out.splitlines()
    assert "done" in lines[0]
    assert lines[0].endswith("infra destroy --env dev")
    assert max(map(len, lines)) <= 110
    assert len(orderops("history", "--last", "1").out.splitlines()) == 2


@pytest.mark.slow
def test_history_shows_a_killed_run_as_killed(orderops: Orderops, proxy: Proxy, holder: Victim) -> None:
    assert orderops("history", "--json").json[0]["outcome"] == "running"
    proxy.later(60)

    killed = orderops("history", "--json").json[0]

    assert killed["outcome"] == "killed"
    assert "ended" not in killed
    assert orderops("infra", "apply", "--yes").code == 0
    assert [run["outcome"] for run in orderops("history", "--json").json] == ["done", "killed"]


@pytest.mark.slow
def test_history_shows_a_failed_run_with_its_error(orderops: Orderops, proxy: Proxy) -> None:
    refusal = ApiError("KmsAccessDenied", "The caller may not use the key.")
    proxy.rule = lambda request: refusal if str(request) == "sqs.CreateQueue" else None
    assert orderops("infra", "apply", "--yes").code == 1
    proxy.forget()

    failed = orderops("history", "--json").json[0]

    assert failed["outcome"] == "failed"
    assert "sqs-queue/orderops-dev-order-processor" in failed["error"]
    assert len(failed["steps"]) > 10


@pytest.mark.slow
def test_another_run_is_named_and_nothing_is_changed_meanwhile(
    orderops: Orderops, proxy: Proxy, holder: Victim
) -> None:
    result = orderops("infra", "apply", "--yes", "--wait", "0")

    assert result.code == 1
    assert "error: dev is held by arn:aws:sts::123456789012:user/moto on " in result.err
    assert "`infra apply --env dev`, last seen " in result.err
    assert "hint: wait longer: --wait 15m" in result.err
    assert proxy.changing == []


@pytest.mark.slow
def test_concurrent_runs_and_one_after_a_killed_run_all_succeed(orderops: Orderops, proxy: Proxy) -> None:
    with proxy.held():
        first = Victim(*APPLY)
        proxy.rule = from_change(25, None, then=first.kill)
    first.ended()
    second, third = Victim(*APPLY), Victim(*APPLY)
    assert second.says("dev is held by")
    assert third.says("dev is held by")
    proxy.later(60)

    assert [second.ended(), third.ended()] == [0, 0], second.said + third.said
    assert "unlock" not in second.said + third.said
    proxy.forget()
    assert "is up to date" in orderops("infra", "apply", "--yes").err
    assert proxy.changing == []


def test_a_change_outside_of_a_run_is_an_error(aws: Aws) -> None:
    gate = ChangeGuard()
    guarded = aws.guarded(gate)

    with pytest.raises(RuntimeError, match="outside of a run"):
        guarded.sqs.create_queue(QueueName="orders")
    with gate.allowing(lambda: None):
        guarded.sqs.create_queue(QueueName="orders")
    with pytest.raises(RuntimeError):
        guarded.sqs.delete_queue(QueueUrl="orders")


A, B = "sqs-queue/a", "sqs-queue/b"
SLOWER = {"VisibilityTimeout": (30, 45)}


@pytest.mark.parametrize(
    ("agreed", "now"),
    [
        pytest.param([Step(A, Action.CREATE)], [Step(A, Action.NO_OP)], id="made by somebody else"),
        pytest.param([Step(A, Action.CREATE)], [Step(A, Action.UPDATE, SLOWER)], id="half made"),
        pytest.param([Step(A, Action.UPDATE, SLOWER)], [Step(A, Action.UPDATE, SLOWER)], id="the same"),
        pytest.param(
            [Step(A, Action.UPDATE, {"VisibilityTimeout": (30, UNKNOWN)})],
            [Step(A, Action.UPDATE, SLOWER)],
            id="what was not known yet",
        ),
        pytest.param([Step(A, Action.DELETE, note="1")], [Step(A, Action.DELETE, note="1")], id="still to go"),
        pytest.param([Step(A, Action.DELETE, note="1")], [Step(A, Action.KEEP, note="holds")], id="kept after all"),
    ],
)
def test_steps_within_the_confirmed_plan_are_allowed(agreed: list[Step], now: list[Step]) -> None:
    check_covered(agreed, now)


@pytest.mark.parametrize(
    ("agreed", "now"),
    [
        pytest.param([], [Step(A, Action.CREATE)], id="one more"),
        pytest.param([Step(A, Action.NO_OP)], [Step(A, Action.UPDATE, SLOWER)], id="was as declared"),
        pytest.param(
            [Step(A, Action.UPDATE, SLOWER)],
            [Step(A, Action.UPDATE, {**SLOWER, "MaximumMessageSize": (1, 2)})],
            id="another property",
        ),
        pytest.param(
            [Step(A, Action.UPDATE, SLOWER)],
            [Step(A, Action.UPDATE, {"VisibilityTimeout": (30, 60)})],
            id="another value",
        ),
        pytest.param([Step(A, Action.UPDATE, SLOWER)], [Step(A, Action.CREATE)], id="gone"),
        pytest.param([Step(A, Action.DELETE, note="1")], [Step(A, Action.DELETE, note="2")], id="another thing"),
        pytest.param([Step(B, Action.DELETE, note="1")], [Step(A, Action.DELETE, note="1")], id="another address"),
    ],
)
def test_steps_beyond_the_confirmed_plan_are_an_error(agreed: list[Step], now: list[Step]) -> None:
    with pytest.raises(OrderopsError, match=f"{A} changed while you decided; nothing was changed"):
        check_covered(agreed, now)
