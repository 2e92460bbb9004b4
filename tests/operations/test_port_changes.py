"""Changed ports and regions of a released environment: served throughout, or refused as a whole."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from orderops.aws.client import Aws
from orderops.config.environment import load_environment
from orderops.engine.step import Step
from orderops.errors import OrderopsError
from orderops.infra.apply import Apply, Release
from orderops.infra.plan import Plan, make_plan
from orderops.infra.workspace import Workspace
from support.command_line import Orderops
from support.faulty_proxy import Proxy

# End to end.
pytestmark = pytest.mark.slow

FILE = """
[network]
cidr = "10.99.0.0/16"
[database]
[balancer]
port = 80
[services.shop]
port = 8080
max_tasks = 2
[services.billing]
paths = ["/billing/*"]
priority = 1
max_tasks = 2
"""
IMAGES = dict.fromkeys(("shop", "billing"), "123456789012.dkr.ecr.ap-southeast-2.amazonaws.com/image:1")


class Environment:
    """A released environment, whose file is edited."""

    def __init__(self, folder: Path, proxy: Proxy, client: Any) -> None:
        self._folder, self._proxy, self.client = folder, proxy, client
        self._text = FILE

    def edit(self, line: str, edited: str) -> None:
        assert line in self._text
        self._text = self._text.replace(line, edited, 1)
        (self._folder / "dev.toml").write_text(self._text)

    @property
    def workspace(self) -> Workspace:
        (self._folder / "dev.toml").write_text(self._text)
        return Workspace(load_environment("dev", self._folder), Aws("ap-southeast-2", endpoint_url=self._proxy.url))

    def plan(self, **options: Any) -> Plan:
        return make_plan(self.workspace, images=IMAGES, **options)

    def up(self, *, prune: bool = False) -> list[Step]:
        """Apply everything in the order of `orderops up`, and return the steps."""
        workspace = self.workspace
        work = Apply(workspace, IMAGES, make_plan(workspace, images=IMAGES, prune=prune))
        return [*work.infra(), *work.release(), *work.names(), *(work.prune() if prune else ()), *work.narrow()]

    def open_ports(self, name: str) -> list[int]:
        """The ports that a security group opens."""
        return [permission["FromPort"] for permission in self._group(name)["IpPermissions"]]

    def sources(self, name: str) -> set[str]:
        """The names of the security groups that may connect."""
        pairs = [pair for permission in self._group(name)["IpPermissions"] for pair in permission["UserIdGroupPairs"]]
        groups = self.client("ec2").describe_security_groups(GroupIds=[pair["GroupId"] for pair in pairs])
        return {group["GroupName"] for group in groups["SecurityGroups"]}

    def served_ports(self) -> set[int]:
        """The ports on which a rule leads to a service."""
        elb = self.client("elbv2")
        [balancer] = elb.describe_load_balancers(Names=["orderops-dev-balancer"])["LoadBalancers"]
        listeners = elb.describe_listeners(LoadBalancerArn=balancer["LoadBalancerArn"])["Listeners"]
        rules = {
            listener["Port"]: elb.describe_rules(ListenerArn=listener["ListenerArn"])["Rules"] for listener in listeners
        }
        return {port for port, found in rules.items() if len(found) > 1}

    def _group(self, name: str) -> Any:
        filters = [{"Name": "group-name", "Values": [name]}]
        [group] = self.client("ec2").describe_security_groups(Filters=filters)["SecurityGroups"]
        return group


_released: list[bytes] = []
"""The account after the first `up`, made once for each process."""


@pytest.fixture
def dev(tmp_path: Path, proxy: Proxy, client: Any) -> Environment:
    made = Environment(tmp_path, proxy, client)
    if not _released:
        made.up()
        _released.append(proxy.keep())
    proxy.bring_back(_released[0])
    proxy.forget()
    return made


@pytest.fixture
def orderops(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Orderops:
    return Orderops(capsys, "--env", "dev", "--environments", str(tmp_path))


def test_the_ports_of_a_running_environment_change_without_closing_one_in_use(
    dev: Environment, proxy: Proxy, orderops: Orderops
) -> None:
    # A service's port: the old one is closed after the release has replaced the tasks.
    dev.edit("port = 8080", "port = 9090")
    with pytest.raises(OrderopsError, match="security-group/orderops-dev-shop must be updated first") as early:
        Release(dev.workspace).plan(IMAGES)
    assert "orderops infra apply --env dev" in early.value.hint

    planned = orderops("infra", "plan")
    alone = orderops("infra", "apply", "--yes")
    assert (planned.code, alone.code) == (3, 0), alone.err
    assert "+ tcp 9090" in planned.out
    assert "- tcp 8080" not in planned.out
    assert "services differ too: ecs-task-definition/orderops-dev-shop" in planned.err
    assert sorted(dev.open_ports("orderops-dev-shop")) == [8080, 9090]
    differing = orderops("infra", "plan", "--json").json["services"]
    assert differing["unreleased"] == []
    assert "ecs-service/orderops-dev-shop" in differing["differ"]

    proxy.forget()
    dev.up()
    changes = [str(request) for request in proxy.requests if request.changes]
    assert changes.index("ecs.UpdateService") < changes.index("ec2.RevokeSecurityGroupIngress")
    assert dev.open_ports("orderops-dev-shop") == [9090]
    assert not dev.plan().changes

    # The balancer's port: clients of the old one are served until it is pruned.
    dev.edit("port = 80\n", "port = 8081\n")
    dev.up()
    assert dev.served_ports() == set(dev.open_ports("orderops-dev-balancer")) == {80, 8081}
    kept = dev.plan()
    assert not kept.changes
    assert sorted(owned.address.rpartition(":")[2] for owned in kept.undeclared) == ["80", "80", "80"]
    dev.up(prune=True)
    assert dev.served_ports() == set(dev.open_ports("orderops-dev-balancer")) == {8081}
    assert not dev.plan().differs


def test_a_service_taken_out_of_the_file_reaches_the_database_until_it_is_pruned(dev: Environment) -> None:
    dev.edit('[services.billing]\npaths = ["/billing/*"]\npriority = 1\nmax_tasks = 2\n', "")

    dev.up()
    assert dev.sources("orderops-dev-database") == {"orderops-dev-shop", "orderops-dev-billing"}
    assert not dev.plan().changes

    dev.up(prune=True)
    assert dev.sources("orderops-dev-database") == {"orderops-dev-shop"}


@pytest.mark.parametrize("command", [("infra", "plan"), ("infra", "apply", "--yes"), ("down", "--yes")])
def test_another_region_is_refused_before_anything_changes(
    dev: Environment, proxy: Proxy, orderops: Orderops, command: tuple[str, ...]
) -> None:
    dev.edit("[network]\n", 'region = "eu-west-1"\n[network]\n')

    refused = orderops(*command)

    assert refused.code == 1
    assert "dev lives in ap-southeast-2" in refused.err
    assert 'set region = "ap-southeast-2" in dev.toml' in refused.err
    assert proxy.changing == []


def test_without_roles_the_bucket_says_where_an_environment_lives(dev: Environment, orderops: Orderops) -> None:
    iam = dev.client("iam")
    for role in iam.list_roles()["Roles"]:
        if role["RoleName"].startswith("orderops-dev-"):
            iam.delete_role_policy(RoleName=role["RoleName"], PolicyName="orderops")
    dev.edit("[network]\n", 'region = "us-east-1"\n[network]\n')

    assert "dev lives in ap-southeast-2" in orderops("infra", "plan").err


def test_a_refused_change_takes_those_of_its_group_along(dev: Environment, proxy: Proxy, orderops: Orderops) -> None:
    # The address range of the VPC cannot change, and its subnets would be created beside it.
    dev.edit("10.99.0.0/16", "10.98.0.0/16")

    planned = orderops("infra", "plan", "--json")
    refused = orderops("infra", "apply", "--yes")

    steps = {step["address"]: step for step in planned.json["steps"]}
    assert "CidrBlock cannot be changed" in steps["ec2-vpc/orderops-dev-vpc"]["refused"]
    assert all("refused" in step or "held_by" in step for step in steps.values())
    assert refused.code == 1
    assert proxy.changing == []


def test_a_full_security_group_refuses_a_second_port(dev: Environment, proxy: Proxy, orderops: Orderops) -> None:
    cidrs = ", ".join(f'"203.0.{n}.0/24"' for n in range(31))
    dev.edit("port = 80\n", f"port = 80\nallowed_cidrs = [{cidrs}]\n")
    dev.up()
    proxy.forget()
    dev.edit("port = 80\n", "port = 8081\n")
    refused = orderops("infra", "apply", "--yes")

    assert refused.code == 1
    assert "old and new port need 62 rules" in refused.err
    assert "orderops up --prune --env dev" in refused.err
