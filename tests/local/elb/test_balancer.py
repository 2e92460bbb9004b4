from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from orderops import local
from orderops.local.elb.routing import HttpRequest, Listener, RoutingRule, pick_group, redirect_to
from orderops.local.elb.targets import HealthCheck
from orderops.local.ports import free_port
from support.laptop import Laptop, Stack, until


def request(path: str = "/", method: str = "GET", host: str = "shop.example", query: str = "") -> HttpRequest:
    return HttpRequest(method, host, path, query, {"x-kind": "gold"})


@pytest.mark.parametrize(
    ("condition", "http_request", "matches"),
    [
        ({"Field": "path-pattern", "Values": ["/orders/*"]}, request("/orders/7"), True),
        ({"Field": "path-pattern", "Values": ["/orders/*"]}, request("/orders"), False),
        ({"Field": "path-pattern", "Values": ["/v?/*"]}, request("/v2/x/y"), True),
        ({"Field": "path-pattern", "Values": ["/v?/*"]}, request("/v10/x"), False),
        ({"Field": "path-pattern", "Values": ["/a.b"]}, request("/aXb"), False),
        ({"Field": "path-pattern", "PathPatternConfig": {"Values": ["/x", "/y"]}}, request("/y"), True),
        ({"Field": "host-header", "Values": ["*.example"]}, request(host="Shop.example:8080"), True),
        ({"Field": "http-request-method", "HttpRequestMethodConfig": {"Values": ["POST"]}}, request(), False),
        ({"Field": "http-header", "HttpHeaderConfig": {"HttpHeaderName": "X-Kind", "Values": ["g*"]}}, request(), True),
        (
            {"Field": "query-string", "QueryStringConfig": {"Values": [{"Key": "a", "Value": "1"}]}},
            request(query="a=1"),
            True,
        ),
        (
            {"Field": "query-string", "QueryStringConfig": {"Values": [{"Key": "b", "Value": "1"}]}},
            request(query="a=1"),
            False,
        ),
    ],
)
def test_a_rule_matches_the_requests_of_its_condition(
    condition: dict[str, Any], http_request: HttpRequest, matches: bool
) -> None:
    assert RoutingRule(1, (condition,), ()).matches(http_request) is matches


def test_weights_decide_between_target_groups() -> None:
    groups = [{"TargetGroupArn": "never", "Weight": 0}, {"TargetGroupArn": "always", "Weight": 5}]

    assert pick_group({"Type": "forward", "ForwardConfig": {"TargetGroups": groups}}) == "always"


def test_a_redirect_keeps_the_parts_it_does_not_set() -> None:
    action = {"Type": "redirect", "RedirectConfig": {"Protocol": "HTTPS", "Port": "443", "StatusCode": "HTTP_301"}}

    assert redirect_to(action, request("/a/b", query="x=1"), 80) == (301, "https://shop.example:443/a/b?x=1")


def test_without_a_matching_rule_a_listener_has_no_action() -> None:
    assert Listener("arn", "lb", 80, ()).action(request())["Type"] == "none"


@pytest.mark.parametrize(
    ("matcher", "status", "good"), [("200", 200, True), ("200-299,404", 404, True), ("200", 500, False)]
)
def test_a_health_check_accepts_the_codes_of_its_matcher(matcher: str, status: int, good: bool) -> None:
    assert HealthCheck(matcher=matcher).accepts(status) is good


@pytest.fixture(scope="module")
def stack(laptop: Laptop) -> Iterator[Stack]:
    yield Stack(laptop, desired=1)


def test_a_listener_without_healthy_targets_returns_503(stack: Stack) -> None:
    until(lambda: not _refused(stack), what="the balancer listens")

    assert stack.get("/nothing")[0] == 503
    assert stack.balancer["DNSName"] == "localhost"


def test_rules_are_tried_in_the_order_of_their_priority(stack: Stack) -> None:
    elb = stack.laptop.client("elbv2")
    for priority, path, text in ((20, "/shop/*", "second"), (10, "/shop/new/*", "first")):
        elb.create_rule(
            ListenerArn=stack.listener,
            Priority=priority,
            Conditions=[{"Field": "path-pattern", "Values": [path]}],
            Actions=[{"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "200", "MessageBody": text}}],
        )

    until(lambda: stack.get("/shop/new/7") == (200, "first"), what="the first rule")
    assert stack.get("/shop/old/7") == (200, "second")
    assert stack.get("/")[0] == 503


def test_a_service_that_closes_the_connection_yields_502(laptop: Laptop) -> None:
    stack = Stack(laptop, desired=1)
    stack.create(stack.register(MODE="rude"))
    until(lambda: stack.health() == ["healthy"], what="the target is healthy")

    assert stack.get("/")[0] == 502


def test_a_deleted_listener_frees_its_port(laptop: Laptop) -> None:
    stack = Stack(laptop, desired=1)
    until(lambda: not _refused(stack), what="the balancer listens")

    stack.laptop.client("elbv2").delete_listener(ListenerArn=stack.listener)

    until(lambda: _refused(stack), what="the port is free")


def test_a_listener_on_the_port_of_another_program_is_refused(laptop: Laptop) -> None:
    stack = Stack(laptop, desired=1)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ClientError, match=f"port {port} is taken by another program"):
            laptop.client("elbv2").create_listener(
                LoadBalancerArn=stack.balancer["LoadBalancerArn"],
                Protocol="HTTP",
                Port=port,
                DefaultActions=[{"Type": "forward", "TargetGroupArn": stack.group}],
            )


@pytest.mark.slow
def test_a_port_taken_while_the_environment_was_down_is_reported_until_it_is_free(own_laptop: Laptop) -> None:
    laptop, stack = own_laptop, Stack(own_laptop, desired=1)
    database = laptop.create_database()
    local.stop(laptop.directory)
    port = database["Endpoint"]["Port"]
    with socket.create_server(("127.0.0.1", stack.port)), socket.create_server(("127.0.0.1", port)):
        laptop.start()

        state = until(lambda: _state(stack) if _state(stack)["Code"] == "failed" else None, what="the balancer fails")
        assert state
        assert f"port {stack.port} is taken by another program" in state["Reason"]
        laptop.wait_for_database(database["DBInstanceIdentifier"], "incompatible-network")
        assert f"port {port} is taken" in laptop.status()["databases"][database["DBInstanceIdentifier"]]["state"]

    until(lambda: _state(stack)["Code"] == "active", what="the balancer is active again")
    assert stack.get()[0] == 503
    laptop.connect(laptop.wait_for_database(database["DBInstanceIdentifier"], "available")).close()


def test_security_groups_decide_who_reaches_the_balancer_and_the_tasks(laptop: Laptop) -> None:
    stack, ec2 = Stack(laptop, desired=1), laptop.client("ec2")
    [vpc] = {subnet["VpcId"] for subnet in ec2.describe_subnets(SubnetIds=stack.subnets)["Subnets"]}
    entrance, tasks = (
        ec2.create_security_group(GroupName=name, Description=name, VpcId=vpc)["GroupId"] for name in ("in", "tasks")
    )
    world = {"IpProtocol": "tcp", "FromPort": stack.port, "ToPort": stack.port, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}
    # The container's port, and not the port that its process has on this machine.
    inside = {"IpProtocol": "tcp", "FromPort": 8080, "ToPort": 8080, "UserIdGroupPairs": [{"GroupId": entrance}]}
    laptop.client("elbv2").set_security_groups(
        LoadBalancerArn=stack.balancer["LoadBalancerArn"], SecurityGroups=[entrance]
    )
    until(lambda: _refused(stack), what="no client reaches the port")

    ec2.authorize_security_group_ingress(GroupId=entrance, IpPermissions=[world])
    ec2.authorize_security_group_ingress(GroupId=tasks, IpPermissions=[inside])
    network = {"awsvpcConfiguration": {"subnets": stack.subnets, "securityGroups": [tasks]}}
    stack.create(stack.register(), networkConfiguration=network)
    until(lambda: not _refused(stack) and stack.get()[0] == 200, what="the service answers")

    ec2.revoke_security_group_ingress(GroupId=tasks, IpPermissions=[inside])
    until(lambda: stack.get()[0] == 504, what="the balancer no longer reaches the task")


def _state(stack: Stack) -> dict[str, str]:
    elb = stack.laptop.client("elbv2")
    found: dict[str, str] = elb.describe_load_balancers(Names=[stack.name])["LoadBalancers"][0]["State"]
    return found


def _refused(stack: Stack) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", stack.port)) != 0


def test_two_free_ports_differ() -> None:
    first = free_port()
    assert free_port(excluded={first}) != first
