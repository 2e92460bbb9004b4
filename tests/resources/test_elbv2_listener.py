"""Listeners."""

from __future__ import annotations

from typing import Any

import boto3
import pytest

from orderops.aws.client import Aws
from orderops.aws.ownership import Ownership
from orderops.engine.step import Action
from orderops.frozen import replace
from orderops.resources.acm_certificate import AcmCertificate
from orderops.resources.elbv2_listener import NOTHING_HERE, Elbv2Listener, Redirect, action_of
from support.contract import Up, keeps_its_promises
from support.declared_service import BALANCER, LISTENER, TARGETS
from support.faults import Fault, PowerCut


def test_the_resource_contract_is_fulfilled(aws: Aws, up: Up) -> None:
    keeps_its_promises(LISTENER, aws, up)


def test_requests_that_match_no_rule_get_a_404(aws: Aws, up: Up) -> None:
    up(LISTENER)

    (action,) = _listeners(aws)[0]["DefaultActions"]

    assert (action["Type"], action["FixedResponseConfig"]["StatusCode"]) == ("fixed-response", "404")
    # AWS does not keep white space at the ends, so a plan would show a difference for ever.
    assert action["FixedResponseConfig"]["MessageBody"] == action["FixedResponseConfig"]["MessageBody"].strip()


def test_a_default_action_changed_by_hand_is_repaired(aws: Aws, up: Up) -> None:
    up(LISTENER, TARGETS)
    group = aws.elbv2.describe_target_groups()["TargetGroups"][0]["TargetGroupArn"]
    forward = [{"Type": "forward", "TargetGroupArn": group}]
    aws.elbv2.modify_listener(ListenerArn=_listeners(aws)[0]["ListenerArn"], DefaultActions=forward)

    step = up(LISTENER)[LISTENER.address]

    assert step.changes == {"DefaultActions": (forward, [NOTHING_HERE])}
    assert up(LISTENER)[LISTENER.address].action is Action.NO_OP


def test_properties_that_aws_adds_to_an_action_are_no_drift(session: boto3.Session, aws: Aws, up: Up) -> None:
    def told(parsed: dict[str, Any], **_: Any) -> None:
        for raw in parsed.get("Listeners", ()):
            raw["DefaultActions"][0]["Order"] = 1

    session.events.register("after-call.elastic-load-balancing-v2.DescribeListeners", told)

    up(LISTENER)

    assert up(LISTENER)[LISTENER.address].action is Action.NO_OP


def test_each_port_has_its_own_listener(aws: Aws, up: Up) -> None:
    other = Elbv2Listener(f"{BALANCER.name}:8081", BALANCER, 8081)

    up(LISTENER, other)

    assert {raw["Port"] for raw in _listeners(aws)} == {80, 8081}
    assert {step.action for step in up(LISTENER, other).values()} == {Action.NO_OP}


def test_a_load_balancer_deleted_meanwhile_has_no_listeners(aws: Aws, up: Up, session: boto3.Session) -> None:
    up(LISTENER)
    elbv2 = boto3.client("elbv2", region_name="ap-southeast-2")

    def goes(**_: Any) -> None:
        elbv2.delete_load_balancer(LoadBalancerArn=_balancer(elbv2))

    session.events.register_first("before-call.elastic-load-balancing-v2.DescribeListeners", goes)
    again = Aws("ap-southeast-2", session=session)

    assert list(Elbv2Listener.listing(again, Ownership("dev"))) == []


@pytest.mark.parametrize("call", range(3, 12, 2))
def test_a_run_interrupted_at_any_call_is_completed_by_the_next(aws: Aws, up: Up, power_cut: Fault, call: int) -> None:
    with power_cut("elbv2", after=call), pytest.raises(PowerCut):
        up(LISTENER)

    up(LISTENER)

    assert up(LISTENER)[LISTENER.address].action is Action.NO_OP
    assert len(_listeners(aws)) == 1


def test_a_lost_answer_makes_no_second_one(aws: Aws, up: Up, lose_answer: Fault) -> None:
    with lose_answer("elbv2", "CreateListener"):
        assert up(LISTENER)[LISTENER.address].action is Action.CREATE

    assert len(_listeners(aws)) == 1


def _balancer(elbv2: Any) -> str:
    return str(elbv2.describe_load_balancers(Names=[BALANCER.name])["LoadBalancers"][0]["LoadBalancerArn"])


def _listeners(aws: Aws) -> list[dict[str, Any]]:
    return list(aws.elbv2.describe_listeners(LoadBalancerArn=_balancer(aws.elbv2))["Listeners"])


def test_a_listener_with_a_redirect_sends_requests_on_and_serves_again_without_it(aws: Aws, up: Up) -> None:
    redirect = Redirect("orders.example.com", 8443)

    keeps_its_promises(LISTENER, aws, up, redirect=redirect)

    up(replace(LISTENER, redirect=redirect))
    (action,) = _listeners(aws)[0]["DefaultActions"]
    config = {key: action["RedirectConfig"][key] for key in ("Protocol", "Host", "Port", "Path", "StatusCode")}
    assert config == {
        "Protocol": "HTTPS",
        "Host": "orders.example.com",
        "Port": "8443",
        "Path": "/#{path}",
        "StatusCode": "HTTP_301",
    }


def test_members_of_a_redirect_that_aws_adds_are_read_back() -> None:
    """A redirect made by hand names only what it changes."""
    config = {"Protocol": "HTTPS", "StatusCode": "HTTP_301"}
    raw = {"Type": "redirect", "Order": 1, "RedirectConfig": config}

    added = {"Host": "#{host}", "Path": "/#{path}", "Port": "#{port}", "Query": "#{query}"}
    assert action_of(raw) == {"Type": "redirect", "RedirectConfig": {**config, **added}}


def test_a_listener_with_a_certificate_fulfils_the_contract(aws: Aws, up: Up, monkeypatch: pytest.MonkeyPatch) -> None:
    # moto issues a certificate after this time, and the contract needs no DNS.
    monkeypatch.setattr("moto.settings.ACM_VALIDATION_WAIT", -1)
    aws.route53.create_hosted_zone(Name="example.com", CallerReference="ours")
    certificate = AcmCertificate("orders.example.com", ("orders.example.com",), "example.com")
    secure = Elbv2Listener(f"{BALANCER.name}:443", BALANCER, 443, certificate)

    keeps_its_promises(secure, aws, up, hsts_seconds=3600)

    (raw,) = _listeners(aws)
    assert (raw["Protocol"], raw["SslPolicy"]) == ("HTTPS", "ELBSecurityPolicy-TLS13-1-2-Res-PQ-2025-09")
