"""Listeners: one a port, and none for HTTPS without a certificate."""

from __future__ import annotations

from typing import Any

from orderops.local.emulator.protocol import ApiError, Request, Response
from orderops.local.emulator.server import Emulator
from orderops.local.strict.delays import Delays
from orderops.local.strict.interfaces import backend

SERVICE = "elasticloadbalancing"


def take_part(emulator: Emulator, _pace: Delays) -> None:
    """Refuse a second listener on a port, unless it is the same; that one is then the answer."""

    def same(call: Request) -> Response | None:
        there = _on_port(call)
        if there is None:
            return None
        if not _alike(call, there):
            raise _duplicate(there)
        question = {"Action": "DescribeListeners", "Version": "2015-12-01", "ListenerArns.member.1": there.arn}
        answer = emulator.ask_moto(call, call.with_form(question))
        return Response(answer.status, answer.body.replace(b"DescribeListeners", b"CreateListener"), answer.headers)

    emulator.instead[SERVICE, "CreateListener"] = same
    emulator.on_before(SERVICE, "CreateListener", _certified)
    emulator.on_before(SERVICE, "ModifyListener", _certified)
    emulator.on_before(SERVICE, "ModifyListener", _port_is_free)


def mend(emulator: Emulator) -> None:
    """Let rules of one call change places: moto refuses a priority that the same call frees."""
    emulator.on_before(SERVICE, "SetRulePriorities", _make_room)


def _on_port(call: Request) -> Any:
    balancer = backend("elbv2", call.region).load_balancers.get(call.form.get("LoadBalancerArn"))
    listeners = balancer.listeners.values() if balancer else ()
    return next((one for one in listeners if str(one.port) == call.form.get("Port")), None)


def _alike(call: Request, there: Any) -> bool:
    asked = call.parameters
    certificates = [one["CertificateArn"] for one in asked.get("Certificates", ())]
    actions = [_flat(one) for one in asked.get("DefaultActions", ())]
    return (
        asked.get("Protocol") == there.protocol
        and certificates == list(there.certificates)
        and actions == [_flat(dict(one.data)) for one in there.default_actions]
    )


def _flat(action: Any) -> Any:
    """The action as text, without what moto adds to it."""
    if isinstance(action, dict):
        extra = ("TargetGroupStickinessConfig", "Weight")
        return {name: _flat(value) for name, value in action.items() if name not in extra}
    return [_flat(one) for one in action] if isinstance(action, list) else str(action)


def _duplicate(there: Any) -> ApiError:
    return ApiError(
        "DuplicateListener",
        f"A listener already exists on this port for this load balancer '{there.load_balancer_arn}'",
    )


def _certified(call: Request) -> None:
    certificates = [one["CertificateArn"] for one in call.parameters.get("Certificates", ())]
    if call.form.get("Protocol") == "HTTPS" and not certificates and call.action == "CreateListener":
        raise ApiError("ValidationError", "A certificate must be specified for HTTPS listeners")
    for arn in certificates:
        if ":acm:" not in arn:
            continue
        known = backend("acm", call.region)._certificates.get(arn)
        if known is None:
            raise ApiError("CertificateNotFound", f"Certificate '{arn}' not found")
        if known.status != "ISSUED":
            raise ApiError(
                "UnsupportedCertificate",
                f"The certificate '{arn}' must have a fully-qualified domain name, a supported signature, "
                "and a supported key size.",
            )


def _port_is_free(call: Request) -> None:
    arn, port = call.form.get("ListenerArn"), call.form.get("Port")
    for balancer in backend("elbv2", call.region).load_balancers.values():
        for other in balancer.listeners.values() if arn in balancer.listeners else ():
            if port and other.arn != arn and str(other.port) == port:
                raise _duplicate(other)


def _make_room(call: Request) -> None:
    """When the places asked for are free once all rules of the call have left theirs, let them leave first."""
    asked = {one["RuleArn"]: int(one["Priority"]) for one in call.parameters.get("RulePriorities", ())}
    wanted = sorted(asked.values())
    for balancer in backend("elbv2", call.region).load_balancers.values():
        for listener in balancer.listeners.values():
            moving = [rule for rule in listener._non_default_rules.values() if rule.arn in asked]
            staying = {rule.priority for rule in listener._non_default_rules.values() if rule.arn not in asked}
            if len(moving) == len(asked) and len(set(wanted)) == len(wanted) and not staying & set(wanted):
                for place, rule in enumerate(moving, start=1):
                    rule.priority = -place
