"""orderops alerts fire-drill: the message reaches a receiver, and no alarm stays set, whatever happens."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from orderops.alerts.fire_drill_record import fire_drills
from orderops.aws.client import Aws
from orderops.aws.documents import Bucket
from orderops.errors import OrderopsError
from orderops.infra.alert_rule import Priority
from orderops.infra.workspace import Workspace
from orderops.operations.fire_drill import DrillPatience, end_fire_drills, fire_drill
from orderops.operations.options import ChangeOptions
from support.alarm_data import LOGS, points, put
from support.alarm_receiver import AlarmReceiver, alarm_receiver
from support.faults import PowerCut, let_s3_age
from support.laptop import until
from support.paging_account import aws_at, declared, fill, paging_server

QUICK = DrillPatience(timedelta(seconds=20), pause=0.02)
IMPATIENT = DrillPatience(timedelta(0), timedelta(seconds=20), 0.02)
OUTAGE, ERRORS, BUSY = "orderops-dev-p0-outage", "orderops-dev-p0-errors", "orderops-dev-database-cpu-high"
CHANGES = ("Put", "Set", "Delete", "Create")
YES = ChangeOptions("alerts fire-drill", yes=True, wait=timedelta(0))
DATABASE_AWAY = points("orderops", "BreakerOpen", LOGS, 1, 1)


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with paging_server() as url:
        yield url


@pytest.fixture(scope="module")
def listening() -> Iterator[AlarmReceiver]:
    with alarm_receiver() as receiver:
        yield receiver


@pytest.fixture
def pager(url: str, listening: AlarmReceiver) -> AlarmReceiver:
    """A receiver of P0 that has confirmed its subscription; P1 has one, too, and P2 has none."""
    aws = aws_at(url)
    listening.messages.clear()
    listening.wrong.clear()
    listening.status = 200
    web = ("http", listening.url)
    fill(aws, {Priority.P0: web, Priority.P1: web})
    arns = ["PendingConfirmation"]
    while "PendingConfirmation" in arns:
        until(lambda: True)
        arns = [raw["SubscriptionArn"] for raw in aws.sns.list_subscriptions()["Subscriptions"]]
    return listening


def workspace(url: str) -> Workspace:
    plain = Workspace(declared().environment, aws_at(url))
    return Workspace(declared().environment, plain.aws.guarded(plain.guard), plain.guard)


def drill(url: str, priority: str = "P0", patience: DrillPatience = QUICK) -> None:
    fire_drill(workspace(url), YES, Priority(priority), patience, as_json=False)


def test_a_p0_drill_reaches_its_receiver_with_alarm_and_recovery(
    url: str, pager: AlarmReceiver, capsys: pytest.CaptureFixture[str]
) -> None:
    drill(url)

    assert pager.states == [(OUTAGE, "ALARM"), (OUTAGE, "OK")]
    assert pager.wrong == []
    assert pager.messages[0]["NewStateReason"].startswith("fire drill ")
    assert "this is no incident" in pager.messages[0]["NewStateReason"]
    said = capsys.readouterr()
    assert "http 127.0.0.1" in said.out
    assert "delivered within" in said.out
    # The key of a paging service is in the path of its URL.
    assert "0000" not in said.out + said.err


def test_a_drill_is_on_record_with_the_time_of_each_end(url: str, pager: AlarmReceiver) -> None:
    drill(url)

    bucket = Bucket(aws_at(url))
    (found,) = fire_drills(bucket, "dev").drills
    (end,) = found.ends
    assert (found.priority, found.alarm, found.passed) == ("P0", OUTAGE, True)
    assert end.accepted_seconds is not None
    assert end.delivered_seconds is not None
    assert 0 <= end.accepted_seconds < 20
    (run,) = workspace(url).runs.history(last=5)
    assert (run["outcome"], run["steps"][-1]["action"]) == ("done", "drilled")


def test_a_drill_of_p1_sets_a_metric_alarm(url: str, pager: AlarmReceiver) -> None:
    drill(url, "P1")

    assert [state for _, state in pager.states][:1] == ["ALARM"]
    assert {name for name, _ in pager.states} == {BUSY}
    assert "ALARM" not in states(url).values()


def test_a_receiver_that_refuses_fails_the_drill(url: str, pager: AlarmReceiver) -> None:
    pager.status = 500

    with pytest.raises(OrderopsError, match="did not reach http"):
        drill(url)

    assert "ALARM" not in states(url).values()


def test_a_receiver_that_has_not_confirmed_fails_the_drill(url: str, pager: AlarmReceiver) -> None:
    aws = aws_at(url)
    topic = next(raw["TopicArn"] for raw in aws.sns.list_topics()["Topics"] if raw["TopicArn"].endswith("-p0"))
    aws.sns.subscribe(TopicArn=topic, Protocol="email", Endpoint="oncall@example.com")

    with pytest.raises(OrderopsError, match=r"did not reach email oncall@example\.com for certain"):
        drill(url)


@pytest.mark.parametrize(
    ("priority", "message"),
    [("P2", "P2 has no confirmed receiver in dev"), ("P0", "a drill would hide the outage")],
)
def test_a_drill_that_proves_nothing_or_hides_an_outage_is_refused(
    url: str, pager: AlarmReceiver, priority: str, message: str
) -> None:
    if priority == "P0":
        put(aws_at(url).cloudwatch, DATABASE_AWAY)

    with pytest.raises(OrderopsError, match=message):
        drill(url, priority)

    assert "drilled" not in str(list(workspace(url).runs.history(last=5)))


def test_a_dry_run_names_the_receivers_and_sets_nothing(
    url: str, pager: AlarmReceiver, capsys: pytest.CaptureFixture[str]
) -> None:
    fire_drill(workspace(url), ChangeOptions(dry_run=True), Priority.P0, QUICK, as_json=False)

    assert f"sets {OUTAGE}, which notifies http 127.0.0.1" in capsys.readouterr().err
    assert pager.states == []


def test_an_outage_during_a_drill_pages_when_the_drill_ends(
    url: str, pager: AlarmReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    def outage(*_: Any) -> Any:
        put(aws_at(url).cloudwatch, DATABASE_AWAY)
        raise PowerCut

    with monkeypatch.context() as patch:
        patch.setattr("orderops.operations.fire_drill.acceptance", outage)
        with pytest.raises(PowerCut):
            drill(url)

    until(lambda: len(pager.states) == 3)
    assert pager.states == [(OUTAGE, "ALARM"), (OUTAGE, "OK"), (OUTAGE, "ALARM")]
    assert states(url)[OUTAGE] == "ALARM"


@pytest.mark.parametrize(
    ("at", "when", "calls_of_a_drill"),
    # Killed at a read, or after a change took effect, it leaves what it leaves before the next change.
    [("changes", [False], 8), pytest.param("all", [False, True], 15, marks=pytest.mark.slow)],
)
def test_a_drill_killed_at_any_call_leaves_no_alarm_that_would_not_page(
    url: str, pager: AlarmReceiver, at: str, when: list[bool], calls_of_a_drill: int
) -> None:
    reached = 0
    for calls in range(100):
        for late in when:
            if not _killed(url, calls, at, late=late):
                break
            reached = calls
            let_s3_age(60)
            end_fire_drills(workspace(url), YES)
            left = {name: state for name, state in states(url).items() if state == "ALARM"}
            assert (calls, late, left) == (calls, late, {})
            assert fire_drills(Bucket(aws_at(url)), "dev").unfinished == []
        else:
            continue
        break
    assert reached >= calls_of_a_drill

    pager.messages.clear()
    put(aws_at(url).cloudwatch, DATABASE_AWAY)
    states(url)
    # The message that the last drill has ended may still arrive.
    until(lambda: (OUTAGE, "ALARM") in pager.states)
    assert [state for state in pager.states if state[1] == "ALARM"] == [(OUTAGE, "ALARM")]


def test_the_next_drill_sets_an_unfinished_one_back(url: str, pager: AlarmReceiver) -> None:
    # Killed when the history is read: the alarm is set.
    aws = killed_at(url, "DescribeAlarmHistory")
    with pytest.raises(PowerCut):
        fire_drill(_with(aws), YES, Priority.P0, QUICK, as_json=False)
    assert states(url)[OUTAGE] == "ALARM"
    let_s3_age(60)

    drill(url)

    assert states(url)[OUTAGE] == "OK"
    assert [drill.ended is None for drill in fire_drills(Bucket(aws_at(url)), "dev").drills] == [False, False]


def test_an_alarm_set_by_hand_is_set_back(url: str, pager: AlarmReceiver) -> None:
    aws_at(url).cloudwatch.set_alarm_state(AlarmName=ERRORS, StateValue="ALARM", StateReason="a test by hand")

    end_fire_drills(workspace(url), YES)

    assert states(url)[ERRORS] == "OK"


def states(url: str) -> dict[str, str]:
    answer = aws_at(url).cloudwatch.describe_alarms(AlarmTypes=["MetricAlarm", "CompositeAlarm"])
    return {raw["AlarmName"]: raw["StateValue"] for kind in ("MetricAlarms", "CompositeAlarms") for raw in answer[kind]}


def _killed(url: str, calls: int, at: str, *, late: bool) -> bool:
    """Run a drill that dies at a call, before or after it takes effect; whether it came that far."""
    seen = iter(range(10**6))

    def die(model: Any, **_: Any) -> None:
        if (at == "all" or model.name.startswith(CHANGES)) and next(seen) >= calls:
            raise PowerCut

    try:
        fire_drill(
            _with(_dying(url, "after-call" if late else "before-call", die)), YES, Priority.P0, IMPATIENT, as_json=False
        )
    except PowerCut:
        return True
    except OrderopsError:
        # It did not wait for the deliveries.
        return False
    return False


def killed_at(url: str, operation: str) -> Aws:
    """AWS that is gone from the first call of this operation on."""
    seen: list[str] = []

    def die(model: Any, **_: Any) -> None:
        seen.append(model.name)
        if operation in seen:
            raise PowerCut

    return _dying(url, "before-call", die)


def _dying(url: str, event: str, die: Any) -> Aws:
    import boto3

    session = boto3.Session("testing", "testing", region_name="ap-southeast-2")
    session.events.register(event, die)
    return Aws("ap-southeast-2", endpoint_url=url, session=session)


def _with(aws: Aws) -> Workspace:
    plain = Workspace(declared().environment, aws)
    return Workspace(declared().environment, aws.guarded(plain.guard), plain.guard)
