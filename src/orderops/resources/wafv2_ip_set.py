"""IP set of AWS WAF: ranges of addresses that rules name."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_network
from typing import Any, ClassVar

from orderops.aws.client import Aws
from orderops.aws.ownership import Ownership, Tags, to_pairs
from orderops.engine.features import Feature
from orderops.engine.names import NameRule
from orderops.engine.resource import Observed, Outputs, Properties, Resource
from orderops.frozen import replace
from orderops.resources.wafv2_listing import FEATURE, NAME_RULE, RETRYABLE, SCOPE, listed, tags_of


class Wafv2IpSet(Resource):
    """Ranges of one version of IP, 4 or 6."""

    addresses: tuple[str, ...]
    version: int = 4

    kind: ClassVar[str] = "wafv2-ip-set"
    name_rule: ClassVar[NameRule | None] = NAME_RULE
    feature: ClassVar[Feature | None] = FEATURE
    retryable_errors: ClassVar[frozenset[str]] = RETRYABLE
    immutable: ClassVar[frozenset[str]] = frozenset({"IPAddressVersion"})

    @classmethod
    def listing(cls, aws: Aws, owner: Ownership) -> Iterator[Observed]:
        for raw in listed(aws.wafv2.list_ip_sets, "IPSets"):
            if raw["Name"].startswith(owner.prefix):
                token = {"LockToken": raw["LockToken"]}
                yield Observed(raw["Id"], token, name=raw["Name"], arn=raw["ARN"])

    def detail(self, aws: Aws, observed: Observed) -> Observed:
        answer = aws.wafv2.get_ip_set(Name=observed.name, Scope=SCOPE, Id=observed.id)
        found = {
            "IPAddressVersion": answer["IPSet"]["IPAddressVersion"],
            "Addresses": _sorted(answer["IPSet"]["Addresses"]),
            "LockToken": answer["LockToken"],
        }
        return replace(observed, properties=found)

    @classmethod
    def tags(cls, aws: Aws, observed: Observed) -> Tags:
        return tags_of(aws, observed.arn)

    @classmethod
    def retag(cls, aws: Aws, observed: Observed, tags: Tags) -> None:
        aws.wafv2.tag_resource(ResourceARN=observed.arn, Tags=to_pairs(tags))

    def desired(self, outputs: Outputs) -> Properties:
        return {"IPAddressVersion": f"IPV{self.version}", "Addresses": _sorted(self.addresses)}

    def create(self, aws: Aws, desired: Properties, owner: Ownership) -> None:
        aws.wafv2.create_ip_set(Name=self.name, Scope=SCOPE, Tags=owner.pairs, **desired)

    def update(self, aws: Aws, observed: Observed, changed: Properties) -> None:
        # The token of the read on which this change was decided: WAF refuses it if the set changed since.
        token = observed.properties["LockToken"]
        addresses = changed["Addresses"]
        aws.wafv2.update_ip_set(Name=observed.name, Scope=SCOPE, Id=observed.id, LockToken=token, Addresses=addresses)

    @classmethod
    def delete(cls, aws: Aws, observed: Observed) -> None:
        token = observed.properties["LockToken"]
        aws.wafv2.delete_ip_set(Name=observed.name, Scope=SCOPE, Id=observed.id, LockToken=token)


def _sorted(ranges: Any) -> list[str]:
    """Ranges in their short form: WAF writes those of IPv6 with all their zeros."""
    return sorted(str(ip_network(text)) for text in ranges)
