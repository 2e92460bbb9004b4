from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from support.emulated_network import Network, until
from support.strict_clients import Client, Refused

ACCOUNT = "123456789012"
SYDNEY = "arn:aws:iam::783225319266:root"
LOGS = {"access_logs.s3.enabled": "true", "access_logs.s3.bucket": "our-logs"}
NOTHING = {"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "404"}}


def create(client: Client, network: Network, name: str = "front", **settings: Any) -> dict[str, Any]:
    balancer = client("elbv2").create_load_balancer(**{"Name": name, "Subnets": network.subnets, **settings})
    return dict(balancer["LoadBalancers"][0])


def state(client: Client, balancer: dict[str, Any]) -> str:
    response = client("elbv2").describe_load_balancers(LoadBalancerArns=[balancer["LoadBalancerArn"]])
    return str(response["LoadBalancers"][0]["State"]["Code"])


def listen(client: Client, balancer: dict[str, Any], **settings: Any) -> str:
    parameters = {"Port": 80, "Protocol": "HTTP", "DefaultActions": [NOTHING], **settings}
    response = client("elbv2").create_listener(LoadBalancerArn=balancer["LoadBalancerArn"], **parameters)
    return str(response["Listeners"][0]["ListenerArn"])


def set_attributes(client: Client, balancer: dict[str, Any], attributes: dict[str, str]) -> None:
    pairs = [{"Key": key, "Value": value} for key, value in attributes.items()]
    client("elbv2").modify_load_balancer_attributes(LoadBalancerArn=balancer["LoadBalancerArn"], Attributes=pairs)


def bucket(client: Client, statement: dict[str, Any] | None = None, name: str = "our-logs") -> None:
    region = {"LocationConstraint": "ap-southeast-2"}
    client("s3").create_bucket(Bucket=name, CreateBucketConfiguration=region)
    if statement:
        policy = {"Version": "2012-10-17", "Statement": [statement]}
        client("s3").put_bucket_policy(Bucket=name, Policy=json.dumps(policy))


def test_a_balancer_is_provisioned_for_a_while(moto: Client, strict: Client) -> None:
    network = Network(moto)
    assert state(moto, create(moto, network, "plain")) == "active"

    balancer = create(strict, network)

    assert balancer["State"]["Code"] == "provisioning"
    assert state(strict, balancer) == "provisioning"
    until(lambda: state(strict, balancer) == "active")


def test_creating_a_balancer_twice_returns_it_unless_settings_differ(
    moto: Client, strict: Client, refused: Refused
) -> None:
    network = Network(moto)
    arns = {create(moto, network, "plain")["LoadBalancerArn"] for _ in range(2)}
    assert len(arns) == 2

    balancer = create(strict, network)
    again = create(strict, network)

    assert again["LoadBalancerArn"] == balancer["LoadBalancerArn"]
    with refused("DuplicateLoadBalancerName"):
        create(strict, network, Scheme="internal")


@pytest.mark.parametrize("name", ["a" * 33, "under_score", "-first", "last-", "internal-orders"])
def test_an_invalid_balancer_name_is_refused(moto: Client, strict: Client, refused: Refused, name: str) -> None:
    network = Network(moto)
    create(moto, network, name)

    with refused("ValidationError"):
        create(strict, network, f"{name}")


def test_a_balancer_needs_subnets_in_two_zones(moto: Client, strict: Client, refused: Refused) -> None:
    network = Network(moto)
    one = network.subnets[:1]
    third = moto("ec2").create_subnet(VpcId=network.vpc, CidrBlock="10.0.9.0/24", AvailabilityZone="ap-southeast-2a")
    same_zone = [*one, third["Subnet"]["SubnetId"]]
    create(moto, network, "plain-a", Subnets=one)
    create(moto, network, "plain-b", Subnets=same_zone)

    with refused("ValidationError"):
        create(strict, network, Subnets=one)
    with refused("InvalidConfigurationRequest"):
        create(strict, network, Subnets=same_zone)
    with refused("SubnetNotFound"):
        create(strict, network, Subnets=[*one, "subnet-0123456789abcdef0"])
    balancer = create(strict, network)
    with refused("ValidationError"):
        strict("elbv2").set_subnets(LoadBalancerArn=balancer["LoadBalancerArn"], Subnets=one)


def test_a_balancer_needs_an_internet_gateway_and_groups_of_its_vpc(
    moto: Client, strict: Client, refused: Refused
) -> None:
    island, network = Network(moto, attached=False), Network(moto)
    stranger = island.group("stranger")
    create(moto, island, "plain-a")
    create(moto, network, "plain-b", SecurityGroups=[stranger])

    with refused("InvalidSubnet"):
        create(strict, island)
    create(strict, island, Scheme="internal")
    with refused("InvalidConfigurationRequest"):
        create(strict, network, "other", SecurityGroups=[stranger])
    create(strict, network, "other", SecurityGroups=[network.group("front")])


def test_a_protected_balancer_is_not_deleted(moto: Client, strict: Client, refused: Refused) -> None:
    network, protection = Network(moto), {"deletion_protection.enabled": "true"}
    first, second = create(moto, network, "plain"), create(strict, network)
    for balancer in (first, second):
        set_attributes(moto, balancer, protection)
    moto("elbv2").delete_load_balancer(LoadBalancerArn=first["LoadBalancerArn"])

    with refused("OperationNotPermitted"):
        strict("elbv2").delete_load_balancer(LoadBalancerArn=second["LoadBalancerArn"])
    set_attributes(strict, second, {"deletion_protection.enabled": "false"})
    strict("elbv2").delete_load_balancer(LoadBalancerArn=second["LoadBalancerArn"])


def test_a_deleted_balancer_holds_its_network_for_a_while(moto: Client, strict: Client, refused: Refused) -> None:
    other = Network(moto)
    group = other.group("front")
    create(moto, other, "plain", SecurityGroups=[group])
    moto("ec2").delete_security_group(GroupId=group)
    moto("ec2").delete_subnet(SubnetId=other.subnets[0])

    network, ec2 = Network(moto), strict("ec2")
    group = network.group("front")
    balancer = create(strict, network, SecurityGroups=[group])
    taking: dict[str, Callable[[], object]] = {
        "the group": lambda: ec2.delete_security_group(GroupId=group),
        "the subnet": lambda: ec2.delete_subnet(SubnetId=network.subnets[0]),
        "the gateway": lambda: ec2.detach_internet_gateway(InternetGatewayId=network.gateway, VpcId=network.vpc),
    }
    for take in taking.values():
        with refused("DependencyViolation"):
            take()
    strict("elbv2").delete_load_balancer(LoadBalancerArn=balancer["LoadBalancerArn"])
    with refused("DependencyViolation"):
        taking["the group"]()

    def taken() -> bool:
        try:
            taking["the group"]()
        except ec2.exceptions.ClientError:
            return False
        return True

    until(taken)
    taking["the subnet"]()
    taking["the gateway"]()


def test_access_logs_need_a_bucket_that_lets_aws_write(moto: Client, strict: Client, refused: Refused) -> None:
    network = Network(moto)
    set_attributes(moto, create(moto, network, "plain"), LOGS)
    balancer = create(strict, network)
    write = {"Effect": "Allow", "Principal": {"AWS": SYDNEY}, "Action": "s3:PutObject"}

    with refused("InvalidConfigurationRequest"):
        set_attributes(strict, balancer, LOGS)
    bucket(moto)
    with refused("InvalidConfigurationRequest"):
        set_attributes(strict, balancer, LOGS)
    bucket(moto, {**write, "Resource": f"arn:aws:s3:::narrow-logs/other/AWSLogs/{ACCOUNT}/*"}, "narrow-logs")
    with refused("InvalidConfigurationRequest"):
        set_attributes(strict, balancer, LOGS | {"access_logs.s3.bucket": "narrow-logs"})
    set_attributes(strict, balancer, LOGS | {"access_logs.s3.bucket": "narrow-logs", "access_logs.s3.prefix": "other"})
    found = moto("s3").list_objects_v2(Bucket="narrow-logs")["Contents"]
    assert [rule["Key"] for rule in found] == [f"other/AWSLogs/{ACCOUNT}/ELBAccessLogTestFile"]
    set_attributes(strict, balancer, {"idle_timeout.timeout_seconds": "30"})
    set_attributes(strict, balancer, {"access_logs.s3.enabled": "false"})


def test_a_port_has_one_listener(moto: Client, strict: Client, refused: Refused) -> None:
    network = Network(moto)
    first, second = create(moto, network, "plain"), create(strict, network)
    assert listen(moto, first) != listen(moto, first)

    listener = listen(strict, second)

    assert listen(strict, second) == listener
    with refused("DuplicateListener"):
        listen(
            strict, second, DefaultActions=[{"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "503"}}]
        )
    other = listen(strict, second, Port=81)
    with refused("DuplicateListener"):
        strict("elbv2").modify_listener(ListenerArn=other, Port=80)


def test_https_needs_an_issued_certificate(moto: Client, strict: Client, refused: Refused) -> None:
    network = Network(moto)
    first, second = create(moto, network, "plain"), create(strict, network)
    arn = moto("acm").request_certificate(DomainName="orders.example.org")["CertificateArn"]
    https = {"Port": 443, "Protocol": "HTTPS"}
    listen(moto, first, **https)

    with refused("ValidationError"):
        listen(strict, second, **https)
    with refused("CertificateNotFound"):
        listen(strict, second, **https, Certificates=[{"CertificateArn": arn[:-12] + "0" * 12}])
    with refused("UnsupportedCertificate"):
        listen(strict, second, **https, Certificates=[{"CertificateArn": arn}])


def test_rules_swap_priorities_in_one_request(moto: Client, strict: Client, refused: Refused) -> None:
    network = Network(moto)
    listener = listen(moto, create(moto, network))
    path = [{"Field": "path-pattern", "PathPatternConfig": {"Values": ["/a"]}}]
    rules = [
        moto("elbv2").create_rule(ListenerArn=listener, Priority=n, Conditions=path, Actions=[NOTHING])["Rules"][0]
        for n in (1, 2, 3)
    ]
    one, two, _ = (rule["RuleArn"] for rule in rules)
    swap = [{"RuleArn": one, "Priority": 2}, {"RuleArn": two, "Priority": 1}]
    with refused("PriorityInUse"):
        moto("elbv2").set_rule_priorities(RulePriorities=swap)

    strict("elbv2").set_rule_priorities(RulePriorities=swap)

    def places() -> list[str]:
        response = strict("elbv2").describe_rules(RuleArns=[one, two])["Rules"]
        return [rule["Priority"] for rule in sorted(response, key=lambda rule: [one, two].index(rule["RuleArn"]))]

    assert places() == ["2", "1"]
    with refused("PriorityInUse"):
        strict("elbv2").set_rule_priorities(RulePriorities=[{"RuleArn": one, "Priority": 3}])
    assert places() == ["2", "1"]


def test_a_target_without_a_server_is_not_healthy(moto: Client, strict: Client) -> None:
    network = Network(moto)
    instance = moto("ec2").run_instances(ImageId="ami-12c6146b", MinCount=1, MaxCount=1, SubnetId=network.subnets[0])[
        "Instances"
    ][0]["InstanceId"]
    group = moto("elbv2").create_target_group(Name="group", Protocol="HTTP", Port=80, VpcId=network.vpc)
    arn = group["TargetGroups"][0]["TargetGroupArn"]
    moto("elbv2").register_targets(TargetGroupArn=arn, Targets=[{"Id": instance}])

    def health(client: Client) -> dict[str, str]:
        response = client("elbv2").describe_target_health(TargetGroupArn=arn)["TargetHealthDescriptions"]
        return dict(response[0]["TargetHealth"])

    assert health(moto)["State"] == "healthy"
    assert (health(strict)["State"], health(strict)["Reason"]) == ("unused", "Target.NotInUse")
    listen(moto, create(moto, network), DefaultActions=[{"Type": "forward", "TargetGroupArn": arn}])
    assert (health(strict)["State"], health(strict)["Reason"]) == ("unhealthy", "Target.Timeout")


def test_a_rule_that_is_changed_or_deleted_changes_which_target_groups_are_in_use(strict: Client) -> None:
    network = Network(strict)
    elb = strict("elbv2")
    first, second = (
        elb.create_target_group(Name=name, Protocol="HTTP", Port=80, VpcId=network.vpc, TargetType="ip")[
            "TargetGroups"
        ][0]["TargetGroupArn"]
        for name in ("first", "second")
    )
    listener = listen(strict, create(strict, network))
    paths = [{"Field": "path-pattern", "PathPatternConfig": {"Values": ["/*"]}}]
    actions = [{"Type": "forward", "TargetGroupArn": first}]
    rule = elb.create_rule(ListenerArn=listener, Priority=1, Conditions=paths, Actions=actions)["Rules"][0]["RuleArn"]

    def in_use() -> list[str]:
        return [
            one["TargetGroupName"] for one in elb.describe_target_groups()["TargetGroups"] if one["LoadBalancerArns"]
        ]

    assert in_use() == ["first"]
    both = {"TargetGroups": [{"TargetGroupArn": first, "Weight": 100}, {"TargetGroupArn": second, "Weight": 0}]}
    elb.modify_rule(RuleArn=rule, Actions=[{"Type": "forward", "ForwardConfig": both}])
    assert sorted(in_use()) == ["first", "second"]
    elb.modify_rule(RuleArn=rule, Actions=[{"Type": "forward", "TargetGroupArn": second}])
    assert in_use() == ["second"]
    elb.delete_rule(RuleArn=rule)
    assert in_use() == []
