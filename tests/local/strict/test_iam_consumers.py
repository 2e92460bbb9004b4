from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import UTC
from functools import partial
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local.strict.test_iam import role
from orderops.local.strict.iam.roles import linked_role, role_by_arn
from support.emulated_databases import SMALL, subnets
from support.service_roles import give_rds_its_role
from support.strict_clients import Client, Refused

Use = Callable[[Client, str], Any]
CONTAINER = {"name": "app", "image": "app:1", "essential": True}


def flow_log(client: Client, arn: str) -> None:
    vpc = client("ec2").describe_vpcs()["Vpcs"][0]["VpcId"]
    response = client("ec2").create_flow_logs(
        ResourceIds=[vpc],
        ResourceType="VPC",
        TrafficType="REJECT",
        LogGroupName="flow",
        DeliverLogsPermissionArn=arn,
    )
    for failure in response["Unsuccessful"]:
        raise ClientError({"Error": failure["Error"]}, "CreateFlowLogs")


def task_definition(client: Client, arn: str) -> None:
    client("ecs").register_task_definition(
        family="app",
        requiresCompatibilities=["FARGATE"],
        networkMode="awsvpc",
        cpu="256",
        memory="512",
        executionRoleArn=arn,
        containerDefinitions=[CONTAINER],
    )


def task(client: Client, arn: str) -> None:
    client("ecs").create_cluster(clusterName="jobs")
    client("ecs").register_task_definition(
        family="job",
        requiresCompatibilities=["FARGATE"],
        networkMode="awsvpc",
        cpu="256",
        memory="512",
        containerDefinitions=[CONTAINER],
    )
    client("ecs").run_task(
        cluster="jobs",
        taskDefinition="job",
        launchType="FARGATE",
        networkConfiguration={"awsvpcConfiguration": {"subnets": subnets(client)[1]}},
        overrides={"taskRoleArn": arn},
    )


def database(client: Client, arn: str) -> None:
    give_rds_its_role()
    client("rds").create_db_instance(DBInstanceIdentifier="db", **SMALL, MonitoringInterval=60, MonitoringRoleArn=arn)


def target(client: Client, arn: str) -> None:
    client("application-autoscaling").register_scalable_target(
        ServiceNamespace="dynamodb",
        ResourceId="table/orders",
        ScalableDimension="dynamodb:table:ReadCapacityUnits",
        MinCapacity=1,
        MaxCapacity=5,
        RoleARN=arn,
    )


def policy(arn: str) -> str:
    allowed = {"Effect": "Allow", "Principal": {"AWS": arn}, "Action": "*", "Resource": "*"}
    return json.dumps({"Version": "2012-10-17", "Statement": [allowed]})


def queue_policy(client: Client, arn: str) -> None:
    url = client("sqs").get_queue_url(QueueName="orders")["QueueUrl"]
    client("sqs").set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy(arn)})


def topic_policy(client: Client, arn: str) -> None:
    topic = client("sns").list_topics()["Topics"][0]["TopicArn"]
    client("sns").set_topic_attributes(TopicArn=topic, AttributeName="Policy", AttributeValue=policy(arn))


def secret_policy(client: Client, arn: str) -> None:
    client("secretsmanager").put_resource_policy(SecretId="orders", ResourcePolicy=policy(arn))


CONSUMERS: dict[str, tuple[str, str, Use]] = {
    "a flow log": ("InvalidParameter", "vpc-flow-logs.amazonaws.com", flow_log),
    "a task definition": ("ClientException", "ecs-tasks.amazonaws.com", task_definition),
    "a task in place of its definition's": ("ClientException", "ecs-tasks.amazonaws.com", task),
    "a monitored database": ("InvalidParameterValue", "monitoring.rds.amazonaws.com", database),
    "a scalable target": ("ValidationException", "ecs-tasks.amazonaws.com", target),
    "the policy of a queue": ("InvalidAttributeValue", "ecs-tasks.amazonaws.com", queue_policy),
    "the policy of a topic": ("InvalidParameter", "ecs-tasks.amazonaws.com", topic_policy),
    "the policy of a secret": ("MalformedPolicyDocumentException", "ecs-tasks.amazonaws.com", secret_policy),
}


@pytest.mark.parametrize("case", CONSUMERS)
def test_a_new_role_is_unknown_for_a_while_to(moto: Client, strict: Client, refused: Refused, case: str) -> None:
    code, service, use = CONSUMERS[case]
    moto("sqs").create_queue(QueueName="orders")
    moto("sns").create_topic(Name="orders")
    moto("secretsmanager").create_secret(Name="orders", SecretString="-")
    arn = role(strict, "new", Principal={"Service": service})

    found = role_by_arn(arn)
    assert found.known_from > found.create_date.replace(tzinfo=UTC).timestamp()

    found.known_from = time.time() + 3600
    with refused(code):
        use(strict, arn)
    found.known_from = time.time()
    use(strict, arn)


def test_plain_moto_knows_a_role_at_once(moto: Client, strict: Client) -> None:
    arn = role(strict, "new", Principal={"Service": "vpc-flow-logs.amazonaws.com"})
    role_by_arn(arn).known_from = time.time() + 3600

    flow_log(moto, arn)
    task_definition(moto, arn)
    database(moto, arn)


def test_a_database_cannot_be_monitored_with_a_missing_role(moto: Client, strict: Client) -> None:
    absent = "arn:aws:iam::123456789012:role/absent"
    moto("rds").create_db_instance(DBInstanceIdentifier="other", **SMALL)
    database(moto, absent)

    with pytest.raises(ClientError, match="ENHANCED_MONITORING"):
        strict("rds").modify_db_instance(
            DBInstanceIdentifier="other", MonitoringInterval=60, MonitoringRoleArn=absent, ApplyImmediately=True
        )


@pytest.mark.parametrize("case", [name for name in CONSUMERS if name.startswith("the policy")])
def test_a_missing_role_is_unknown_to(moto: Client, strict: Client, refused: Refused, case: str) -> None:
    code, _, use = CONSUMERS[case]
    moto("sqs").create_queue(QueueName="orders")
    moto("sns").create_topic(Name="orders")
    moto("secretsmanager").create_secret(Name="orders", SecretString="-")
    absent = "arn:aws:iam::123456789012:role/absent"
    use(moto, absent)

    with refused(code):
        use(strict, absent)


def test_a_cluster_needs_the_known_role_of_its_service(moto: Client, strict: Client) -> None:
    strict("iam").create_service_linked_role(AWSServiceName="ecs.amazonaws.com")
    linked_role("ecs.amazonaws.com").known_from = time.time() + 3600
    moto("ecs").create_cluster(clusterName="plain")

    with pytest.raises(ClientError, match="Unable to assume the service linked role"):
        strict("ecs").create_cluster(clusterName="strict")
    linked_role("ecs.amazonaws.com").known_from = time.time()
    strict("ecs").create_cluster(clusterName="strict")


def test_rds_needs_its_role_first_and_time_to_know_it(moto: Client, strict: Client) -> None:
    """In the words of terraform-aws-modules/terraform-aws-rds#364 and aws-samples/eks-workshop-v2#1609."""
    _, ids = subnets(strict)
    group = {"DBSubnetGroupName": "own", "DBSubnetGroupDescription": "of a test", "SubnetIds": ids}
    create_group = partial(strict("rds").create_db_subnet_group, **group)
    create_instance = partial(strict("rds").create_db_instance, DBInstanceIdentifier="db", **SMALL)
    calls = {
        "Missing necessary credentials.*ServiceLinkedRoles": create_group,
        "Verify that you have permission to create service linked role. Otherwise wait and try again": create_instance,
    }

    for words, call in calls.items():
        with pytest.raises(ClientError, match=words) as refusal:
            call()
        assert refusal.value.response["Error"]["Code"] == "InvalidParameterValue"
    strict("iam").create_service_linked_role(AWSServiceName="rds.amazonaws.com")
    linked_role("rds.amazonaws.com").known_from = time.time() + 3600
    for words, call in calls.items():
        with pytest.raises(ClientError, match=words):
            call()
    linked_role("rds.amazonaws.com").known_from = time.time()
    create_group()
    create_instance()
    moto("rds").create_db_instance(DBInstanceIdentifier="without-role", **SMALL)
