"""The checker of calls: calls that AWS would reject fail, and calls that it accepts pass."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, NamedTuple

import boto3
import pytest
from botocore.session import get_session

from support.call_checker import USED, check_strictly, translated, violations

TAGS = [{"Key": "orderops:environment", "Value": "dev"}]
ROLE = "arn:aws:iam::123456789012:role/orderops-dev-task"


class Call(NamedTuple):
    """A call to AWS, and for one that AWS rejects the member and the rule that it breaks."""

    service: str
    operation: str
    params: dict[str, Any]
    member: str = ""
    rule: str = ""


GOOD = {
    "tags_in_a_list_of_structures": Call(
        "ec2",
        "create_vpc",
        {"CidrBlock": "10.0.0.0/16", "TagSpecifications": [{"ResourceType": "vpc", "Tags": TAGS}]},
    ),
    "a_token_filled_in_by_botocore": Call("ec2", "create_nat_gateway", {"SubnetId": "subnet-1"}),
    "a_filter": Call("ec2", "describe_vpcs", {"Filters": [{"Name": "tag:orderops:environment", "Values": ["dev"]}]}),
    "a_default_parameter_group": Call(
        "rds",
        "create_db_instance",
        {
            "DBInstanceIdentifier": "orderops-dev-db",
            "DBInstanceClass": "db.t3.micro",
            "Engine": "postgres",
            "DBParameterGroupName": "default.postgres16",
            "AllocatedStorage": 20,
            "MasterUsername": "orderops",
            "MasterUserPassword": "not-a-secret-0",
            "PreferredBackupWindow": "16:00-16:30",
            "PreferredMaintenanceWindow": "sun:17:00-sun:17:30",
        },
    ),
    "a_restore": Call(
        "rds",
        "restore_db_instance_to_point_in_time",
        {
            "SourceDBInstanceIdentifier": "orderops-dev-db",
            "TargetDBInstanceIdentifier": "orderops-dev-db-20261110t080000z",
            "RestoreTime": "2026-11-10T08:00:00Z",
        },
    ),
    "enumerations_in_a_map": Call(
        "sqs",
        "create_queue",
        {"QueueName": "orderops-dev-order-processor", "Attributes": {"VisibilityTimeout": "30"}},
    ),
    "tags_of_every_alphabet": Call(
        "elbv2",
        "create_target_group",
        {"Name": "orderops-staging-order-processor", "Tags": [{"Key": "owner", "Value": "Zoë 平台 1"}]},
    ),
    "a_policy_document": Call(
        "iam",
        "create_role",
        {"RoleName": "orderops-dev-task", "AssumeRolePolicyDocument": '{\n "Version": "2012-10-17"\n}', "Tags": TAGS},
    ),
    "a_task_definition": Call(
        "ecs",
        "register_task_definition",
        {
            "family": "orderops-dev-order-processor",
            "networkMode": "awsvpc",
            "requiresCompatibilities": ["FARGATE"],
            "cpu": "256",
            "memory": "512",
            "taskRoleArn": ROLE,
            "containerDefinitions": [
                {
                    "name": "order-processor",
                    "image": "orders@sha256:" + "0" * 64,
                    "portMappings": [{"containerPort": 8080, "protocol": "tcp"}],
                    "logConfiguration": {"logDriver": "awslogs", "options": {"awslogs-group": "/orderops/dev"}},
                }
            ],
            "tags": [{"key": "orderops:environment", "value": "dev"}],
        },
    ),
    "a_scaling_policy": Call(
        "application-autoscaling",
        "put_scaling_policy",
        {
            "PolicyName": "orderops-dev-cpu",
            "ServiceNamespace": "ecs",
            "ResourceId": "service/orderops-dev/order-processor",
            "ScalableDimension": "ecs:service:DesiredCount",
            "PolicyType": "TargetTrackingScaling",
            "TargetTrackingScalingPolicyConfiguration": {"TargetValue": 60.0},
        },
    ),
    "an_alarm": Call(
        "cloudwatch",
        "put_metric_alarm",
        {
            "AlarmName": "orderops-dev-cpu",
            "Namespace": "AWS/ECS",
            "MetricName": "CPUUtilization",
            "Statistic": "Average",
            "Dimensions": [{"Name": "ClusterName", "Value": "orderops-dev"}],
            "Period": 60,
            "EvaluationPeriods": 3,
            "Threshold": 90,
            "ComparisonOperator": "GreaterThanThreshold",
            "AlarmActions": ["arn:aws:sns:ap-southeast-2:123456789012:orderops-dev-p1"],
        },
    ),
    "a_bucket_in_sydney": Call(
        "s3",
        "create_bucket",
        {
            "Bucket": "orderops-dev-123456789012",
            "CreateBucketConfiguration": {"LocationConstraint": "ap-southeast-2"},
        },
    ),
    "a_log_group": Call("logs", "put_retention_policy", {"logGroupName": "/orderops/dev", "retentionInDays": 7}),
    "a_description_of_a_rule": Call(
        "ec2",
        "authorize_security_group_ingress",
        {
            "GroupId": "sg-1",
            "IpPermissions": [{"IpProtocol": "tcp", "IpRanges": [{"CidrIp": "0.0.0.0/0", "Description": "HTTP"}]}],
        },
    ),
}

BAD = {
    "a_value_that_is_no_choice": Call(
        "ec2",
        "create_vpc",
        {"CidrBlock": "10.0.0.0/16", "TagSpecifications": [{"ResourceType": "vcp", "Tags": TAGS}]},
        "TagSpecifications[0].ResourceType: 'vcp'",
        "one of",
    ),
    "a_key_of_a_map_that_is_no_choice": Call(
        "sqs", "create_queue", {"QueueName": "orders", "Attributes": {"Timeout": "30"}}, "Attributes key", "one of"
    ),
    "a_pattern_holds_to_the_end": Call(
        "ecr", "create_repository", {"repositoryName": "orderops/Dev"}, "repositoryName: 'orderops/Dev'", "spelled"
    ),
    "a_newline_is_no_end": Call("iam", "create_role", {"RoleName": "a\n"}, "RoleName", "spelled"),
    "a_pattern_with_properties_of_characters": Call(
        "ecs",
        "create_cluster",
        {"clusterName": "dev", "tags": [{"key": "owner", "value": "a;b"}]},
        "tags[0].value: 'a;b'",
        "spelled",
    ),
    "a_text_too_long": Call(
        "iam", "create_role", {"RoleName": "r" * 65, "AssumeRolePolicyDocument": "{}"}, "RoleName", "1 to 64 characters"
    ),
    "a_list_too_long": Call(
        "logs", "describe_log_groups", {"logGroupIdentifiers": ["g"] * 51}, "logGroupIdentifiers", "1 to 50 entries"
    ),
    "a_map_too_long": Call(
        "logs",
        "create_log_group",
        {"logGroupName": "g", "tags": {f"k{number}": "v" for number in range(51)}},
        "tags",
        "1 to 50 entries",
    ),
    "a_number_out_of_range": Call("cloudwatch", "describe_alarms", {"MaxRecords": 101}, "MaxRecords: 101", "1 to 100"),
    "a_member_that_is_missing_in_the_depth": Call(
        "ecs",
        "create_service",
        {"serviceName": "orders", "networkConfiguration": {"awsvpcConfiguration": {}}},
        "networkConfiguration.awsvpcConfiguration.subnets",
        "is required",
    ),
    "a_balancer_of_33_characters": Call(
        "elbv2", "create_load_balancer", {"Name": "b" * 33, "Subnets": ["subnet-1", "subnet-2"]}, "Name", "1 to 32"
    ),
    "a_balancer_in_one_subnet": Call(
        "elbv2", "create_load_balancer", {"Name": "b", "Subnets": ["subnet-1"]}, "Subnets", "two zones"
    ),
    "a_retention_that_logs_do_not_offer": Call(
        "logs", "put_retention_policy", {"logGroupName": "g", "retentionInDays": 10}, "retentionInDays: 10", "one of"
    ),
    "an_attribute_of_a_queue_out_of_range": Call(
        "sqs",
        "set_queue_attributes",
        {"QueueUrl": "https://sqs/orders", "Attributes": {"VisibilityTimeout": "43201"}},
        "Attributes.VisibilityTimeout: '43201'",
        "0 to 43200",
    ),
    "an_identifier_with_two_hyphens": Call(
        "rds", "modify_db_instance", {"DBInstanceIdentifier": "orderops--db"}, "DBInstanceIdentifier", "single hyphens"
    ),
    "an_apostrophe_in_a_description": Call(
        "ec2",
        "create_security_group",
        {"GroupName": "dev", "Description": "the database's door"},
        "Description",
        "1 to 255",
    ),
    "a_tag_of_aws": Call(
        "ec2", "create_tags", {"Resources": ["vpc-1"], "Tags": [{"Key": "aws:a", "Value": ""}]}, "Tags[0].Key", "aws:"
    ),
}


@pytest.fixture
def strict_session() -> boto3.Session:
    """A session that answers every call with an empty response."""
    session = boto3.Session(region_name="ap-southeast-2")
    check_strictly(session)
    session.events.register("before-call", lambda **_: (SimpleNamespace(status_code=200), {}))
    return session


def send(session: boto3.Session, call: Call) -> Any:
    return getattr(session.client(call.service), call.operation)(**call.params)


@pytest.mark.parametrize("call", GOOD.values(), ids=GOOD)
def test_a_call_that_aws_accepts_is_sent(strict_session: boto3.Session, call: Call) -> None:
    assert send(strict_session, call) == {}


@pytest.mark.parametrize("call", BAD.values(), ids=BAD)
def test_a_call_that_aws_rejects_fails_with_member_value_and_rule(strict_session: boto3.Session, call: Call) -> None:
    with pytest.raises(AssertionError) as caught:
        send(strict_session, call)

    operation = "".join(word.title() for word in call.operation.split("_")).replace("Db", "DB")
    line = next(line for line in str(caught.value).splitlines() if call.member in line)
    assert line.startswith(f"{call.service}.{operation}: {call.member}")
    assert call.rule in line


def test_all_violations_of_a_call_are_reported_together(strict_session: boto3.Session) -> None:
    with pytest.raises(AssertionError) as caught:
        strict_session.client("sns").create_topic(Name="a b", Tags=[{"Key": "", "Value": "v" * 257}])

    assert len(str(caught.value).splitlines()) == 1 + len(["Name", "Tags[0].Key", "Tags[0].Value"])


def test_pages_and_waiters_are_checked(strict_session: boto3.Session) -> None:
    logs, iam = strict_session.client("logs"), strict_session.client("iam")

    with pytest.raises(AssertionError, match="logGroupNamePrefix"):
        list(logs.get_paginator("describe_log_groups").paginate(logGroupNamePrefix="a b"))
    with pytest.raises(AssertionError, match="RoleName"):
        iam.get_waiter("role_exists").wait(RoleName="a b")


def test_a_session_checked_twice_reports_each_violation_once(strict_session: boto3.Session) -> None:
    check_strictly(strict_session)

    with pytest.raises(AssertionError) as caught:
        strict_session.client("logs").put_retention_policy(logGroupName="g", retentionInDays=10)

    assert len(str(caught.value).splitlines()) == 2


def test_a_wrong_type_is_left_to_botocore() -> None:
    shape = get_session().get_service_model("logs").operation_model("PutRetentionPolicy").input_shape

    assert not list(violations(shape, {"logGroupName": 7, "retentionInDays": "7"}))


@pytest.mark.parametrize("service", USED)
def test_every_pattern_of_a_used_service_can_be_translated(service: str) -> None:
    model = get_session().get_service_model(service)
    patterns = {model.shape_for(name).metadata.get("pattern") for name in model.shape_names}

    for pattern in patterns - {None}:
        translated(pattern)
