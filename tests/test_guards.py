"""Nothing that holds data dies by accident: not by editing a file, not by another name, not by `--yes`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from orderops.aws import Aws
from orderops.environment import load_environment
from orderops.site import Apply, Site

from command import Orderops
from conftest import MODELS
from inventory import take_inventory
from proxy import Proxy, served

SHIPPED = Path(__file__).parents[1] / "environments"
DEV = (SHIPPED / "dev.toml").read_text()
IMAGES = {"order-processor": "123456789012.dkr.ecr.ap-southeast-2.amazonaws.com/orderops-dev-order-processor:1"}
SERVICE = "orderops-dev-order-processor"
DATABASE = "orderops-dev-database"
LOGS = "orderops-dev-access-logs-123456789012"
REGION = "ap-southeast-2"
EVERYTHING = ("--yes", "--confirm", DATABASE, "--confirm", LOGS, "--confirm", SERVICE)
Client = Callable[[str], Any]
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def account() -> Iterator[Proxy]:
    with served() as proxy:
        yield proxy


@pytest.fixture(scope="module")
def made(account: Proxy) -> bytes:
    """The account with all of dev in it, released and running."""
    session = boto3.Session("testing", "testing", region_name=REGION)
    session._session.register_component("data_loader", MODELS)
    site = Site(load_environment("dev", SHIPPED), Aws(REGION, endpoint_url=account.url, session=session))
    run = Apply(site, IMAGES)
    assert len([*run.infra(), *run.release()]) > 40
    return account.keep()


@pytest.fixture
def proxy(account: Proxy, monkeypatch: pytest.MonkeyPatch) -> Proxy:
    monkeypatch.setenv("AWS_ENDPOINT_URL", account.url)
    monkeypatch.setattr("botocore.session.create_loader", lambda *_: MODELS)
    account.reset()
    return account


@pytest.fixture
def dev(proxy: Proxy, made: bytes) -> Proxy:
    """Before every test, dev as it was made."""
    proxy.bring_back(made)
    return proxy


@pytest.fixture
def client(proxy: Proxy) -> Client:
    session = boto3.Session(region_name=REGION)
    return lambda service: session.client(service, endpoint_url=proxy.url)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with nothing but dev.toml in it."""
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


STRANGER = r"there is also dev here \(\d+ resources, a database among them\) and no file dev.toml: was it renamed\?"


def test_a_plan_for_a_renamed_environment_says_what_is_there_under_its_old_name(
    orderops: Orderops, dev: Proxy, renamed: str
) -> None:
    planned = orderops("infra", "plan", "--env", renamed)

    assert planned.code == 3
    said = planned.err.splitlines()
    assert re.fullmatch(STRANGER, said[1])
    assert said[2] == "an environment keeps its name: devel would be made anew, and dev stays as it is, unused"
    assert orderops("infra", "plan", "--env", renamed, "--json").json["without_file"]["dev"] > 30
    assert dev.changing == []


def test_a_renamed_environment_is_not_made_anew_unless_it_is_named(
    orderops: Orderops, dev: Proxy, client: Client, folder: Path, renamed: str
) -> None:
    before = take_inventory(client)
    dev.forget()

    refused = orderops("infra", "apply", "--env", renamed, "--yes")

    assert refused.code == 1
    file = folder / "dev.toml"
    assert refused.err.splitlines()[-3:] == [
        "error: devel would be made anew beside dev, which has no file; nothing was changed",
        f" hint: if it was renamed, give it its name back: git log --oneline -- {file}; git checkout COMMIT~ -- {file}",
        " hint: if devel is a new environment, say so: --confirm devel",
    ]
    assert dev.changing == []

    made = orderops("infra", "apply", "--env", renamed, "--yes", "--confirm", renamed)

    assert made.code == 0, made.err
    after = take_inventory(client)
    assert {kind: [name for name in names if name not in after[kind]] for kind, names in before.items()} == {
        kind: [] for kind in before
    }
    assert "was it renamed" not in orderops("infra", "plan", "--env", renamed).err


def test_the_account_is_asked_for_other_environments_only_where_nothing_is_there(
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


# who else uses what is to go


@pytest.mark.usefixtures("dev")
def test_what_others_hold_is_left_with_their_names_and_the_rest_goes(orderops: Orderops, client: Client) -> None:
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
    assert "hint: it is not ours: look whose it is, and have it ended; the same command then takes what is left" in (
        down.err
    )
    left = take_inventory(client)
    assert {kind: left.get(kind, []) for kind in ("queue", "secret", "alarm", "repository", "nat gateway")} == {
        "queue": [],
        "secret": [],
        "alarm": [],
        "repository": [],
        "nat gateway": [],
    }


@pytest.mark.usefixtures("dev")
def test_another_database_on_our_groups_is_named_and_stays(orderops: Orderops, client: Client) -> None:
    a_database(client)

    down = orderops("down", "--env", "dev", *EVERYTHING)

    theirs = "database instance theirs (of the environment prod, available)"
    assert down.code == 1
    assert told_holders(down.err) == {
        "rds-parameter-group/orderops-dev-postgres16": theirs,
        "rds-subnet-group/orderops-dev-database": theirs,
    }
    assert take_inventory(client)["database"] == ["theirs"]


@pytest.mark.usefixtures("dev")
def test_what_stands_in_our_vpc_is_named(orderops: Orderops, client: Client) -> None:
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
def test_one_thing_that_ours_still_use_is_refused_at_once(
    orderops: Orderops, dev: Proxy, address: str, user: str
) -> None:
    refused = orderops("down", "--env", "dev", "--only", address, "--yes")

    assert refused.code == 1
    assert refused.err.splitlines()[0].startswith(f"error: {address} is used by {user}")
    assert "hint: nothing was removed; " in refused.err
    assert dev.changing == []


def told_holders(said: str) -> dict[str, str]:
    lines = [line.removeprefix("x ") for line in said.splitlines() if ": is held by " in line]
    return dict(line.split(": is held by ") for line in lines)


def an_interface(client: Client) -> str:
    """Of somebody's function, in a subnet of ours; answers how it is told."""
    ec2 = client("ec2")
    found = ec2.describe_subnets(Filters=tagged("ec2-subnet", "orderops-dev-private-a"))["Subnets"][0]
    words = "AWS Lambda VPC ENI-report"
    made = ec2.create_network_interface(SubnetId=found["SubnetId"], Description=words)["NetworkInterface"]
    return f"{made['NetworkInterfaceId']} ({words}, owner 123456789012)"


def a_group(client: Client) -> str:
    """Of somebody's, with a rule that names ours."""
    ec2 = client("ec2")
    ours = ec2.describe_security_groups(Filters=tagged("ec2-security-group", SERVICE))["SecurityGroups"][0]
    theirs = ec2.create_security_group(GroupName="reports", Description="theirs", VpcId=ours["VpcId"])["GroupId"]
    pairs = [{"GroupId": ours["GroupId"]}]
    rule = {"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443, "UserIdGroupPairs": pairs}
    ec2.authorize_security_group_ingress(GroupId=theirs, IpPermissions=[rule])
    return f"{theirs} (security group reports, owner 123456789012, names it in a rule)"


def a_listener_and_a_service(client: Client) -> None:
    """Of somebody's in a network of their own: a listener to our target group, a service in our cluster."""
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
    """Of another balancer, to a target group of ours."""
    elbv2 = client("elbv2")
    target = elbv2.describe_target_groups(Names=[SERVICE])["TargetGroups"][0]["TargetGroupArn"]
    balancer = elbv2.create_load_balancer(Name="theirs", Subnets=subnets, Scheme="internal")["LoadBalancers"][0][
        "LoadBalancerArn"
    ]
    actions = [{"Type": "forward", "TargetGroupArn": target}]
    elbv2.create_listener(LoadBalancerArn=balancer, Protocol="HTTP", Port=80, DefaultActions=actions)


def a_service(client: Client, subnets: list[str], group: str) -> None:
    """Somebody's, in our cluster."""
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
    """Of another environment, on our subnet group and parameter group."""
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
