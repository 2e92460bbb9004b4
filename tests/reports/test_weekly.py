"""The weekly report says what the account shows, and nothing where it shows nothing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest

from orderops.alerts.fire_drill_record import EndReached, FireDrill
from orderops.alerts.fire_drill_record import save as save_fire_drill
from orderops.aws.client import Aws
from orderops.aws.documents import Bucket
from orderops.config.environment import load_environment
from orderops.infra.workspace import Workspace
from orderops.reports.line import LineVerdict
from orderops.reports.weekly import weekly_report
from orderops.restore.drill_record import Drill, save_drill
from orderops.ui.report_markdown import report_markdown
from support.banded_account import add_bands, banded
from support.command_line import Orderops
from support.faulty_proxy import Proxy
from support.repository import ENVIRONMENTS

pytest_plugins = ["support.dev_accounts"]

NOW = datetime.now(UTC).replace(microsecond=0)
BEFORE, NOW_ISH = NOW - timedelta(days=10), NOW - timedelta(days=2)
LOGS = ("AWS/Logs", "IncomingBytes", {"LogGroupName": "/orderops/dev/order-processor"})
CPU = ("AWS/RDS", "CPUUtilization", {"DBInstanceIdentifier": "orderops-dev-database"})
FREE = ("AWS/RDS", "FreeStorageSpace", {"DBInstanceIdentifier": "orderops-dev-database"})
Metric = tuple[str, str, dict[str, str]]


@pytest.fixture
def aws(account: Proxy, dev_infra: bytes) -> Aws:
    account.bring_back(dev_infra)
    session = boto3.Session("testing", "testing", region_name="ap-southeast-2")
    return Aws("ap-southeast-2", endpoint_url=account.url, session=session)


def lines(aws: Aws) -> dict[str, tuple[str, str]]:
    """Fact and verdict of each subject."""
    report = weekly_report(Workspace(load_environment("dev", ENVIRONMENTS), aws), NOW)
    return {line.subject: (line.fact, str(line.verdict)) for line in report.lines}


def put(aws: Aws, metric: Metric, value: float, time: datetime) -> None:
    namespace, name, dimensions = metric
    pairs = [{"Name": key, "Value": text} for key, text in dimensions.items()]
    datum = {"MetricName": name, "Dimensions": pairs, "Value": value, "Timestamp": time}
    aws.cloudwatch.put_metric_data(Namespace=namespace, MetricData=[datum])


def test_an_account_without_data_has_no_verdict_on_trends_and_no_drill(aws: Aws) -> None:
    found = lines(aws)

    for subject in ("log volume", "p95 of the response time", "CPU of the database", "free storage of the database"):
        assert found[subject] == ("no data", "no data"), subject
    assert found["last restore drill"] == ("never", "look")
    assert found["last fire drill"] == ("never", "look")
    assert found["configuration drift"] == ("none", "fine")
    assert found["releases"] == ("none", "fine")
    assert found["migrations"] == ("none", "fine")


def test_the_report_says_how_many_bands_are_learned(aws: Aws) -> None:
    assert "bands of usual values" not in lines(aws)

    add_bands(aws)

    report = weekly_report(Workspace(banded(), aws), NOW)
    found = {line.subject: (line.fact, str(line.verdict)) for line in report.lines}
    assert found["bands of usual values"] == ("0 of 2 learned", "fine")


def test_the_report_points_out_bands_that_are_declared_and_absent(aws: Aws) -> None:
    report = weekly_report(Workspace(banded(), aws), NOW)

    found = {line.subject: (line.fact, str(line.verdict)) for line in report.lines}
    assert found["bands of usual values"] == ("none", "look")


@pytest.mark.parametrize(
    ("metric", "before", "now", "fact", "verdict"),
    [
        (LOGS, 200e6, 310e6, "310 MB, 200 MB the week before", "look"),
        (LOGS, 200e6, 290e6, "290 MB, 200 MB the week before", "fine"),
        (LOGS, 1e6, 90e6, "90 MB, 1 MB the week before", "fine"),
        (LOGS, None, 90e6, "90 MB, no data of the week before", "fine"),
        (CPU, 40, 61, "61 %, 40 % the week before", "look"),
        (CPU, 10, 39, "39 %, 10 % the week before", "fine"),
        (FREE, 20e9, 15e9, "15.0 GB, 5.0 GB less than the week before: full in 3 weeks", "look"),
        (FREE, 20e9, 19e9, "19.0 GB, 1.0 GB less than the week before: full in 19 weeks", "fine"),
        (FREE, 15e9, 20e9, "20.0 GB, 15.0 GB the week before", "fine"),
    ],
)
def test_this_week_is_compared_with_the_week_before(
    aws: Aws, metric: Metric, before: float | None, now: float, fact: str, verdict: str
) -> None:
    if before is not None:
        put(aws, metric, before, BEFORE)
    put(aws, metric, now, NOW_ISH)
    subject = {
        LOGS[0]: "log volume",
        CPU[1]: "CPU of the database",
        FREE[1]: "free storage of the database",
    }

    assert lines(aws)[subject.get(metric[0]) or subject[metric[1]]] == (fact, verdict)


def test_a_setting_changed_by_hand_is_drift(aws: Aws, account: Proxy) -> None:
    # Not through orderops, whose calls are told apart by their user agent.
    session = boto3.Session("testing", "testing", region_name="ap-southeast-2")
    sqs = session.client("sqs", endpoint_url=account.url)
    url = sqs.get_queue_url(QueueName="orderops-dev-order-processor-dlq")["QueueUrl"]
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"MessageRetentionPeriod": "60"})

    assert lines(aws)["configuration drift"] == (
        "1 resource unlike the file: sqs-queue/orderops-dev-order-processor-dlq (MessageRetentionPeriod)",
        "look",
    )


@pytest.mark.parametrize(("days", "verdict"), [(80, "fine"), (100, "look")])
def test_drills_are_to_be_repeated_each_quarter(aws: Aws, days: int, verdict: str) -> None:
    began = NOW - timedelta(days=days)
    save_drill(Bucket(aws), "dev", Drill(began, began, timedelta(minutes=12), timedelta(), "a", "mira", 1, 1))
    times = (began.isoformat(), began.isoformat())
    end = EndReached("t", "sms +61", True, 1.0, 2.0)
    save_fire_drill(Bucket(aws), "dev", FireDrill("a", "P0", "x", True, times[0], "mira", times[1], (end,)))

    found = lines(aws)

    assert found["last restore drill"] == (f"{days} days ago, recovered in 12 min", verdict)
    assert found["last fire drill"] == (f"P0, {days} days ago, reached every receiver", verdict)


def test_alarms_raised_are_counted_without_those_of_drills(aws: Aws) -> None:
    name = "orderops-dev-order-processor-cpu"
    for reason in ("busy", "fire drill abc by mira: the route of P2 is tested, this is no incident"):
        for state in ("OK", "ALARM"):
            aws.cloudwatch.set_alarm_state(AlarmName=name, StateValue=state, StateReason=reason)

    assert lines(aws)["alarms raised"] == ("order-processor-cpu (1 time)", "look")


def test_the_runs_of_the_week_are_told_from_older_ones(aws: Aws) -> None:
    started = {1: "service deploy", 2: "service deploy --image x:1", 3: "migrate apply", 9: "service deploy"}
    for days, command in started.items():
        time = (NOW - timedelta(days=days)).strftime("%Y-%m-%dT%H:%M:%S.000Z")
        run = {
            "run": f"r{days}",
            "command": f"{command} --env dev",
            "who": "mira",
            "host": "h",
            "started": time,
            "ended": time,
            "outcome": "failed" if days == 2 else "done",
            "steps": [{"migration": "V1", "action": "apply"}] if command == "migrate apply" else [],
        }
        Bucket(aws).put(f"dev/runs/{time.replace(':', '')}-r{days}.json", run)

    found = lines(aws)

    assert found["releases"] == ("2, 1 failed run", "look")
    assert found["migrations"] == ("1", "fine")
    assert found["runs that failed or were interrupted"] == ("service deploy --image x:1 failed (1)", "look")


def test_the_report_is_a_table_of_markdown_with_what_needs_a_look_first(aws: Aws) -> None:
    report = weekly_report(Workspace(load_environment("dev", ENVIRONMENTS), aws), NOW).to_dict()
    report["lines"][0] |= {"fact": "a | b\n<img>", "verdict": LineVerdict.LOOK}

    table = [line for line in report_markdown(report) if line.startswith("| ")][2:]

    assert table[0] == (r"| look | configuration drift | a \| b \<img\> | `orderops infra drift --env dev` |")
    verdicts = [line.split(" | ")[0] for line in table]
    assert verdicts == sorted(verdicts, key=["| look", "| no data", "| fine"].index)


def test_the_command_writes_a_file_and_json(
    aws: Aws, account: Proxy, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", account.url)
    orderops = Orderops(capsys, "--env", "dev", "--environments", str(ENVIRONMENTS))
    file = tmp_path / "week.md"

    assert orderops("report", "weekly", "--out", str(file)).code == 0
    assert file.read_text().startswith("# Week of dev, ")
    said = orderops("report", "weekly", "--json")

    assert set(said.json) == {"environment", "since", "until", "lines"}
    assert set(said.json["lines"][0]) == {"subject", "fact", "verdict", "next"}
