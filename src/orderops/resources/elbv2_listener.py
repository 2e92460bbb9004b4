"""HTTP listener of a load balancer; requests that match no rule get a 404."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from orderops.aws.client import Aws, every
from orderops.aws.ownership import Ownership, Tags, to_pairs
from orderops.engine.resource import Observed, Outputs, Properties, Resource
from orderops.errors import AwsError
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


@dataclass(frozen=True, eq=False)
class Elbv2Listener(Resource):
    """Named `<load balancer>:<port>`: a load balancer has one listener for each port."""

    load_balancer: Elbv2LoadBalancer
    port: int = 80

    kind: ClassVar[str] = "elbv2-listener"
    retryable_errors: ClassVar[frozenset[str]] = frozenset(
        {"ListenerNotFound", "LoadBalancerNotFound", "DuplicateListener"}
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
                    "DefaultActions": [_action(action) for action in raw["DefaultActions"]],
                }
                yield Observed(
                    raw["ListenerArn"], properties, name=f"{balancer.name}:{raw['Port']}", arn=raw["ListenerArn"]
                )

    @classmethod
    def tags(cls, aws: Aws, observed: Observed) -> Tags:
        return tags_of(aws, observed.arn)

    @classmethod
    def retag(cls, aws: Aws, observed: Observed, tags: Tags) -> None:
        aws.elbv2.add_tags(ResourceArns=[observed.arn], Tags=to_pairs(tags))

    def desired(self, outputs: Outputs) -> Properties:
        return {
            "LoadBalancerArn": outputs[self.load_balancer].arn,
            "Port": self.port,
            "Protocol": "HTTP",
            "DefaultActions": [NOTHING_HERE],
        }

    def create(self, aws: Aws, desired: Properties, owner: Ownership) -> None:
        aws.elbv2.create_listener(**desired, Tags=owner.pairs)

    def update(self, aws: Aws, observed: Observed, changed: Properties) -> None:
        aws.elbv2.modify_listener(ListenerArn=observed.arn, **changed)

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


def _action(raw: Mapping[str, Any]) -> dict[str, Any]:
    return {key: raw[key] for key in ("Type", "FixedResponseConfig", "TargetGroupArn") if key in raw}
