"""What the resources of AWS WAF share: their listings, page by page, and the errors that the next read explains."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from orderops.aws.client import Aws, Operation
from orderops.aws.ownership import Ownership, Tags, from_pairs
from orderops.engine.features import Feature
from orderops.engine.names import NameRule

FEATURE = Feature("wafv2", ":wafv2:")
# Of load balancers and APIs; CLOUDFRONT is another, whose endpoint is in us-east-1.
SCOPE = "REGIONAL"
NAME_RULE = NameRule(128, r"[A-Za-z0-9_-]+", "letters, digits, underscores and hyphens")
RETRYABLE = frozenset(
    {
        # The resource changed after it was read: its lock token is another one now.
        "WAFOptimisticLockException",
        "WAFNonexistentItemException",
        "WAFDuplicateItemException",
        # WAF does not know for seconds what was created moments ago.
        "WAFUnavailableEntityException",
        # It does not know for minutes that nothing uses it any more.
        "WAFAssociatedItemException",
        "WAFTagOperationException",
    }
)


def listed(call: Operation, key: str) -> Iterator[Any]:
    """Yield everything under `key` on all pages; botocore has no paginators for WAF."""
    marker: dict[str, str] = {}
    while True:
        page = call(Scope=SCOPE, Limit=100, **marker)
        yield from page.get(key, ())
        # WAF sends a marker with the last page too, after which an empty page follows.
        if not page.get("NextMarker") or not page.get(key):
            return
        marker = {"NextMarker": page["NextMarker"]}


def acls_of(aws: Aws, environment: str) -> list[Any]:
    """The web ACLs of an environment. Without one, nothing else of WAF but IP sets can be there: no call is needed."""
    prefix = Ownership(environment).prefix
    return [raw for raw in listed(aws.wafv2.list_web_acls, "WebACLs") if raw["Name"].startswith(prefix)]


def tags_of(aws: Aws, arn: str) -> Tags:
    """The tags of a web ACL or an IP set."""
    return from_pairs(aws.wafv2.list_tags_for_resource(ResourceARN=arn)["TagInfoForResource"].get("TagList"))
