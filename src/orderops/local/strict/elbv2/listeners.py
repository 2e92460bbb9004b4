"""Listeners: one for each port, and HTTPS only with an issued certificate."""

from __future__ import annotations

from typing import Any

from orderops.local.emulator.protocol import ApiError, Request, Response
from orderops.local.emulator.server import Emulator
from orderops.local.strict.delays import Delays
from orderops.local.strict.interfaces import backend

SERVICE = "elasticloadbalancing"
# "Security policies for your Application Load Balancer": the beginnings of their names.
POLICIES = (
    "ELBSecurityPolicy-TLS13-1-",
    "ELBSecurityPolicy-TLS-1-",
    "ELBSecurityPolicy-FS-1-",
    "ELBSecurityPolicy-2016-08",
)


def register(emulator: Emulator, _delays: Delays) -> None:
    """Reject a second listener on a port; an equal one is returned instead."""

    def reuse_existing(request: Request) -> Response | None:
        existing = _on_port(request)
        if existing is None:
            return None
        if not _is_same(request, existing):
            raise _duplicate(existing)
        parameters = {"Action": "DescribeListeners", "Version": "2015-12-01", "ListenerArns.member.1": existing.arn}
        response = emulator.call_moto(request, request.with_form(parameters))
        return Response(
            response.status, response.body.replace(b"DescribeListeners", b"CreateListener"), response.headers
        )

    # CreateListener is idempotent on AWS: a request with equal settings returns the existing listener.
    emulator.instead[SERVICE, "CreateListener"] = reuse_existing
    emulator.on_before(SERVICE, "CreateListener", _check_certificates)
    emulator.on_before(SERVICE, "ModifyListener", _check_certificates)
    emulator.on_before(SERVICE, "ModifyListener", _check_port_free)
    for action in ("CreateListener", "ModifyListener"):
        emulator.on_before(SERVICE, action, _check_policy)


def patch(emulator: Emulator) -> None:
    """Let rules of one request swap priorities: moto rejects a priority that the same request frees."""
    emulator.on_before(SERVICE, "SetRulePriorities", _free_priorities)


def _on_port(request: Request) -> Any:
    balancer = backend("elbv2", request.region).load_balancers.get(request.form.get("LoadBalancerArn"))
    listeners = balancer.listeners.values() if balancer else ()
    return next((listener for listener in listeners if str(listener.port) == request.form.get("Port")), None)


def _is_same(request: Request, existing: Any) -> bool:
    parameters = request.parameters
    certificates = [item["CertificateArn"] for item in parameters.get("Certificates", ())]
    actions = [_flat(item) for item in parameters.get("DefaultActions", ())]
    return (
        parameters.get("Protocol") == existing.protocol
        and certificates == list(existing.certificates)
        and actions == [_flat(dict(item.data)) for item in existing.default_actions]
    )


def _flat(action: Any) -> Any:
    """Return the action with strings as values, without the fields that moto adds."""
    if isinstance(action, dict):
        extra = ("TargetGroupStickinessConfig", "Weight")
        return {name: _flat(value) for name, value in action.items() if name not in extra}
    return [_flat(item) for item in action] if isinstance(action, list) else str(action)


def _duplicate(existing: Any) -> ApiError:
    return ApiError(
        "DuplicateListener",
        f"A listener already exists on this port for this load balancer '{existing.load_balancer_arn}'",
    )


def _check_certificates(request: Request) -> None:
    certificates = [item["CertificateArn"] for item in request.parameters.get("Certificates", ())]
    if request.form.get("Protocol") == "HTTPS" and not certificates and request.action == "CreateListener":
        raise ApiError("ValidationError", "A certificate must be specified for HTTPS listeners")
    for arn in certificates:
        # Certificates in IAM have no state.
        if ":acm:" not in arn:
            continue
        certificate = backend("acm", request.region)._certificates.get(arn)
        if certificate is None:
            raise ApiError("CertificateNotFound", f"Certificate '{arn}' not found")
        if certificate.status != "ISSUED":
            raise ApiError(
                "UnsupportedCertificate",
                f"The certificate '{arn}' must have a fully-qualified domain name, a supported signature, "
                "and a supported key size.",
            )


def _check_policy(request: Request) -> None:
    policy = request.form.get("SslPolicy")
    if policy and not any(policy.startswith(known) for known in POLICIES):
        raise ApiError("SSLPolicyNotFound", f"SSL policy '{policy}' not found")


def _check_port_free(request: Request) -> None:
    arn, port = request.form.get("ListenerArn"), request.form.get("Port")
    for balancer in backend("elbv2", request.region).load_balancers.values():
        for other in balancer.listeners.values() if arn in balancer.listeners else ():
            if port and other.arn != arn and str(other.port) == port:
                raise _duplicate(other)


def _free_priorities(request: Request) -> None:
    """Move all rules of the request out of the way when their new priorities do not collide."""
    requested = {item["RuleArn"]: int(item["Priority"]) for item in request.parameters.get("RulePriorities", ())}
    wanted = sorted(requested.values())
    for balancer in backend("elbv2", request.region).load_balancers.values():
        for listener in balancer.listeners.values():
            moving = [rule for rule in listener._non_default_rules.values() if rule.arn in requested]
            kept_priorities = {
                rule.priority for rule in listener._non_default_rules.values() if rule.arn not in requested
            }
            if len(moving) == len(requested) and len(set(wanted)) == len(wanted) and not kept_priorities & set(wanted):
                for position, rule in enumerate(moving, start=1):
                    # Negative priorities are unused, and moto accepts any that are free.
                    rule.priority = -position
