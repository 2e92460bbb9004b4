"""Listener of a load balancer, HTTP or HTTPS; requests that match no rule get a 404, or are sent on to HTTPS."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from orderops.aws.client import Aws, every
from orderops.aws.ownership import Ownership, Tags, to_pairs
from orderops.engine.resource import Observed, Outputs, Properties, Resource
from orderops.errors import AwsError
from orderops.frozen import Frozen, replace
from orderops.resources.acm_certificate import AcmCertificate
from orderops.resources.elbv2_load_balancer import Elbv2LoadBalancer, load_balancers, tags_of

NOTHING_HERE = {
    "Type": "fixed-response",
    "FixedResponseConfig": {
        "StatusCode": "404",
        "ContentType": "text/plain",
        # Without a newline at the end: AWS does not keep it, so every plan would show a difference.
        "MessageBody": "nothing is served here",
    },
}
# TLS 1.2 and 1.3, with key exchanges that stay secret from later quantum computers. Without a policy in the request,
# AWS takes ELBSecurityPolicy-2016-08, which admits TLS 1.0.
SSL_POLICY = "ELBSecurityPolicy-TLS13-1-2-Res-PQ-2025-09"
SAME_HOST = "#{host}"
"""In a redirect: the host of the request."""
HSTS = "routing.http.response.strict_transport_security.header_value"


class Redirect(Frozen):
    """Where requests by HTTP are sent on to, for good: a host and its port for HTTPS."""

    host: str
    port: int

    def action(self) -> dict[str, Any]:
        """The action of a rule or a listener, with every member that AWS would add."""
        config = {"Host": self.host, "Path": "/#{path}", "Port": str(self.port), "Protocol": "HTTPS"}
        return {"Type": "redirect", "RedirectConfig": {**config, "Query": "#{query}", "StatusCode": "HTTP_301"}}


class Elbv2Listener(Resource):
    """Named `<load balancer>:<port>`: a load balancer has one listener for each port.

    With a certificate it speaks HTTPS. One with a `redirect` answers nothing itself, once everything in `after` exists.
    """

    load_balancer: Elbv2LoadBalancer
    port: int = 80
    certificate: AcmCertificate | None = None
    hsts_seconds: int = 0
    redirect: Redirect | None = None
    after: tuple[Resource, ...] = ()

    kind: ClassVar[str] = "elbv2-listener"
    retryable_errors: ClassVar[frozenset[str]] = frozenset(
        {
            "ListenerNotFound",
            "LoadBalancerNotFound",
            "DuplicateListener",
            # ELB learns of an issued certificate minutes later.
            "CertificateNotFound",
            "UnsupportedCertificate",
        }
    )
    immutable: ClassVar[frozenset[str]] = frozenset({"LoadBalancerArn"})

    @classmethod
    def listing(cls, aws: Aws, owner: Ownership) -> Iterator[Observed]:
        for balancer in load_balancers(aws, owner):
            for raw in listeners(aws, balancer):
                properties = {
                    "LoadBalancerArn": raw["LoadBalancerArn"],
                    "Port": raw["Port"],
                    "Protocol": raw["Protocol"],
                    "DefaultActions": [action_of(action) for action in raw["DefaultActions"]],
                    "Certificates": [item["CertificateArn"] for item in raw.get("Certificates", ())],
                    "SslPolicy": raw.get("SslPolicy"),
                }
                yield Observed(
                    raw["ListenerArn"], properties, name=f"{balancer.name}:{raw['Port']}", arn=raw["ListenerArn"]
                )

    def detail(self, aws: Aws, observed: Observed) -> Observed:
        if self.certificate is None:
            return observed
        pairs = aws.elbv2.describe_listener_attributes(ListenerArn=observed.arn)["Attributes"]
        value = next((pair.get("Value", "") for pair in pairs if pair["Key"] == HSTS), "")
        return replace(observed, properties={**observed.properties, HSTS: value})

    @classmethod
    def tags(cls, aws: Aws, observed: Observed) -> Tags:
        return tags_of(aws, observed.arn)

    @classmethod
    def retag(cls, aws: Aws, observed: Observed, tags: Tags) -> None:
        aws.elbv2.add_tags(ResourceArns=[observed.arn], Tags=to_pairs(tags))

    def desired(self, outputs: Outputs) -> Properties:
        desired = {
            "LoadBalancerArn": outputs[self.load_balancer].arn,
            "Port": self.port,
            "Protocol": "HTTPS" if self.certificate else "HTTP",
            "DefaultActions": [self.redirect.action() if self.redirect else NOTHING_HERE],
        }
        if self.certificate:
            desired["Certificates"] = [outputs[self.certificate].arn]
            desired["SslPolicy"] = SSL_POLICY
            desired[HSTS] = f"max-age={self.hsts_seconds}" if self.hsts_seconds else ""
        return desired

    def create(self, aws: Aws, desired: Properties, owner: Ownership) -> None:
        aws.elbv2.create_listener(**_given(desired), Tags=owner.pairs)

    def update(self, aws: Aws, observed: Observed, changed: Properties) -> None:
        if given := _given(changed):
            aws.elbv2.modify_listener(ListenerArn=observed.arn, **given)
        if HSTS in changed:
            attributes = [{"Key": HSTS, "Value": changed[HSTS]}]
            aws.elbv2.modify_listener_attributes(ListenerArn=observed.arn, Attributes=attributes)

    @classmethod
    def delete(cls, aws: Aws, observed: Observed) -> None:
        aws.elbv2.delete_listener(ListenerArn=observed.arn)


def listeners(aws: Aws, balancer: Observed) -> Iterator[dict[str, Any]]:
    """The listeners of a load balancer; none if it was deleted meanwhile."""
    try:
        yield from every(aws.elbv2.describe_listeners, "Listeners", LoadBalancerArn=balancer.arn)
    except AwsError as error:
        if error.code != "LoadBalancerNotFound":
            raise


def action_of(raw: Mapping[str, Any]) -> dict[str, Any]:
    """An action as it is declared: with the members of a redirect that AWS adds, and nothing else that it adds."""
    action = {
        key: raw[key] for key in ("Type", "FixedResponseConfig", "RedirectConfig", "TargetGroupArn") if key in raw
    }
    if "RedirectConfig" in action:
        added = {"Host": SAME_HOST, "Path": "/#{path}", "Port": "#{port}", "Protocol": "#{protocol}"}
        action["RedirectConfig"] = {**added, "Query": "#{query}", **action["RedirectConfig"]}
    return action


def _given(properties: Properties) -> dict[str, Any]:
    """Properties as parameters of CreateListener and ModifyListener."""
    given = {key: value for key, value in properties.items() if key != HSTS}
    if "Certificates" in given:
        given["Certificates"] = [{"CertificateArn": arn} for arn in given["Certificates"]]
    return given
