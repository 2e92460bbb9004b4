"""Association of a web ACL with a load balancer or a stage of a REST API: from then on, AWS WAF judges its requests."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any, ClassVar

from orderops.aws.client import Aws, every, if_found
from orderops.aws.ownership import Ownership
from orderops.engine.features import Feature
from orderops.engine.resource import Effect, Observed, Outputs, Properties, Resource, unknown_in
from orderops.errors import OrderopsError
from orderops.resources.apigateway_stage import ApigatewayStage
from orderops.resources.elbv2_load_balancer import Elbv2LoadBalancer
from orderops.resources.wafv2_listing import FEATURE, RETRYABLE, acls_of
from orderops.resources.wafv2_logging import Wafv2Logging
from orderops.resources.wafv2_web_acl import Wafv2WebAcl


class Wafv2Association(Resource):
    """Named as what it guards is, which has one web ACL at most.

    `logging` is needed only for its order: it is there before the first request is judged, and until after the last.
    """

    guarded: Elbv2LoadBalancer | ApigatewayStage
    acl: Wafv2WebAcl
    logging: Wafv2Logging | None = None

    kind: ClassVar[str] = "wafv2-association"
    untagged: ClassVar[bool] = True
    feature: ClassVar[Feature | None] = FEATURE
    retryable_errors: ClassVar[frozenset[str]] = RETRYABLE
    effects: ClassVar[Mapping[str, Effect]] = {"WebACLArn": Effect.INTERRUPTS}
    # WAF does not find a new balancer or stage for minutes.
    timeout: ClassVar[timedelta] = timedelta(minutes=15)
    typical_duration: ClassVar[timedelta] = timedelta(seconds=30)

    @classmethod
    def listing(cls, aws: Aws, owner: Ownership) -> Iterator[Observed]:
        ours = {raw["ARN"] for raw in acls_of(aws, owner.environment)}
        for name, guarded in _guardable(aws, owner) if ours else ():
            arn = _acl_of(aws, guarded)
            # One that people or Firewall Manager have chosen is not ours.
            if arn and arn in ours:
                yield _observed(guarded, arn, owner.named(cls.kind, name), name)

    def occupant(self, aws: Aws, desired: Properties) -> Observed | None:
        guarded = desired["ResourceArn"]
        arn = None if unknown_in(guarded) else _acl_of(aws, guarded)
        return _observed(guarded, arn, {}, self.name) if arn else None

    def desired(self, outputs: Outputs) -> Properties:
        return {"ResourceArn": outputs[self.guarded].arn, "WebACLArn": outputs[self.acl].arn}

    def create(self, aws: Aws, desired: Properties, owner: Ownership) -> None:
        aws.wafv2.associate_web_acl(**desired)

    def update(self, aws: Aws, observed: Observed, changed: Properties) -> None:
        aws.wafv2.associate_web_acl(**{**observed.properties, **changed})

    @classmethod
    def delete(cls, aws: Aws, observed: Observed) -> None:
        aws.wafv2.disassociate_web_acl(ResourceArn=observed.id)

    def refusal(self, observed: Observed, key: str, desired: Any, environment: str) -> OrderopsError | None:
        name = _name_of(observed.properties["WebACLArn"])
        # AWS would put ours in its place without a word.
        if name.startswith(f"orderops-{environment}-"):
            return None
        what = "stage" if isinstance(self.guarded, ApigatewayStage) else "load balancer"
        return OrderopsError(
            f"the {what} {self.name} has the web ACL {name}, which orderops did not make",
            f"leave it there: enabled = false in [waf]; or have its owner take it away: "
            f"aws wafv2 disassociate-web-acl --resource-arn {observed.id}",
        )


def _guardable(aws: Aws, owner: Ownership) -> Iterator[tuple[str, str]]:
    """The name and the ARN of each load balancer and of each stage that an environment may have a web ACL on."""
    for raw in every(aws.elbv2.describe_load_balancers, "LoadBalancers"):
        if raw["LoadBalancerName"].startswith(owner.prefix) and raw.get("Type", "application") == "application":
            yield raw["LoadBalancerName"], raw["LoadBalancerArn"]
    for stage in ApigatewayStage.listing(aws, Ownership(owner.environment)):
        if stage.name.startswith(owner.prefix):
            yield stage.name, stage.arn


def _acl_of(aws: Aws, guarded: str) -> str | None:
    """The ARN of the web ACL on a resource; None if it has none, or WAF does not know the resource yet."""
    unknown = ("WAFNonexistentItemException", "WAFUnavailableEntityException")
    found = if_found(aws.wafv2.get_web_acl_for_resource, *unknown, ResourceArn=guarded)
    return str(found["WebACL"]["ARN"]) if found and found.get("WebACL") else None


def _name_of(arn: str) -> str:
    # The end of its ARN is webacl/NAME/ID.
    return arn.split("/")[-2]


def _observed(guarded: str, arn: str, tags: Mapping[str, str], name: str) -> Observed:
    return Observed(guarded, {"ResourceArn": guarded, "WebACLArn": arn}, tags=tags, name=name)
