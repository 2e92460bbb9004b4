"""Security groups and their rules."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import boto3
import pytest
from botocore.awsrequest import AWSResponse

from orderops.aws.client import Aws
from orderops.aws.ownership import Ownership
from orderops.engine.destroy import destroy
from orderops.engine.inventory import Inventory
from orderops.engine.resource import Effect, Observed
from orderops.engine.step import Action
from orderops.engine.waiting import ReconcileLimits
from orderops.errors import Unfinished
from orderops.frozen import replace
from orderops.resources.ec2_security_group import Ec2SecurityGroup, IngressRule
from orderops.resources.ec2_vpc import Ec2Vpc
from support.contract import Up, keeps_its_promises, remove
from support.faults import Fault, Faults, PowerCut

VPC = Ec2Vpc("orderops-dev-vpc", "10.0.0.0/16")
EVERYTHING = IngressRule(0, "0.0.0.0/0", "everywhere", protocol="-1")
BALANCER = Ec2SecurityGroup(
    "orderops-dev-balancer",
    VPC,
    "the balancer",
    ingress=(IngressRule(80, "0.0.0.0/0", "the world"), IngressRule(80, "::/0", "the world")),
    egress=(IngressRule(8080, "10.0.0.0/16", "the tasks"),),
)
TASKS = Ec2SecurityGroup(
    "orderops-dev-tasks", VPC, "the tasks", ingress=(IngressRule(8080, BALANCER, "the balancer"),), egress=(EVERYTHING,)
)
DATABASE = Ec2SecurityGroup("orderops-dev-db", VPC, "the database", ingress=(IngressRule(5432, TASKS, "the tasks"),))


def test_the_resource_contract_is_fulfilled(aws: Aws, up: Up) -> None:
    keeps_its_promises(
        DATABASE, aws, up, ingress=(*DATABASE.ingress, IngressRule(5432, "10.9.0.0/16", "the office (VPN)"))
    )


def test_every_rule_is_one_readable_line(aws: Aws, up: Up) -> None:
    up(BALANCER, TASKS, DATABASE)

    assert _rules(aws, BALANCER) == (
        ["tcp 80 from 0.0.0.0/0 (the world)", "tcp 80 from ::/0 (the world)"],
        ["tcp 8080 to 10.0.0.0/16 (the tasks)"],
    )
    assert _rules(aws, TASKS) == (
        [f"tcp 8080 from {_live(aws, BALANCER).id} (the balancer)"],
        ["everything to 0.0.0.0/0 (everywhere)"],
    )
    assert _rules(aws, DATABASE) == ([f"tcp 5432 from {_live(aws, TASKS).id} (the tasks)"], [])


def test_a_plan_names_every_rule_to_groups_that_are_not_made_yet(up: Up) -> None:
    shared = replace(DATABASE, ingress=(IngressRule(5432, TASKS, "the tasks"), IngressRule(5432, BALANCER, "a check")))

    changes = up(shared, dry_run=True)[DATABASE.address].changes

    lines = ["tcp 5432 from (known after apply) (a check)", "tcp 5432 from (known after apply) (the tasks)"]
    assert changes["Ingress"] == (None, lines)


def test_a_group_is_created_after_the_groups_that_its_rules_name() -> None:
    assert {need.address for need in DATABASE.needs()} == {VPC.address, TASKS.address}


def test_a_new_group_allows_only_declared_egress(aws: Aws, up: Up) -> None:
    up(DATABASE)

    assert (
        aws.ec2.describe_security_groups(GroupNames=[DATABASE.name])["SecurityGroups"][0]["IpPermissionsEgress"] == []
    )


OPENED: dict[str, tuple[dict[str, Any], str]] = {
    "the world": ({"IpRanges": [{"CidrIp": "0.0.0.0/0"}]}, "tcp 5432 from 0.0.0.0/0"),
    "the world, IPv6": ({"Ipv6Ranges": [{"CidrIpv6": "::/0"}]}, "tcp 5432 from ::/0"),
    "a prefix list": ({"PrefixListIds": [{"PrefixListId": "pl-1"}]}, "tcp 5432 from pl-1"),
    "an address": (
        {"IpRanges": [{"CidrIp": "1.2.3.4/32", "Description": "a (new) friend"}]},
        "tcp 5432 from 1.2.3.4/32 (a (new) friend)",
    ),
    "a range of ports": (
        {"FromPort": 1024, "ToPort": 2048, "IpRanges": [{"CidrIp": "1.2.3.4/32"}]},
        "tcp 1024-2048 from 1.2.3.4/32",
    ),
    "everything": ({"IpProtocol": "-1", "IpRanges": [{"CidrIp": "1.2.3.4/32"}]}, "everything from 1.2.3.4/32"),
    "pings": (
        {"IpProtocol": "icmp", "FromPort": 8, "ToPort": -1, "IpRanges": [{"CidrIp": "1.2.3.4/32"}]},
        "icmp 8--1 from 1.2.3.4/32",
    ),
}


@pytest.mark.parametrize("who", OPENED)
def test_a_rule_added_by_hand_is_shown_and_revoked(aws: Aws, up: Up, who: str) -> None:
    given, line = OPENED[who]
    up(DATABASE)
    before = _rules(aws, DATABASE)
    permission = {"IpProtocol": "tcp", "FromPort": 5432, "ToPort": 5432, **given}
    if permission["IpProtocol"] == "-1":
        del permission["FromPort"], permission["ToPort"]
    aws.ec2.authorize_security_group_ingress(GroupId=_live(aws, DATABASE).id, IpPermissions=[permission])

    step = up(DATABASE)[DATABASE.address]

    assert step.changes == {"Ingress": (sorted([*before[0], line]), before[0])}
    assert step.effect is Effect.INTERRUPTS
    assert _rules(aws, DATABASE) == before


def test_removing_one_of_many_sources_on_a_port_is_a_one_line_difference(aws: Aws, up: Up) -> None:
    up(BALANCER)
    world = {"IpProtocol": "tcp", "FromPort": 80, "ToPort": 80, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}
    aws.ec2.revoke_security_group_ingress(GroupId=_live(aws, BALANCER).id, IpPermissions=[world])

    step = up(BALANCER)[BALANCER.address]

    observed_rules, wanted = step.changes["Ingress"]
    assert set(wanted) - set(observed_rules) == {"tcp 80 from 0.0.0.0/0 (the world)"}
    assert step.effect is Effect.SAFE
    assert up(BALANCER)[BALANCER.address].action is Action.NO_OP


def test_a_new_description_does_not_interrupt_a_rule(aws: Aws, up: Up, the_faults: Faults) -> None:
    up(BALANCER)
    renamed = replace(BALANCER, egress=(IngressRule(8080, "10.0.0.0/16", "orders"),))
    the_faults.calls.clear()

    step = up(renamed)[renamed.address]

    assert step.effect is Effect.SAFE
    assert "ec2.RevokeSecurityGroupEgress" not in the_faults.calls
    assert _rules(aws, BALANCER)[1] == ["tcp 8080 to 10.0.0.0/16 (orders)"]


def test_a_source_is_compared_as_aws_writes_it(up: Up) -> None:
    group = replace(
        DATABASE,
        ingress=(IngressRule(5432, "10.9.8.7/16", "the office"), IngressRule(5432, "2001:DB8:0::/48", "it too")),
    )
    up(group)

    assert up(group)[group.address].action is Action.NO_OP


def test_a_rule_declared_twice_is_one_rule(aws: Aws, up: Up) -> None:
    group = replace(
        DATABASE, ingress=(IngressRule(5432, "10.9.0.0/16", "one"), IngressRule(5432, "10.9.1.1/16", "another"))
    )
    up(group)

    assert up(group)[group.address].action is Action.NO_OP
    assert _rules(aws, group)[0] == ["tcp 5432 from 10.9.0.0/16 (another)"]


@pytest.mark.parametrize(
    ("key", "other"),
    [
        ("Description", replace(BALANCER, description="another")),
        ("VpcId", replace(BALANCER, vpc=Ec2Vpc("orderops-dev-other", "10.1.0.0/16"))),
    ],
    ids=["description", "vpc"],
)
def test_the_kind_of_a_target_group_is_immutable(up: Up, key: str, other: Ec2SecurityGroup) -> None:
    up(BALANCER)

    with pytest.raises(Unfinished, match=f"{key} cannot be changed"):
        up(other)


@pytest.mark.parametrize("call", range(0, 16, 2))
def test_a_run_interrupted_at_any_call_is_completed_by_the_next(aws: Aws, up: Up, power_cut: Fault, call: int) -> None:
    with power_cut("ec2", after=call), pytest.raises(PowerCut):
        up(TASKS)

    up(TASKS)

    assert {step.action for step in up(TASKS).values()} == {Action.NO_OP}


@pytest.mark.parametrize("call", ["CreateSecurityGroup", "AuthorizeSecurityGroupIngress", "RevokeSecurityGroupEgress"])
def test_a_lost_answer_makes_nothing_twice(aws: Aws, up: Up, lose_answer: Fault, call: str) -> None:
    with lose_answer("ec2", call):
        assert up(BALANCER)[BALANCER.address].action is Action.CREATE

    assert up(BALANCER)[BALANCER.address].action is Action.NO_OP


def test_a_resource_that_lost_its_tags_is_adopted_only_on_request(aws: Aws, up: Up) -> None:
    up(BALANCER)
    mine = _live(aws, BALANCER).id
    aws.ec2.delete_tags(Resources=[mine], Tags=[{"Key": "orderops:environment"}, {"Key": "orderops:address"}])

    with pytest.raises(Unfinished, match=f"{mine} exists and has no owner"):
        up(BALANCER)
    up(BALANCER, adopt=[BALANCER.address])

    assert up(BALANCER)[BALANCER.address].action is Action.NO_OP


def test_a_group_named_by_owned_groups_can_be_deleted(session: boto3.Session, aws: Aws, up: Up) -> None:
    _refuse_deleting_what_is_named(session)
    up(DATABASE)

    remove(TASKS, Aws("ap-southeast-2", session=session))

    assert _rules(aws, DATABASE) == ([], [])


def test_a_group_named_by_a_foreign_rule_is_kept_and_the_rule_is_reported(
    session: boto3.Session, aws: Aws, up: Up
) -> None:
    _refuse_deleting_what_is_named(session)
    up(BALANCER)
    observed = _live(aws, BALANCER)
    other = aws.ec2.create_security_group(GroupName="theirs", Description="theirs", VpcId=observed.properties["VpcId"])
    rule = {"IpProtocol": "-1", "UserIdGroupPairs": [{"GroupId": observed.id}]}
    aws.ec2.authorize_security_group_ingress(GroupId=other["GroupId"], IpPermissions=[rule])

    inventory = Inventory(aws, "dev", [Ec2SecurityGroup])
    theirs = rf"used by {other['GroupId']} \(security group theirs, owner \d+, names it in a rule\)"
    with pytest.raises(Unfinished, match=theirs):
        list(destroy(inventory.owned(), inventory, limits=ReconcileLimits(timeout=timedelta(seconds=0.5))))

    assert aws.ec2.describe_security_groups(GroupIds=[other["GroupId"]])["SecurityGroups"][0]["IpPermissions"]


def test_any_number_of_unchanged_groups_cost_one_call(up: Up, the_faults: Faults) -> None:
    up(BALANCER, TASKS, DATABASE)
    the_faults.calls.clear()

    assert {step.action for step in up(BALANCER, TASKS, DATABASE).values()} == {Action.NO_OP}
    assert the_faults.calls.count("ec2.DescribeSecurityGroups") == 1
    assert not [call for call in the_faults.calls if "SecurityGroupRule" in call]


def _refuse_deleting_what_is_named(session: boto3.Session) -> None:
    """As AWS does, and the emulator does not."""

    def refuse(params: Any, **_: Any) -> tuple[Any, Any] | None:
        group = params["body"]["GroupId"]
        groups = boto3.client("ec2", region_name="ap-southeast-2").describe_security_groups()["SecurityGroups"]
        pairs = [
            pair for raw in groups for permission in raw["IpPermissions"] for pair in permission["UserIdGroupPairs"]
        ]
        if group not in [pair["GroupId"] for pair in pairs]:
            return None
        refusal = {"Code": "DependencyViolation", "Message": f"resource {group} has a dependent object"}
        return AWSResponse("", 400, {}, None), {"Error": refusal}

    session.events.register("before-call.ec2.DeleteSecurityGroup", refuse)


def _rules(aws: Aws, group: Ec2SecurityGroup) -> tuple[list[str], list[str]]:
    observed = _live(aws, group).properties
    return observed["Ingress"], observed["Egress"]


def _live(aws: Aws, group: Ec2SecurityGroup) -> Observed:
    (observed,) = Ec2SecurityGroup.listing(aws, Ownership("dev", group.address, group.name))
    return observed


@pytest.mark.parametrize(("now", "wanted"), [(40, 40), (60, 60), (1, 60), (60, 1), (59, 30)])
def test_address_ranges_take_the_place_of_others_in_a_full_group(
    session: boto3.Session, aws: Aws, up: Up, now: int, wanted: int
) -> None:
    """AWS allows 60 rules (hashicorp/terraform-provider-aws#30289)."""
    up(replace(BALANCER, ingress=_ranges("203.0", now)))
    sizes: list[int] = []
    session.events.register("after-call.ec2.RevokeSecurityGroupIngress", lambda **_: sizes.append(_opened(aws)))

    up(replace(BALANCER, ingress=_ranges("198.51", wanted)))

    assert _rules(aws, BALANCER)[0] == sorted(f"tcp 80 from 198.51.{n}.0/24 (clients)" for n in range(wanted))
    # Half of them serve at any time, as far as there are so many.
    assert min(sizes) >= min(now, wanted, 30)


def test_moving_a_port_keeps_the_old_one_open_and_closing_a_range_does_not_wait() -> None:
    observed = {
        "Ingress": ["tcp 8080 from sg-1 (balancer)", "tcp 9090 from 10.0.0.0/8 (clients)", "tcp 22 from 1.2.3.4/32"],
        "Egress": [],
    }
    desired = {"Ingress": ["tcp 9090 from sg-1 (balancer)"], "Egress": []}

    assert TASKS.widened(observed, desired) == {
        "Ingress": ["tcp 22 from 1.2.3.4/32", "tcp 8080 from sg-1 (balancer)", "tcp 9090 from sg-1 (balancer)"],
        "Egress": [],
    }
    assert TASKS.effect("Ingress", observed["Ingress"], desired["Ingress"]) is Effect.INTERRUPTS
    assert TASKS.effect("Ingress", observed["Ingress"][:1], desired["Ingress"]) is Effect.SAFE


def _ranges(start: str, count: int) -> tuple[IngressRule, ...]:
    return tuple(IngressRule(80, f"{start}.{n}.0/24", "clients") for n in range(count))


def _opened(aws: Aws) -> int:
    group = _live(aws, BALANCER)
    return len(group.properties["Ingress"])
