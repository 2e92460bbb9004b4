from __future__ import annotations

import pytest

from support.emulated_network import Network, rule
from support.strict_clients import Client, Refused


def test_a_group_that_another_refers_to_is_not_deleted(moto: Client, strict: Client, refused: Refused) -> None:
    network = Network(moto)

    def pair() -> tuple[str, str]:
        named, naming = network.group("named"), network.group("naming")
        moto("ec2").authorize_security_group_ingress(GroupId=naming, IpPermissions=[rule(named)])
        return named, naming

    for permission in pair():
        moto("ec2").delete_security_group(GroupId=permission)

    named, naming = pair()
    moto("ec2").authorize_security_group_ingress(
        GroupId=named, IpPermissions=[rule(named)]
    )  # a reference to itself does not count
    with refused("DependencyViolation"):
        strict("ec2").delete_security_group(GroupId=named)
    strict("ec2").delete_security_group(GroupId=naming)
    strict("ec2").delete_security_group(GroupId=named)


def test_the_default_group_is_not_deleted(moto: Client, strict: Client, refused: Refused) -> None:
    default = [{"Name": "vpc-id", "Values": [Network(moto).vpc]}]
    group = moto("ec2").describe_security_groups(Filters=default)["SecurityGroups"][0]["GroupId"]

    with refused("CannotDelete"):
        strict("ec2").delete_security_group(GroupId=group)
    moto("ec2").delete_security_group(GroupId=group)


def test_groups_are_listed_in_pages(moto: Client, strict: Client, refused: Refused) -> None:
    network = Network(moto)
    for number in range(6):
        network.group(f"group-{number}")
    ours = [{"Name": "vpc-id", "Values": [network.vpc]}]
    assert "NextToken" not in moto("ec2").describe_security_groups(Filters=ours, MaxResults=5)

    first = strict("ec2").describe_security_groups(Filters=ours, MaxResults=5)
    rest = strict("ec2").describe_security_groups(Filters=ours, MaxResults=5, NextToken=first["NextToken"])

    assert len(first["SecurityGroups"]) == 5
    assert len(rest["SecurityGroups"]) == 2
    assert "NextToken" not in rest
    with refused("InvalidParameterValue"):
        strict("ec2").describe_security_groups(MaxResults=1001)


@pytest.mark.parametrize("direction", ["ingress", "egress"])
def test_the_description_is_not_part_of_a_rules_identity(
    moto: Client, strict: Client, refused: Refused, direction: str
) -> None:
    network = Network(moto)
    peer, group = network.group("peer"), network.group("group")

    def ask(client: Client, verb: str, description: str) -> None:
        getattr(client("ec2"), f"{verb}_{direction}")(GroupId=group, IpPermissions=[rule(peer, description)])

    def description() -> list[str]:
        group_found = moto("ec2").describe_security_groups(GroupIds=[group])["SecurityGroups"][0]
        permissions = group_found["IpPermissions" if direction == "ingress" else "IpPermissionsEgress"]
        return [pair.get("Description", "") for permission in permissions for pair in permission["UserIdGroupPairs"]]

    update = "update_security_group_rule_descriptions"
    ask(moto, "authorize_security_group", "one")
    ask(moto, update, "two")
    assert description() == ["one"]
    with refused("InvalidPermission.NotFound"):
        ask(moto, "revoke_security_group", "")

    with refused("InvalidPermission.Duplicate"):
        ask(strict, "authorize_security_group", "two")
    ask(strict, update, "two")
    assert description() == ["two"]
    ask(strict, "revoke_security_group", "")
    assert description() == []
    with refused("InvalidPermission.NotFound"):
        ask(strict, update, "three")
    with refused("InvalidPermission.NotFound"):
        ask(strict, "revoke_security_group", "")
