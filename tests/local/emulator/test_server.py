from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from botocore.exceptions import ClientError

from support.laptop import Laptop, until


def test_a_missing_operation_is_refused_with_service_and_action(laptop: Laptop) -> None:
    with pytest.raises(ClientError) as refused:
        laptop.client("cloudwatch").get_metric_widget_image(MetricWidget="{}")
    assert refused.value.response["Error"]["Code"] == "NotEmulated"
    assert "GetMetricWidgetImage" in refused.value.response["Error"]["Message"]

    with pytest.raises(ClientError, match="DescribeVpcs is not emulated"):
        laptop.client("ec2").describe_vpcs(Filters=[{"Name": "no-such-filter", "Values": ["x"]}])


def test_a_waiting_receive_blocks_no_request_and_returns_the_first_message(laptop: Laptop) -> None:
    sqs = laptop.client("sqs")
    queue = sqs.create_queue(QueueName=laptop.name("queue"), Attributes={"ReceiveMessageWaitTimeSeconds": "20"})[
        "QueueUrl"
    ]
    received: list[str] = []

    def receive() -> None:
        received.extend(one["Body"] for one in sqs.receive_message(QueueUrl=queue)["Messages"])

    waiting = threading.Thread(target=receive)
    waiting.start()
    laptop.client("ec2").describe_vpcs()
    assert received == []

    sqs.send_message(QueueUrl=queue, MessageBody="an order")
    waiting.join(timeout=15)

    assert received == ["an order"]


def test_a_subscriber_that_never_answers_does_not_block_publishing(laptop: Laptop) -> None:
    posted, let_go = threading.Event(), threading.Event()

    class Silent(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            posted.set()
            let_go.wait(10)

        def log_message(self, *_: object) -> None:
            pass

    silent = HTTPServer(("127.0.0.1", 0), Silent)
    threading.Thread(target=silent.serve_forever, daemon=True).start()
    sns = laptop.client("sns")
    topic = sns.create_topic(Name=laptop.name("topic"))["TopicArn"]
    sns.subscribe(TopicArn=topic, Protocol="http", Endpoint=f"http://127.0.0.1:{silent.server_port}/")

    sns.publish(TopicArn=topic, Message="a page")

    assert posted.wait(10)
    assert topic in [one["TopicArn"] for one in sns.list_topics()["Topics"]]
    let_go.set()
    silent.shutdown()


def test_large_objects_and_empty_responses_arrive_unchanged(laptop: Laptop) -> None:
    s3, bucket = laptop.client("s3"), laptop.name("bucket")
    s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": Laptop.region})
    s3.put_object(Bucket=bucket, Key="report", Body=b"x" * 3_000_000)

    assert s3.head_object(Bucket=bucket, Key="report")["ContentLength"] == 3_000_000
    assert len(s3.get_object(Bucket=bucket, Key="report")["Body"].read()) == 3_000_000
    with pytest.raises(ClientError, match="PreconditionFailed"):
        s3.put_object(Bucket=bucket, Key="report", Body=b"", IfNoneMatch="*")


def test_managed_policies_exist(laptop: Laptop) -> None:
    arn = "arn:aws:iam::aws:policy/service-role/AmazonECSTaskExecutionRolePolicy"

    assert laptop.client("iam").get_policy(PolicyArn=arn)["Policy"]["Arn"] == arn


@pytest.mark.slow
def test_a_database_creation_that_was_killed_is_completed_by_the_next_daemon(own_laptop: Laptop) -> None:
    laptop, name = own_laptop, own_laptop.name("db")
    laptop.client("rds").create_db_instance(
        DBInstanceIdentifier=name,
        DBInstanceClass="db.t3.micro",
        Engine="postgres",
        MasterUsername="boss",
        ManageMasterUserPassword=True,
        AllocatedStorage=20,
        DBName="orders",
        Port=laptop.database_port(),
    )
    laptop.remembered()
    laptop.kill()
    laptop.start()

    laptop.connect(laptop.wait_for_database(name, "available")).close()
    until(lambda: "LatestRestorableTime" in laptop.database(name), what="a backup")
