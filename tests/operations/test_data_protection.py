"""Resources that hold data survive an edited file, a renamed environment and `--yes`."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from moto.backends import get_backend
from moto.core import DEFAULT_ACCOUNT_ID

from orderops.aws.client import Aws
from orderops.engine.inventory import Inventory, Owned
from orderops.engine.resource import Observed
from orderops.infra.stack import KINDS
from orderops.resources.autoscaling_target import AutoscalingTarget
from orderops.resources.cloudwatch_composite_alarm import CloudwatchCompositeAlarm
from support.account_snapshot import take_snapshot
from support.command_line import Orderops
from support.faulty_proxy import Proxy
from support.repository import ENVIRONMENTS

pytest_plugins = ["support.dev_accounts"]

# End to end.
pytestmark = pytest.mark.slow

DEV = (ENVIRONMENTS / "dev.toml").read_text()
IMAGES = {"order-processor": "123456789012.dkr.ecr.ap-southeast-2.amazonaws.com/orderops-dev-order-processor:1"}
SERVICE = "orderops-dev-order-processor"
DATABASE = "orderops-dev-database"
LOGS = "orderops-dev-access-logs-123456789012"
REGION = "ap-southeast-2"
EVERYTHING = ("--yes", "--confirm", DATABASE, "--confirm", LOGS, "--confirm", SERVICE)
Client = Callable[[str], Any]


@pytest.fixture
def dev(proxy: Proxy, dev_released: bytes) -> Proxy:
    """Restore dev before each test."""
    proxy.bring_back(dev_released)
    return proxy


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of environments with dev.toml only."""
    (tmp_path / "dev.toml").write_text(DEV)
    return tmp_path


@pytest.fixture
def orderops(capsys: pytest.CaptureFixture[str], proxy: Proxy, folder: Path) -> Orderops:
    return Orderops(capsys, "--environments", str(folder))


def tagged(kind: str, name: str) -> list[dict[str, Any]]:
    return [{"Name": "tag:orderops:address", "Values": [f"{kind}/{name}"]}]


# another name


@pytest.fixture
def renamed(folder: Path, dev: Proxy) -> str:
    (folder / "dev.toml").rename(folder / "devel.toml")
    return "devel"


UNDECLARED = (
    r"this account also has dev \(\d+ resources including a database\), which has no file dev.toml: was it renamed\?"
)


def test_the_plan_for_a_renamed_environment_shows_the_resources_under_its_old_name(
    orderops: Orderops, dev: Proxy, renamed: str
) -> None:
    planned = orderops("infra", "plan", "--env", renamed)

    assert planned.code == 3
    said = planned.err.splitlines()
    assert re.fullmatch(UNDECLARED, said[1])
    assert said[2] == "an environment cannot be renamed: devel would be created, and dev left as it is"
    assert orderops("infra", "plan", "--env", renamed, "--json").json["without_file"]["dev"] > 30
    assert dev.changing == []


def test_a_renamed_environment_is_created_only_if_its_name_is_confirmed(
    orderops: Orderops, dev: Proxy, client: Client, folder: Path, renamed: str
) -> None:
    before = take_snapshot(client)
    dev.forget()

    refused = orderops("infra", "apply", "--env", renamed, "--yes")

    assert refused.code == 1
    file = folder / "dev.toml"
    assert refused.err.splitlines()[-3:] == [
        "error: devel would be created, and dev in this account has no file; nothing was changed",
        f" hint: if the file was renamed, restore it: git log --oneline -- {file}; git checkout COMMIT~ -- {file}",
        " hint: if devel is a new environment, pass --confirm devel",
    ]
    assert dev.changing == []

    made = orderops("infra", "apply", "--env", renamed, "--yes", "--confirm", renamed)

    assert made.code == 0, made.err
    after = take_snapshot(client)
    assert {kind: [name for name in names if name not in after[kind]] for kind, names in before.items()} == {
        kind: [] for kind in before
    }
    assert "was it renamed" not in orderops("infra", "plan", "--env", renamed).err


def test_other_environments_are_searched_only_if_the_environment_is_empty(
    orderops: Orderops, dev: Proxy, folder: Path
) -> None:
    (folder / "other.toml").write_text(DEV)

    def asked(env: str) -> int:
        dev.forget()
        said = orderops("infra", "plan", "--env", env)
        assert "was it renamed" not in said.err
        return [str(request) for request in dev.requests].count("tagging.GetResources")

    assert asked("dev") == 1  # for the tags of what is there
    assert asked("other") > 1


# what stays


@pytest.mark.usefixtures("dev")
def test_down_shows_the_command_that_removes_each_leftover(orderops: Orderops) -> None:
    down = orderops("down", "--env", "dev", *EVERYTHING)

    assert down.code == 0, down.err
    told = down.err.partition("left behind, until you remove it:\n")[2].splitlines()
    assert [re.sub(r"(?<=final-)\w+|(?<=: db-)\w+", "…", line) for line in told if "role" not in line] == [
        "  snapshot: orderops-dev-database-final-…",
        "    aws rds delete-db-snapshot --db-snapshot-identifier NAME",
        "  backups of a deleted database: db-…",
        "    aws rds delete-db-instance-automated-backup --dbi-resource-id NAME",
        "  history of dev: s3://orderops-123456789012-ap-southeast-2/dev/",
        "    aws s3 rm --recursive s3://orderops-123456789012-ap-southeast-2/dev/",
    ]
    assert told[0].startswith("  role of the whole account: AWSServiceRoleFor")
    assert "    aws iam delete-service-linked-role --role-name NAME" in told
    assert [line for line in told if len(line) > 80] == []
    assert orderops("down", "--env", "dev", *EVERYTHING).err == "nothing to delete in dev\n"


# who else uses what is to go


@pytest.mark.usefixtures("dev")
def test_resources_that_others_use_are_kept_and_the_rest_is_deleted(orderops: Orderops, client: Client) -> None:
    held = {
        "ec2-subnet/orderops-dev-private-a": an_interface(client),
        f"ec2-security-group/{SERVICE}": a_group(client),
        f"elbv2-target-group/{SERVICE}": "the listener theirs:80",
        "ecs-cluster/orderops-dev-cluster": "service theirs (without owner, 0 tasks run)",
        "iam-role/orderops-dev-flow-log": "instance profile theirs",
    }
    a_listener_and_a_service(client)
    client("iam").create_instance_profile(InstanceProfileName="theirs")
    client("iam").add_role_to_instance_profile(InstanceProfileName="theirs", RoleName="orderops-dev-flow-log")

    down = orderops("down", "--env", "dev", *EVERYTHING)

    assert down.code == 1
    assert told_holders(down.err) == held
    assert "hint: it does not belong to this environment: have its owner remove it, then re-run this command" in (
        down.err
    )
    left = take_snapshot(client)
    assert {kind: left.get(kind, []) for kind in ("queue", "secret", "alarm", "repository", "nat gateway")} == {
        "queue": [],
        "secret": [],
        "alarm": [],
        "repository": [],
        "nat gateway": [],
    }


@pytest.mark.usefixtures("dev")
def test_a_foreign_database_in_our_subnet_group_is_named_and_kept(orderops: Orderops, client: Client) -> None:
    a_database(client)

    down = orderops("down", "--env", "dev", *EVERYTHING)

    theirs = "database instance theirs (of the environment prod, available)"
    assert down.code == 1
    assert told_holders(down.err) == {
        "rds-parameter-group/orderops-dev-postgres16": theirs,
        "rds-subnet-group/orderops-dev-database": theirs,
    }
    assert take_snapshot(client)["database"] == ["theirs"]


@pytest.mark.usefixtures("dev")
def test_a_foreign_endpoint_in_our_vpc_is_named(orderops: Orderops, client: Client) -> None:
    ec2 = client("ec2")
    vpc = ec2.describe_vpcs(Filters=tagged("ec2-vpc", "orderops-dev-vpc"))["Vpcs"][0]["VpcId"]
    name = f"com.amazonaws.{REGION}.s3"
    made = ec2.create_vpc_endpoint(VpcId=vpc, ServiceName=name)["VpcEndpoint"]["VpcEndpointId"]

    down = orderops("down", "--env", "dev", *EVERYTHING)

    assert down.code == 1
    assert told_holders(down.err) == {"ec2-vpc/orderops-dev-vpc": f"{made} (owner 123456789012)"}


@pytest.mark.parametrize(
    ("address", "user"),
    [
        ("ec2-vpc/orderops-dev-vpc", "ec2-flow-log/orderops-dev-flow-log"),
        ("ec2-subnet/orderops-dev-isolated-a", "ec2-route-table/orderops-dev-isolated"),
        ("rds-subnet-group/orderops-dev-database", "rds-instance/orderops-dev-database"),
        ("ecs-cluster/orderops-dev-cluster", f"ecs-service/{SERVICE}"),
    ],
)
def test_deleting_a_resource_that_ours_still_use_is_refused_before_any_change(
    orderops: Orderops, dev: Proxy, address: str, user: str
) -> None:
    refused = orderops("down", "--env", "dev", "--only", address, "--yes")

    assert refused.code == 1
    assert refused.err.splitlines()[0].startswith(f"error: {address} is used by {user}")
    assert "hint: nothing was deleted; " in refused.err
    assert dev.changing == []


def told_holders(said: str) -> dict[str, str]:
    lines = [
        line.removeprefix("x ") for line in said.splitlines() if ": cannot be deleted while it is used by " in line
    ]
    return dict(line.split(": cannot be deleted while it is used by ") for line in lines)


def an_interface(client: Client) -> str:
    """Create a foreign function's interface in our subnet; return how orderops describes it."""
    ec2 = client("ec2")
    found = ec2.describe_subnets(Filters=tagged("ec2-subnet", "orderops-dev-private-a"))["Subnets"][0]
    words = "AWS Lambda VPC ENI-report"
    made = ec2.create_network_interface(SubnetId=found["SubnetId"], Description=words)["NetworkInterface"]
    return f"{made['NetworkInterfaceId']} ({words}, owner 123456789012)"


def a_group(client: Client) -> str:
    """Create a foreign security group with a rule that refers to ours; return its description."""
    ec2 = client("ec2")
    ours = ec2.describe_security_groups(Filters=tagged("ec2-security-group", SERVICE))["SecurityGroups"][0]
    theirs = ec2.create_security_group(GroupName="reports", Description="theirs", VpcId=ours["VpcId"])["GroupId"]
    pairs = [{"GroupId": ours["GroupId"]}]
    rule = {"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443, "UserIdGroupPairs": pairs}
    ec2.authorize_security_group_ingress(GroupId=theirs, IpPermissions=[rule])
    return f"{theirs} (security group reports, owner 123456789012, names it in a rule)"


def a_listener_and_a_service(client: Client) -> None:
    """Create foreign resources in their own network that use our target group and our cluster."""
    ec2 = client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.99.0.0/16")["Vpc"]["VpcId"]
    zones = {"a": "10.99.0.0/24", "b": "10.99.1.0/24"}
    made = [
        ec2.create_subnet(VpcId=vpc, CidrBlock=cidr, AvailabilityZone=f"{REGION}{zone}") for zone, cidr in zones.items()
    ]
    subnets = [each["Subnet"]["SubnetId"] for each in made]
    a_listener(client, subnets)
    a_service(client, subnets, ec2.create_security_group(GroupName="theirs", Description="-", VpcId=vpc)["GroupId"])


def a_listener(client: Client, subnets: list[str]) -> None:
    """Create a foreign listener that forwards to our target group."""
    elbv2 = client("elbv2")
    target = elbv2.describe_target_groups(Names=[SERVICE])["TargetGroups"][0]["TargetGroupArn"]
    balancer = elbv2.create_load_balancer(Name="theirs", Subnets=subnets, Scheme="internal")["LoadBalancers"][0][
        "LoadBalancerArn"
    ]
    actions = [{"Type": "forward", "TargetGroupArn": target}]
    elbv2.create_listener(LoadBalancerArn=balancer, Protocol="HTTP", Port=80, DefaultActions=actions)


def a_service(client: Client, subnets: list[str], group: str) -> None:
    """Create a foreign service in our cluster."""
    ecs = client("ecs")
    ecs.register_task_definition(
        family="theirs",
        networkMode="awsvpc",
        requiresCompatibilities=["FARGATE"],
        cpu="256",
        memory="512",
        containerDefinitions=[{"name": "one", "image": "one:1"}],
    )
    ecs.create_service(
        cluster="orderops-dev-cluster",
        serviceName="theirs",
        taskDefinition="theirs",
        desiredCount=0,
        launchType="FARGATE",
        networkConfiguration={"awsvpcConfiguration": {"subnets": subnets, "securityGroups": [group]}},
    )


def a_database(client: Client) -> None:
    """Create a database of another environment in our subnet group and parameter group."""
    rds = client("rds")
    rds.create_db_instance(
        DBInstanceIdentifier="theirs",
        Engine="postgres",
        EngineVersion="16.4",
        DBInstanceClass="db.t3.micro",
        AllocatedStorage=20,
        MasterUsername="theirs",
        MasterUserPassword="not-a-password",
        DBSubnetGroupName="orderops-dev-database",
        DBParameterGroupName="orderops-dev-postgres16",
        Tags=[{"Key": "orderops:environment", "Value": "prod"}],
    )


# another account


@pytest.mark.parametrize(
    "words",
    [
        ("up", "--yes", "--image", IMAGES["order-processor"]),
        ("infra", "apply", "--yes", "--prune"),
        ("service", "build"),
        ("service", "deploy", "--yes", "--image", IMAGES["order-processor"]),
        ("down", *EVERYTHING),
        ("infra", "destroy", *EVERYTHING),
    ],
    ids=lambda words: " ".join(words[:2]),
)
def test_credentials_for_another_account_are_refused_before_any_other_call(
    orderops: Orderops, dev: Proxy, folder: Path, words: tuple[str, ...]
) -> None:
    (folder / "dev.toml").write_text(f'account = "999999999999"\n{DEV}')

    refused = orderops(*words, "--env", "dev")

    assert refused.code == 1
    assert refused.err == (
        "error: these credentials are for account 123456789012; dev is pinned to 999999999999\n"
        " hint: use a profile of that account: AWS_PROFILE=NAME orderops … --env dev\n"
    )
    assert [str(request) for request in dev.requests] == ["sts.GetCallerIdentity"]


# things of others under our names


def owned(proxy: Proxy) -> list[Owned]:
    aws = Aws(REGION, endpoint_url=proxy.url)
    return list(Inventory(aws, "dev", KINDS).owned())


@pytest.mark.parametrize("owner", ["other", ""], ids=["of another environment", "without an owner"])
def test_resources_without_our_tags_are_never_deleted_whatever_their_names(
    orderops: Orderops, dev: Proxy, client: Client, owner: str
) -> None:
    aws = Aws(REGION, endpoint_url=dev.url)
    # AWS deletes no alarm that a composite alarm names, such as p0-outage, which p0-errors names.
    for each in sorted(owned(dev), key=lambda found: (found.kind is not CloudwatchCompositeAlarm, found.observed.id)):
        if each.kind is AutoscalingTarget:
            continue  # has no tags: it goes by those of its cluster
        if owner:
            each.kind.retag(aws, each.observed, {"orderops:environment": owner})
        else:
            untag(client, each)
    assert owned(dev) == []
    before = take_snapshot(client)
    dev.forget()

    down = orderops("down", "--env", "dev", *EVERYTHING)

    assert (down.code, down.err) == (0, "nothing to delete in dev\n")
    assert dev.changing == []

    pruned = orderops("infra", "apply", "--env", "dev", "--prune", "--yes", "--confirm", "dev")

    assert pruned.code == 1
    assert [
        call for call in dev.changing if re.search(r"\.(Delete|Release|Detach|Deregister|Revoke|Untag)", call)
    ] == []
    after = take_snapshot(client)
    assert {kind: gone for kind, names in before.items() if (gone := sorted({*names} - {*after[kind]}))} == {}


UNTAG: Mapping[str, Callable[[Client, Observed, list[str]], Any]] = {
    "cloudwatch": lambda client, live, keys: unmark(client("cloudwatch"), live.id),
    "ec2": lambda client, live, keys: client("ec2").delete_tags(
        Resources=[live.id], Tags=[{"Key": key} for key in keys]
    ),
    "ecr": lambda client, live, keys: client("ecr").untag_resource(resourceArn=live.arn, tagKeys=keys),
    "ecs": lambda client, live, keys: client("ecs").untag_resource(resourceArn=live.arn, tagKeys=keys),
    "elbv2": lambda client, live, keys: client("elbv2").remove_tags(ResourceArns=[live.arn], TagKeys=keys),
    "iam": lambda client, live, keys: client("iam").untag_role(RoleName=live.name, TagKeys=keys),
    "logs": lambda client, live, keys: client("logs").untag_resource(resourceArn=live.arn, tagKeys=keys),
    "rds": lambda client, live, keys: client("rds").remove_tags_from_resource(ResourceName=live.arn, TagKeys=keys),
    "s3": lambda client, live, keys: (
        client("s3").put_object(Bucket=live.id, Key="theirs") and client("s3").delete_bucket_tagging(Bucket=live.id)
    ),
    "secretsmanager": lambda client, live, keys: client("secretsmanager").untag_resource(
        SecretId=live.arn, TagKeys=keys
    ),
    "sns": lambda client, live, keys: client("sns").untag_resource(ResourceArn=live.arn, TagKeys=keys),
    "sqs": lambda client, live, keys: client("sqs").untag_queue(QueueUrl=live.id, TagKeys=keys),
}


def unmark(cloudwatch: Any, name: str) -> None:
    """Recreate an alarm without a description, which is where an alarm's owner is stored; delete a composite alarm."""
    found = cloudwatch.describe_alarms(AlarmNames=[name], AlarmTypes=["MetricAlarm"])["MetricAlarms"]
    cloudwatch.delete_alarms(AlarmNames=[name])
    if not found:
        return
    (told,) = found
    # An alarm has either a metric of its own or an expression over several.
    metric = ("Namespace", "MetricName", "Statistic", "ExtendedStatistic", "Period", "Metrics")
    keys = ("AlarmName", "EvaluationPeriods", "ComparisonOperator", *metric)
    cloudwatch.put_metric_alarm(**{key: told[key] for key in keys if told.get(key)}, Threshold=1.0)


def untag(client: Client, each: Owned) -> None:
    """Remove our tags and keep the name."""
    UNTAG[each.kind.kind.partition("-")[0]](client, each.observed, ["orderops:environment", "orderops:address"])


@pytest.mark.usefixtures("dev")
def test_foreign_objects_and_messages_in_our_resources_are_shown_and_kept(orderops: Orderops, client: Client) -> None:
    for key in (f"AWSLogs/123456789012/{SERVICE}.gz", "backup/orders.sql"):
        client("s3").put_object(Bucket=LOGS, Key=key, Body=b"1")
    queue = client("sqs").get_queue_url(QueueName=f"{SERVICE}-queue")["QueueUrl"]
    client("sqs").send_message(QueueUrl=queue, MessageBody="an order")

    planned = orderops("down", "--env", "dev", "--dry-run")

    bucket = "holds 1 log file and 1 object that no balancer wrote: backup/orders.sql"
    assert f"= keep s3-bucket/{LOGS}  {bucket}\n" in planned.out
    assert f"= keep sqs-queue/{SERVICE}-queue  holds 1 message\n" in planned.out

    down = orderops("down", "--env", "dev", "--yes")

    assert down.code == 0, down.err
    assert f"kept: s3-bucket/{LOGS} ({bucket})\n" in down.err
    assert client("s3").get_object(Bucket=LOGS, Key="backup/orders.sql")["Body"].read() == b"1"
    assert client("sqs").receive_message(QueueUrl=queue)["Messages"][0]["Body"] == "an order"


# what cannot change


def in_file(before: str, after: str) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        file = folder / "dev.toml"
        assert before in file.read_text()
        file.write_text(file.read_text().replace(before, after))

    return edit


def by_hand(service: str, thing: Callable[[Any], Any], name: str, value: Any) -> Callable[[Path], None]:
    def alter(_: Path) -> None:
        setattr(thing(get_backend(service)[DEFAULT_ACCOUNT_ID][REGION]), name, value)

    return alter


def database_of(rds: Any) -> Any:
    return rds.databases[DATABASE]


INSTANCE = f"rds-instance/{DATABASE}"
REPOSITORY = f"ecr-repository/{SERVICE}"
IMMUTABLE = {
    "DBName": (INSTANCE, in_file("[database]\n", '[database]\nname = "another"\n')),
    "MasterUsername": (INSTANCE, in_file("[database]\n", '[database]\nusername = "another"\n')),
    "Engine": (INSTANCE, by_hand("rds", database_of, "engine", "mysql")),
    "StorageEncrypted": (INSTANCE, by_hand("rds", database_of, "storage_encrypted", False)),
    "AllocatedStorage": (INSTANCE, by_hand("rds", database_of, "allocated_storage", 200)),
    "EncryptionType": (
        REPOSITORY,
        by_hand("ecr", lambda ecr: ecr.repositories[SERVICE], "encryption_configuration", {"encryptionType": "KMS"}),
    ),
}


def test_a_lower_version_in_the_file_is_refused_with_the_line_that_keeps_the_database(
    orderops: Orderops, dev: Proxy, client: Client, folder: Path
) -> None:
    in_file("[database]\n", '[database]\nengine_version = "15"\n')(folder)
    before = identities(client)

    refused = orderops("infra", "apply", "--env", "dev", "--yes")

    assert refused.code == 1
    assert "RDS never lowers one" in refused.err
    assert 'hint: keep the version: set engine_version = "16" under [database]' in refused.err
    assert identities(client) == before


@pytest.mark.parametrize(("key", "case"), IMMUTABLE.items(), ids=IMMUTABLE)
def test_an_immutable_property_is_refused_and_the_other_changes_are_applied(
    orderops: Orderops,
    dev: Proxy,
    client: Client,
    folder: Path,
    key: str,
    case: tuple[str, Callable[[Path], None]],
) -> None:
    address, change = case
    change(folder)
    in_file("visibility_timeout = 30", "visibility_timeout = 45")(folder)
    before = identities(client)
    dev.forget()

    refused = orderops("infra", "apply", "--env", "dev", "--yes")

    assert refused.code == 1
    (line,) = (line for line in refused.err.splitlines() if line.startswith(f"x {address}: {key} "))
    assert re.search(r"(cannot be changed on an existing resource|would lose data) \(observed .*, desired .*\)$", line)
    assert "hint: set it back" in refused.err
    assert identities(client) == before
    assert [call for call in dev.changing if re.search(r"DBInstance|^ecr\.", call)] == []
    queue = client("sqs").get_queue_url(QueueName=f"{SERVICE}-queue")["QueueUrl"]
    told = client("sqs").get_queue_attributes(QueueUrl=queue, AttributeNames=["VisibilityTimeout"])["Attributes"]
    assert told == {"VisibilityTimeout": "45"}


def test_a_run_with_only_immutable_changes_changes_nothing(orderops: Orderops, dev: Proxy, folder: Path) -> None:
    in_file("[database]\n", '[database]\nusername = "another"\n')(folder)
    dev.forget()

    refused = orderops("infra", "apply", "--env", "dev", "--yes")

    assert refused.code == 1
    said = refused.err.splitlines()[-2]
    assert said.startswith(f"error: {INSTANCE}: MasterUsername cannot be changed on an existing resource")
    assert dev.changing == []


def test_a_renamed_service_keeps_the_data_of_the_old_one(
    orderops: Orderops, client: Client, dev: Proxy, folder: Path
) -> None:
    queue = client("sqs").get_queue_url(QueueName=f"{SERVICE}-queue")["QueueUrl"]
    client("sqs").send_message(QueueUrl=queue, MessageBody="an order")
    file = folder / "dev.toml"
    file.write_text(file.read_text().replace("services.order-processor", "services.billing"))
    before = identities(client)

    pruned = orderops("infra", "apply", "--env", "dev", "--prune", "--yes")

    assert pruned.code == 0, pruned.err
    assert identities(client).items() >= before.items() - {("repository", before["repository"])}
    assert client("sqs").receive_message(QueueUrl=queue)["Messages"][0]["Body"] == "an order"


def identities(client: Client) -> dict[str, str]:
    """The identities of the resources that hold data, which change if one is recreated."""
    database = client("rds").describe_db_instances(DBInstanceIdentifier=DATABASE)["DBInstances"][0]
    created = client("ecr").describe_repositories()["repositories"]
    buckets = client("s3").list_buckets()["Buckets"]
    queue = client("sqs").get_queue_url(QueueName=f"{SERVICE}-queue")["QueueUrl"]
    attributes = client("sqs").get_queue_attributes(QueueUrl=queue, AttributeNames=["CreatedTimestamp"])["Attributes"]
    secrets = client("secretsmanager").list_secrets()["SecretList"]
    return {
        "database": f"{database['DbiResourceId']} {database['Endpoint']['Address']}",
        "repository": str([each["createdAt"] for each in created if each["repositoryName"] == SERVICE]),
        "bucket": str([bucket["CreationDate"] for bucket in buckets if bucket["Name"] == LOGS]),
        "queue": attributes["CreatedTimestamp"],
        "secret": str([secret["ARN"] for secret in secrets if secret["Name"] == "orderops/dev/database"]),
    }


# the order of what is shown and asked


class Typist:
    """A terminal on which an operator types these lines."""

    def __init__(self, *lines: str) -> None:
        self._lines = list(lines)

    def isatty(self) -> bool:
        return True

    def readline(self) -> str:
        return self._lines.pop(0) + "\n" if self._lines else ""


@pytest.mark.usefixtures("dev")
def test_names_are_requested_after_the_plan_is_shown(
    orderops: Orderops, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", Typist(DATABASE, "n"))

    down = orderops("down", "--env", "dev")

    assert down.code == 1
    assert f"= keep {INSTANCE}  holds a PostgreSQL 16 database" in down.out
    assert down.out.index(f"= keep {INSTANCE}") < down.out.index(f"- delete {INSTANCE}")
    question = f"{INSTANCE} holds a PostgreSQL 16 database of 20 GB (a final snapshot and its backups would stay). Type"
    assert re.search(rf"{re.escape(question)}.*Delete \d+ resources of dev\? \[y/N\]", down.err)
    assert "error: not confirmed; nothing was changed" in down.err
    assert client("rds").describe_db_instances()["DBInstances"]
