"""The last changes of a resource, from events in the form of the CloudTrail user guide."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from orderops.aws.client import Aws
from orderops.errors import AwsError, Meaning
from orderops.trail.event import read_event
from orderops.trail.lookup import Trail, TrailState
from orderops.trail.subject import TrailSubject

NOW = datetime(2026, 11, 29, 3, 0, tzinfo=UTC)
ALICE = {
    "type": "IAMUser",
    "principalId": "AIDACKCEVSQ6C2EXAMPLE",
    "arn": "arn:aws:iam::123456789012:user/Alice",
    "accountId": "123456789012",
    "userName": "Alice",
}
PIPELINE = {
    "type": "AssumedRole",
    "arn": "arn:aws:sts::123456789012:assumed-role/deploy/run-17",
    "sessionContext": {"sessionIssuer": {"type": "Role", "userName": "deploy"}},
}
QUEUE = TrailSubject(
    "sqs-queue",
    ("https://sqs.ap-southeast-2.amazonaws.com/123456789012/orders", "arn:aws:sqs:ap-southeast-2:123456789012:orders"),
    frozenset({"VisibilityTimeout"}),
)
DATABASE = TrailSubject("rds-instance", ("orders-database",), frozenset({"BackupRetentionPeriod"}))
GROUP = TrailSubject("ec2-security-group", ("sg-1",), frozenset({"Ingress"}))


def event(
    name: str,
    source: str,
    parameters: Any,
    *,
    minutes_ago: float = 60,
    resource: str = "",
    identity: Mapping[str, Any] = ALICE,
    agent: str = "aws-cli/2.13.5 Python/3.11.4 Linux/4.14.255 exe/x86_64",
    **more: Any,
) -> dict[str, Any]:
    """An event of LookupEvents: what is listed outside, and the record as text."""
    at = NOW - timedelta(minutes=minutes_ago)
    record = {
        "eventVersion": "1.09",
        "userIdentity": identity,
        "eventTime": f"{at:%Y-%m-%dT%H:%M:%SZ}",
        "eventSource": f"{source}.amazonaws.com",
        "eventName": name,
        "awsRegion": "ap-southeast-2",
        "sourceIPAddress": "203.0.113.7",
        "userAgent": agent,
        "requestParameters": parameters,
        "readOnly": False,
        "eventType": "AwsApiCall",
        "managementEvent": True,
        **more,
    }
    return {
        "EventId": f"{name}-{minutes_ago}",
        "EventName": name,
        "ReadOnly": str(record["readOnly"]).lower(),
        "EventTime": at,
        "EventSource": record["eventSource"],
        "Username": identity.get("userName", "run-17"),
        "Resources": [{"ResourceName": resource}] if resource else [],
        "CloudTrailEvent": json.dumps(record),
    }


@dataclass
class FakeTrail(Aws):
    """AWS that answers LookupEvents from these events, newest first, in pages of 50."""

    events: Sequence[Mapping[str, Any]]
    region: str = "ap-southeast-2"
    calls: list[str] = field(default_factory=list)
    error: AwsError | None = None

    @property
    def partition(self) -> str:
        return "aws"

    def in_region(self, region: str) -> Aws:
        return FakeTrail(self.events, region, self.calls)

    def send(self, service: str, operation: str, params: Mapping[str, Any], *, pages: bool = False) -> Any:
        assert (service, operation) == ("cloudtrail", "lookup_events")
        (wanted,) = params["LookupAttributes"]
        key, value = wanted["AttributeKey"], wanted["AttributeValue"]
        self.calls.append(f"{self.region} {key}={value}")
        if self.error:
            raise self.error
        found = sorted(
            (
                event
                for event in self.events
                if (key == "EventName" and event["EventName"] == value)
                or (key == "ResourceName" and value in [resource["ResourceName"] for resource in event["Resources"]])
            ),
            key=lambda event: event["EventTime"],
            reverse=True,
        )
        start = int(params.get("NextToken", 0))
        more = {"NextToken": str(start + 50)} if len(found) > start + 50 else {}
        return {"Events": found[start : start + 50], **more}


def trail_of(*events: Mapping[str, Any], **options: Any) -> Trail:
    return Trail(FakeTrail(events), now=lambda: NOW, sleep=lambda _: None, **options)


def calls_of(trail: Trail) -> list[str]:
    assert isinstance(trail.aws, FakeTrail)
    return trail.aws.calls


def test_a_change_names_time_user_tool_and_event() -> None:
    trail = trail_of(
        event("SetQueueAttributes", "sqs", {"queueUrl": QUEUE.names[0], "attributes": {"VisibilityTimeout": "99"}})
    )

    answer = trail.last_changes(QUEUE)

    assert answer.state is TrailState.FOUND
    assert answer.words == "Alice (aws-cli), SetQueueAttributes at 2026-11-29 02:00Z"


def test_a_session_of_a_role_is_named_with_its_role() -> None:
    changed = event("ModifyDBInstance", "rds", {"dBInstanceIdentifier": "orders-database", "backupRetentionPeriod": 3})
    changed["CloudTrailEvent"] = changed["CloudTrailEvent"].replace(json.dumps(ALICE), json.dumps(PIPELINE))

    last = trail_of(changed).last_changes(DATABASE).last

    assert last and last.who == "run-17, role deploy"


def test_the_newest_change_of_this_property_and_not_of_another_is_named() -> None:
    def modified(minutes_ago: float, **parameters: Any) -> dict[str, Any]:
        given = {"dBInstanceIdentifier": "orders-database", **parameters}
        return event("ModifyDBInstance", "rds", given, minutes_ago=minutes_ago, resource="orders-database")

    trail = trail_of(
        modified(10, multiAZ=True),
        modified(20, backupRetentionPeriod=3),
        modified(30, backupRetentionPeriod=5),
    )

    assert [change.event_id for change in trail.last_changes(DATABASE).changes] == [
        "ModifyDBInstance-20",
        "ModifyDBInstance-30",
    ]


@pytest.mark.parametrize(
    "other",
    {
        "another queue": {"parameters": {"queueUrl": "https://sqs.x/123456789012/other", "attributes": {}}},
        "a failed call": {"errorCode": "AccessDenied"},
        "a read": {"readOnly": True},
        "scaling by AWS": {"identity": {**ALICE, "invokedBy": "ecs.application-autoscaling.amazonaws.com"}},
    }.items(),
    ids=lambda case: case[0],
)
def test_what_changed_nothing_of_the_resource_is_passed_over(other: tuple[str, dict[str, Any]]) -> None:
    parameters = {"queueUrl": QUEUE.names[0], "attributes": {"VisibilityTimeout": "99"}}
    trail = trail_of(event("SetQueueAttributes", "sqs", **{"parameters": parameters, **other[1]}))

    assert trail.last_changes(QUEUE).state is TrailState.NOT_YET


def test_a_group_named_inside_the_rule_of_another_group_is_not_the_changed_one() -> None:
    rule = {"ipProtocol": "tcp", "fromPort": 80, "groups": {"items": [{"groupId": "sg-1"}]}}
    parameters = {"groupId": "sg-2", "ipPermissions": {"items": [rule]}}

    trail = trail_of(event("AuthorizeSecurityGroupIngress", "ec2", parameters))

    assert trail.last_changes(GROUP).state is TrailState.NOT_YET


@pytest.mark.parametrize(
    "subject, name, source, parameters",
    [
        (
            TrailSubject("ec2-subnet", ("subnet-1",), frozenset({"Tags"})),
            "DeleteTags",
            "ec2",
            {"resourcesSet": {"items": [{"resourceId": "subnet-1"}]}, "tagSet": {"items": [{"key": "Name"}]}},
        ),
        (
            TrailSubject("logs-group", ("/orderops/dev/flow-log",), gone=True),
            "DeleteLogGroup",
            "logs",
            {"logGroupName": "/orderops/dev/flow-log"},
        ),
        (
            TrailSubject("ecs-service", ("arn:aws:ecs:r:1:service/dev/api", "api"), frozenset({"desiredCount"})),
            "UpdateService",
            "ecs",
            {"service": "api", "cluster": "dev", "desiredCount": 4},
        ),
        (
            TrailSubject("cloudwatch-alarm", ("orders-cpu",), frozenset({"Threshold"})),
            "PutMetricAlarm",
            "monitoring",
            {"alarmName": "orders-cpu", "threshold": 12.0},
        ),
    ],
    ids=lambda value: value if isinstance(value, str) and value[0].isupper() else "",
)
def test_the_parameters_of_each_service_name_the_resource(
    subject: TrailSubject, name: str, source: str, parameters: dict[str, Any]
) -> None:
    last = trail_of(event(name, source, parameters)).last_changes(subject).last

    assert last and last.event == name


def test_a_deleted_rule_is_found_by_its_listener_and_is_not_certain() -> None:
    listener = "arn:aws:elasticloadbalancing:ap-southeast-2:123456789012:listener-rule/app/dev/1/2/"
    rule = TrailSubject("elbv2-rule", (), gone=True, parents=(listener,))

    answer = trail_of(event("DeleteRule", "elasticloadbalancing", {"ruleArn": f"{listener}3"})).last_changes(rule)

    assert answer.words.startswith("perhaps Alice")


def test_changes_of_a_role_are_looked_up_in_the_home_region_of_iam() -> None:
    trail = trail_of(event("PutRolePolicy", "iam", {"roleName": "orders", "policyName": "x"}))

    assert trail.last_changes(TrailSubject("iam-role", ("orders",), frozenset({"InlinePolicies"}))).last
    assert {call.split()[0] for call in calls_of(trail)} == {"us-east-1"}


def test_one_name_of_a_call_is_looked_up_once_for_all_resources() -> None:
    trail = trail_of()

    for number in range(3):
        trail.last_changes(TrailSubject("cloudwatch-alarm", (f"alarm-{number}",), frozenset({"Threshold"})))

    assert calls_of(trail) == ["ap-southeast-2 EventName=PutMetricAlarm"]


def test_no_event_within_the_delay_of_cloudtrail_is_not_yet_an_answer() -> None:
    recent, old = NOW - timedelta(minutes=14), NOW - timedelta(minutes=16)

    assert trail_of().last_changes(QUEUE).state is TrailState.NOT_YET
    assert trail_of().last_changes(QUEUE, since=recent).state is TrailState.NOT_YET
    assert trail_of().last_changes(QUEUE, since=old).state is TrailState.NONE


def test_more_resources_than_one_command_looks_up_are_said() -> None:
    trail = trail_of(lookups=1)

    assert trail.last_changes(QUEUE).state is TrailState.NOT_YET
    assert trail.last_changes(DATABASE).state is TrailState.MORE


def test_more_events_than_one_command_reads_are_said() -> None:
    others = [
        event("SetQueueAttributes", "sqs", {"queueUrl": "https://x/other"}, minutes_ago=number) for number in range(150)
    ]

    assert trail_of(*others).last_changes(QUEUE).state is TrailState.MORE


def test_a_refused_lookup_is_an_answer_and_is_not_repeated() -> None:
    trail = trail_of()
    assert isinstance(trail.aws, FakeTrail)
    trail.aws.error = AwsError("cloudtrail:LookupEvents", "AccessDeniedException", "no", Meaning.NO)

    answers = [trail.last_changes(QUEUE), trail.last_changes(DATABASE)]

    assert [answer.state for answer in answers] == [TrailState.NOT_ALLOWED] * 2
    assert len(calls_of(trail)) == 1


def test_lookups_keep_to_two_calls_a_second() -> None:
    pauses: list[float] = []
    trail = Trail(FakeTrail([]), now=lambda: NOW, sleep=pauses.append)

    trail.last_changes(DATABASE)

    assert len(pauses) == len(calls_of(trail)) - 1
    assert sum(pauses) > 0.4 * len(pauses)


@pytest.mark.parametrize(
    "text", ["", "null", "[]", "{", '{"eventTime": 7}', '{"userIdentity": "x"}', "[" * 100_000, None, 3]
)
def test_a_malformed_event_is_passed_over(text: Any) -> None:
    broken = {**event("SetQueueAttributes", "sqs", {}), "CloudTrailEvent": text}
    broken.pop("EventTime")

    assert read_event(broken) is None


def test_members_of_the_wrong_type_do_not_end_a_command() -> None:
    broken = event("ModifyDBInstance", "rds", ["x"], identity={"type": 3, "arn": []}, agent="", resources="x")
    broken["CloudTrailEvent"] = broken["CloudTrailEvent"].replace('"userAgent": ""', '"userAgent": {}')

    assert trail_of(broken).last_changes(DATABASE).state is TrailState.NOT_YET


@pytest.mark.parametrize(
    "agent, tool",
    [
        ("console.amazonaws.com", "console"),
        ("Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36", "console"),
        ("APN/1.0 HashiCorp/1.0 Terraform/1.9.5 (+https://www.terraform.io) aws-sdk-go-v2/1.30.4", "terraform"),
        ("aws-cli/2.13.5 Python/3.11.4 Linux/4.14.255 exe/x86_64", "aws-cli"),
        ("Boto3/1.43.37 md/Botocore#1.43.37 ua/2.0 os/linux lang/python#3.12", "boto3"),
        ("cloudformation.amazonaws.com", "CloudFormation"),
        ("Boto3/1.43.37 md/Botocore#1.43.37 orderops/0.1.0 run/0a1b2c3d", "orderops run 0a1b2c3d"),
        ("Boto3/1.43.37 md/Botocore#1.43.37 orderops/0.1.0", "orderops"),
        ("curl/8.5.0", "curl/8.5.0"),
        ("", "unknown tool"),
    ],
)
def test_the_user_agent_names_the_tool(agent: str, tool: str) -> None:
    changed = read_event(event("ModifyDBInstance", "rds", {}, agent=agent))

    assert changed and changed.tool == tool


@pytest.mark.parametrize(
    "identity, who",
    [
        ({"type": "Root", "accountId": "123456789012"}, "root of account 123456789012"),
        ({"type": "AWSService", "invokedBy": "rds.amazonaws.com"}, "rds.amazonaws.com"),
        ({"type": "AWSAccount", "accountId": "999999999999"}, "account 999999999999"),
        ({"type": "IdentityCenterUser", "onBehalfOf": {"userId": "94482488-3041"}}, "94482488-3041"),
        ({"type": "SAMLUser", "userName": "bob@example.com"}, "bob@example.com"),
    ],
)
def test_every_kind_of_identity_has_a_name(identity: dict[str, Any], who: str) -> None:
    changed = read_event(event("ModifyDBInstance", "rds", {}, identity=identity))

    assert changed and changed.who == who
