"""A firewall for tests: a web ACL with rules of each sort, its log, and its associations."""

from __future__ import annotations

from typing import Any

from orderops.engine.resource import Output
from orderops.frozen import replace
from orderops.resources.logs_group import LogsGroup
from orderops.resources.wafv2_association import Wafv2Association
from orderops.resources.wafv2_ip_set import Wafv2IpSet
from orderops.resources.wafv2_logging import Wafv2Logging
from orderops.resources.wafv2_web_acl import WafRule, Wafv2WebAcl
from support.declared_rest_api import REST_STAGE
from support.declared_service import BALANCER

RANGES = Wafv2IpSet("orderops-dev-blocked-v4", ("198.51.100.0/24", "203.0.113.0/24"))
NONE = [{"Priority": 0, "Type": "NONE"}]
ORDERS = {
    "ByteMatchStatement": {
        "FieldToMatch": {"UriPath": {}},
        "PositionalConstraint": "STARTS_WITH",
        "SearchString": "/orders",
        "TextTransformations": NONE,
    }
}
RULES = (
    WafRule("ranges", {"IPSetReferenceStatement": {"ARN": Output(RANGES, "arn")}}, "Block"),
    WafRule(
        "rate",
        {
            "RateBasedStatement": {
                "Limit": 1000,
                "EvaluationWindowSec": 300,
                "AggregateKeyType": "IP",
                "ScopeDownStatement": {"NotStatement": {"Statement": ORDERS}},
            }
        },
        "Count",
    ),
    WafRule(
        "common",
        {"ManagedRuleGroupStatement": {"VendorName": "AWS", "Name": "AWSManagedRulesCommonRuleSet"}},
        "None",
    ),
)
ACL = Wafv2WebAcl("orderops-dev-firewall", RULES, (RANGES,))
GROUP = LogsGroup("aws-waf-logs-orderops-dev-firewall", 30)
LOGGING = Wafv2Logging(ACL.name, ACL, GROUP, ("cookie", "authorization"))
ASSOCIATION = Wafv2Association(BALANCER.name, BALANCER, ACL, LOGGING)
ON_STAGE = Wafv2Association(REST_STAGE.name, REST_STAGE, ACL, LOGGING)


def counting() -> Wafv2WebAcl:
    """The web ACL with rules that only count."""
    return replace(ACL, rules=tuple(replace(rule, action="Count") for rule in RULES))


def acl_in(client: Any) -> dict[str, Any]:
    """The web ACL of dev as WAF returns it, with its lock token."""
    [summary] = [one for one in client.list_web_acls(Scope="REGIONAL")["WebACLs"] if one["Name"] == ACL.name]
    answer = client.get_web_acl(Name=ACL.name, Scope="REGIONAL", Id=summary["Id"])
    return {**answer["WebACL"], "LockToken": answer["LockToken"]}
