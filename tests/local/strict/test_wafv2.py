"""AWS WAF: what moto accepts and AWS does not."""

from __future__ import annotations

from typing import Any

import pytest

from support.emulated_network import Network, until
from support.strict_clients import Client, Refused

NONE = [{"Priority": 0, "Type": "NONE"}]
IN_COUNTRY = {"GeoMatchStatement": {"CountryCodes": ["AU"]}}
PATH = {
    "ByteMatchStatement": {
        "FieldToMatch": {"UriPath": {}},
        "PositionalConstraint": "EXACTLY",
        "SearchString": b"/a",
        "TextTransformations": NONE,
    }
}
RATE = {"RateBasedStatement": {"Limit": 100, "AggregateKeyType": "IP"}}
COMMON = {"ManagedRuleGroupStatement": {"VendorName": "AWS", "Name": "AWSManagedRulesCommonRuleSet"}}
INVALID = "WAFInvalidParameterException"


def visibility(name: str = "m") -> dict[str, Any]:
    return {"SampledRequestsEnabled": False, "CloudWatchMetricsEnabled": False, "MetricName": name}


def rule(statement: dict[str, Any], name: str = "r", priority: int = 0, **action: Any) -> dict[str, Any]:
    done = action or {"Action": {"Block": {}}}
    return {"Name": name, "Priority": priority, "Statement": statement, "VisibilityConfig": visibility(), **done}


def acl(*rules: dict[str, Any], name: str = "acl", **more: Any) -> dict[str, Any]:
    base = {"Name": name, "Scope": "REGIONAL", "DefaultAction": {"Allow": {}}, "VisibilityConfig": visibility()}
    return {**base, "Rules": list(rules), **more}


def made(client: Any, *rules: dict[str, Any], **more: Any) -> dict[str, Any]:
    summary: dict[str, Any] = client.create_web_acl(**acl(*rules, **more))["Summary"]
    return summary


def body(**member: Any) -> dict[str, Any]:
    return {
        "SizeConstraintStatement": {
            "FieldToMatch": {"Body": member},
            "ComparisonOperator": "GT",
            "Size": 9,
            "TextTransformations": NONE,
        }
    }


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "two default actions": (acl(DefaultAction={"Allow": {}, "Block": {}}), INVALID),
    "a reserved metric": (acl(VisibilityConfig=visibility("All")), INVALID),
    "two rules of one priority": (acl(rule(IN_COUNTRY), rule(IN_COUNTRY, "s")), INVALID),
    "two rules of one name": (acl(rule(IN_COUNTRY), rule(IN_COUNTRY, priority=1)), INVALID),
    "a managed group with an action": (acl(rule(COMMON)), INVALID),
    "a statement with an override": (acl(rule(IN_COUNTRY, OverrideAction={"None": {}})), INVALID),
    "a rule with both actions": (
        acl(rule(IN_COUNTRY, Action={"Block": {}}, OverrideAction={"None": {}})),
        INVALID,
    ),
    "two actions of a rule": (acl(rule(IN_COUNTRY, Action={"Block": {}, "Count": {}})), INVALID),
    "two statements side by side": (acl(rule({**IN_COUNTRY, **PATH})), INVALID),
    "a rate inside": (acl(rule({"NotStatement": {"Statement": RATE}})), INVALID),
    "a group inside": (acl(rule({"AndStatement": {"Statements": [PATH, COMMON]}})), INVALID),
    "a window that WAF does not count in": (
        acl(rule({"RateBasedStatement": {**RATE["RateBasedStatement"], "EvaluationWindowSec": 90}})),
        INVALID,
    ),
    "a rate of forwarded addresses without their header": (
        acl(rule({"RateBasedStatement": {**RATE["RateBasedStatement"], "AggregateKeyType": "FORWARDED_IP"}})),
        INVALID,
    ),
    "a header with a colon": (
        acl(
            rule(
                {
                    "GeoMatchStatement": {
                        "CountryCodes": ["AU"],
                        "ForwardedIPConfig": {"HeaderName": "x:y", "FallbackBehavior": "MATCH"},
                    }
                }
            )
        ),
        INVALID,
    ),
    "one statement with and": (acl(rule({"AndStatement": {"Statements": [PATH]}})), INVALID),
    "a body without a word on large ones": (acl(rule(body())), INVALID),
    "too many countries": (
        acl(rule({"GeoMatchStatement": {"CountryCodes": ["AU", "NZ"] * 26}})),
        INVALID,
    ),
    "an unknown group": (
        acl(rule({"ManagedRuleGroupStatement": {"VendorName": "AWS", "Name": "Nope"}}, OverrideAction={"None": {}})),
        "WAFNonexistentItemException",
    ),
    "an unknown set": (
        acl(rule({"IPSetReferenceStatement": {"ARN": "arn:aws:wafv2:ap-southeast-2:1:regional/ipset/a/b"}})),
        "WAFNonexistentItemException",
    ),
    "a set deep inside": (
        acl(
            rule(
                {
                    "AndStatement": {
                        "Statements": [
                            PATH,
                            {
                                "NotStatement": {
                                    "Statement": {
                                        "IPSetReferenceStatement": {"ARN": "arn:aws:wafv2:x:y:regional/ipset/a/b"}
                                    }
                                }
                            },
                        ]
                    }
                }
            )
        ),
        "WAFNonexistentItemException",
    ),
    "more than the capacity": (
        acl(*(rule(COMMON, f"r{n}", n, OverrideAction={"None": {}}) for n in range(8))),
        "WAFLimitsExceededException",
    ),
    "the scope of CloudFront": (acl(Scope="CLOUDFRONT"), INVALID),
    "a name with a dot": (acl(name="a.b"), INVALID),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_web_acl_that_waf_does_not_take_is_refused(moto: Client, strict: Client, refused: Refused, case: str) -> None:
    parameters, code = REFUSED[case]

    with refused(code):
        strict("wafv2").create_web_acl(**parameters)
    moto("wafv2").create_web_acl(**parameters)


def test_the_capacity_of_rules_is_that_of_the_statements_in_them(moto: Client, strict: Client) -> None:
    waf = strict("wafv2")
    lowered = {**PATH["ByteMatchStatement"], "TextTransformations": [{"Priority": 0, "Type": "LOWERCASE"}]}
    scoped = {**RATE["RateBasedStatement"], "ScopeDownStatement": {"NotStatement": {"Statement": PATH}}}
    cases = [
        (rule(IN_COUNTRY), 1),
        (rule(PATH), 2),
        (rule({"ByteMatchStatement": lowered}), 12),
        (rule(RATE), 2),
        (rule({"RateBasedStatement": scoped}), 4),
        (rule({"OrStatement": {"Statements": [PATH, IN_COUNTRY]}}), 3),
        (rule({"LabelMatchStatement": {"Scope": "LABEL", "Key": "a:b"}}), 1),
        (rule(body(OversizeHandling="MATCH")), 1),
        (rule(COMMON, OverrideAction={"None": {}}), 700),
    ]

    assert [waf.check_capacity(Scope="REGIONAL", Rules=[one])["Capacity"] for one, _ in cases] == [
        capacity for _, capacity in cases
    ]
    summary = made(waf, rule(PATH), rule(COMMON, "s", 1, OverrideAction={"None": {}}))
    found = waf.get_web_acl(Name="acl", Scope="REGIONAL", Id=summary["Id"])["WebACL"]
    assert found["Capacity"] == 702


def test_a_name_is_taken_once(strict: Client, refused: Refused) -> None:
    waf = strict("wafv2")
    made(waf)
    waf.create_ip_set(Name="s", Scope="REGIONAL", IPAddressVersion="IPV4", Addresses=[])

    with refused("WAFDuplicateItemException"):
        made(waf)
    with refused("WAFDuplicateItemException"):
        waf.create_ip_set(Name="s", Scope="REGIONAL", IPAddressVersion="IPV4", Addresses=[])


def test_an_update_replaces_what_it_leaves_out(moto: Client, strict: Client) -> None:
    waf = strict("wafv2")
    bodies = {"a": {"ContentType": "TEXT_PLAIN", "Content": "no"}}
    summary = made(waf, rule(PATH), Description="words", CustomResponseBodies=bodies, TokenDomains=["example.com"])
    key = {"Name": "acl", "Scope": "REGIONAL", "Id": summary["Id"]}
    whole = {"DefaultAction": {"Allow": {}}, "VisibilityConfig": visibility()}

    token = moto("wafv2").update_web_acl(**key, **whole, LockToken=summary["LockToken"])["NextLockToken"]
    assert len(waf.get_web_acl(**key)["WebACL"]["Rules"]) == 1

    waf.update_web_acl(**key, **whole, LockToken=token)
    found = waf.get_web_acl(**key)["WebACL"]
    assert (found.get("Rules", []), found["Capacity"]) == ([], 0)
    assert not found.get("Description")
    assert not found.get("CustomResponseBodies")
    assert not found.get("TokenDomains")


def test_a_used_token_is_refused(strict: Client, refused: Refused) -> None:
    waf = strict("wafv2")
    made_set = waf.create_ip_set(Name="s", Scope="REGIONAL", IPAddressVersion="IPV4", Addresses=[])["Summary"]
    key = {"Name": "s", "Scope": "REGIONAL", "Id": made_set["Id"], "Addresses": ["192.0.2.0/24"]}
    following = waf.update_ip_set(**key, LockToken=made_set["LockToken"])["NextLockToken"]

    with refused("WAFOptimisticLockException"):
        waf.update_ip_set(**key, LockToken=made_set["LockToken"])
    waf.update_ip_set(**key, LockToken=following)


@pytest.mark.parametrize(
    ("version", "address"),
    [("IPV4", "0.0.0.0/0"), ("IPV4", "192.0.2.1"), ("IPV4", "192.0.2.1/24"), ("IPV4", "2001:db8::/32"), ("IPV6", "a")],
)
def test_ranges_that_waf_does_not_take_are_refused(
    moto: Client, strict: Client, refused: Refused, version: str, address: str
) -> None:
    parameters = {"Scope": "REGIONAL", "IPAddressVersion": version, "Addresses": [address]}

    with refused(INVALID):
        strict("wafv2").create_ip_set(Name="s", **parameters)
    moto("wafv2").create_ip_set(Name="s", **parameters)


def test_ranges_of_ipv6_read_back_with_all_their_zeros(strict: Client) -> None:
    waf = strict("wafv2")
    parameters = {"Scope": "REGIONAL", "IPAddressVersion": "IPV6", "Addresses": ["2001:db8::/32"]}
    made_set = waf.create_ip_set(Name="s", **parameters)["Summary"]

    found = waf.get_ip_set(Name="s", Scope="REGIONAL", Id=made_set["Id"])["IPSet"]["Addresses"]

    assert found == ["2001:0db8:0000:0000:0000:0000:0000:0000/32"]


def test_a_set_that_a_rule_names_stays(moto: Client, strict: Client, refused: Refused) -> None:
    waf = strict("wafv2")
    one = waf.create_ip_set(Name="s", Scope="REGIONAL", IPAddressVersion="IPV4", Addresses=[])["Summary"]
    inside = {"NotStatement": {"Statement": {"IPSetReferenceStatement": {"ARN": one["ARN"]}}}}
    summary = made(waf, rule(inside))
    key = {"Name": "s", "Scope": "REGIONAL", "Id": one["Id"], "LockToken": one["LockToken"]}

    with refused("WAFAssociatedItemException"):
        waf.delete_ip_set(**key)
    waf.delete_web_acl(Name="acl", Scope="REGIONAL", Id=summary["Id"], LockToken=summary["LockToken"])
    waf.delete_ip_set(**key)


class Balancer:
    """A load balancer that is ready, and a web ACL that can be associated with it."""

    def __init__(self, client: Client) -> None:
        self.elbv2, self.waf = client("elbv2"), client("wafv2")
        network = Network(client)
        [balancer] = self.elbv2.create_load_balancer(Name="b", Subnets=network.subnets)["LoadBalancers"]
        self.arn = balancer["LoadBalancerArn"]

    def acl(self, name: str = "acl") -> dict[str, Any]:
        return made(self.waf, name=name)

    def associate(self, acl: dict[str, Any]) -> bool:
        try:
            self.waf.associate_web_acl(WebACLArn=acl["ARN"], ResourceArn=self.arn)
        except self.waf.exceptions.WAFUnavailableEntityException:
            return False
        return True

    @property
    def found(self) -> str | None:
        answer = self.waf.get_web_acl_for_resource(ResourceArn=self.arn)
        return answer["WebACL"]["Name"] if "WebACL" in answer else None


def test_a_new_balancer_is_not_found_for_a_while(strict: Client) -> None:
    balancer = Balancer(strict)
    acl_of_it = balancer.acl()

    assert not balancer.associate(acl_of_it)
    assert balancer.found is None
    until(lambda: balancer.associate(acl_of_it))
    assert balancer.found == "acl"


def test_a_second_acl_takes_the_place_of_the_first_without_a_word(moto: Client, strict: Client) -> None:
    balancer = Balancer(strict)
    one, two = balancer.acl(), balancer.acl("other")
    until(lambda: balancer.associate(one))
    until(lambda: balancer.associate(two))

    assert balancer.found == "other"
    moto("wafv2").associate_web_acl(WebACLArn=one["ARN"], ResourceArn=balancer.arn)
    assert moto("wafv2").get_web_acl_for_resource(ResourceArn=balancer.arn)["WebACL"]["Name"] == "acl"


def test_an_acl_stays_while_a_balancer_has_it_and_a_while_longer(strict: Client, refused: Refused) -> None:
    balancer = Balancer(strict)
    one = balancer.acl()
    until(lambda: balancer.associate(one))
    key = {"Name": "acl", "Scope": "REGIONAL", "Id": one["Id"], "LockToken": one["LockToken"]}

    with refused("WAFAssociatedItemException"):
        balancer.waf.delete_web_acl(**key)
    balancer.waf.disassociate_web_acl(ResourceArn=balancer.arn)
    with refused("WAFAssociatedItemException"):
        balancer.waf.delete_web_acl(**key)

    def deleted() -> bool:
        try:
            balancer.waf.delete_web_acl(**key)
        except balancer.waf.exceptions.WAFAssociatedItemException:
            return False
        return True

    until(deleted)


def test_aws_adds_its_protection_to_an_acl_on_a_balancer_and_keeps_what_was_chosen(strict: Client) -> None:
    balancer = Balancer(strict)
    one = balancer.acl()
    key = {"Name": "acl", "Scope": "REGIONAL", "Id": one["Id"]}
    assert "OnSourceDDoSProtectionConfig" not in balancer.waf.get_web_acl(**key)["WebACL"]
    until(lambda: balancer.associate(one))

    answer = balancer.waf.get_web_acl(**key)

    assert answer["WebACL"]["OnSourceDDoSProtectionConfig"] == {"ALBLowReputationMode": "ACTIVE_UNDER_DDOS"}
    chosen = {"ALBLowReputationMode": "ALWAYS_ON"}
    balancer.waf.update_web_acl(
        **key,
        DefaultAction={"Allow": {}},
        VisibilityConfig=visibility(),
        LockToken=answer["LockToken"],
        OnSourceDDoSProtectionConfig=chosen,
    )
    assert balancer.waf.get_web_acl(**key)["WebACL"]["OnSourceDDoSProtectionConfig"] == chosen


def test_a_deleted_balancer_leaves_its_acl_unless_it_is_protected(strict: Client, refused: Refused) -> None:
    balancer = Balancer(strict)
    one = balancer.acl()
    until(lambda: balancer.associate(one))

    def protect(value: str) -> None:
        attribute = {"Key": "deletion_protection.enabled", "Value": value}
        balancer.elbv2.modify_load_balancer_attributes(LoadBalancerArn=balancer.arn, Attributes=[attribute])

    protect("true")
    with refused("OperationNotPermitted"):
        balancer.elbv2.delete_load_balancer(LoadBalancerArn=balancer.arn)
    assert balancer.found == "acl"
    protect("false")
    balancer.elbv2.delete_load_balancer(LoadBalancerArn=balancer.arn)

    with refused("WAFNonexistentItemException"):
        balancer.waf.get_web_acl_for_resource(ResourceArn=balancer.arn)
    balancer.waf.delete_web_acl(Name="acl", Scope="REGIONAL", Id=one["Id"], LockToken=one["LockToken"])


def test_only_what_exists_is_associated_or_taken_away(strict: Client, refused: Refused) -> None:
    balancer = Balancer(strict)
    missing = balancer.arn.replace("/b/", "/c/")

    with refused("WAFNonexistentItemException"):
        balancer.waf.associate_web_acl(WebACLArn="arn:aws:wafv2:x:y:regional/webacl/a/b", ResourceArn=balancer.arn)
    with refused("WAFUnavailableEntityException"):
        balancer.waf.associate_web_acl(WebACLArn=balancer.acl()["ARN"], ResourceArn=missing)
    with refused("WAFNonexistentItemException"):
        balancer.waf.disassociate_web_acl(ResourceArn=missing)
    with refused(INVALID):
        balancer.waf.get_web_acl_for_resource(ResourceArn="arn:aws:apigateway:ap-southeast-2::/apis/a/stages/b")


def test_a_log_has_an_acl_and_a_group_whose_name_begins_as_aws_wants(
    moto: Client, strict: Client, refused: Refused
) -> None:
    waf, logs = strict("wafv2"), strict("logs")
    one = made(waf)
    arn = "arn:aws:logs:ap-southeast-2:123456789012:log-group"

    def log(resource: str, *destinations: str) -> dict[str, Any]:
        return {"LoggingConfiguration": {"ResourceArn": resource, "LogDestinationConfigs": list(destinations)}}

    logs.create_log_group(logGroupName="aws-waf-logs-a")
    logs.create_log_group(logGroupName="other")
    for code, parameters in (
        ("WAFNonexistentItemException", log(one["ARN"] + "x", f"{arn}:aws-waf-logs-a")),
        (INVALID, log(one["ARN"], f"{arn}:other")),
        (INVALID, log(one["ARN"], f"{arn}:aws-waf-logs-a", f"{arn}:aws-waf-logs-b")),
        (INVALID, log(one["ARN"], "arn:aws:s3:::aws-waf-logs-a")),
        ("WAFLogDestinationPermissionIssueException", log(one["ARN"], f"{arn}:aws-waf-logs-b")),
    ):
        with refused(code):
            waf.put_logging_configuration(**parameters)
        moto("wafv2").put_logging_configuration(**parameters)
        moto("wafv2").delete_logging_configuration(ResourceArn=parameters["LoggingConfiguration"]["ResourceArn"])

    put = waf.put_logging_configuration(**log(one["ARN"], f"{arn}:aws-waf-logs-a:*"))["LoggingConfiguration"]
    [listed] = waf.list_logging_configurations(Scope="REGIONAL")["LoggingConfigurations"]
    got = waf.get_logging_configuration(ResourceArn=one["ARN"])["LoggingConfiguration"]
    assert [found["LogScope"] for found in (put, listed, got)] == ["CUSTOMER"] * 3


def test_the_log_of_a_deleted_acl_is_gone(moto: Client, strict: Client) -> None:
    waf = strict("wafv2")
    one = made(waf)
    strict("logs").create_log_group(logGroupName="aws-waf-logs-a")
    destination = "arn:aws:logs:ap-southeast-2:123456789012:log-group:aws-waf-logs-a"
    waf.put_logging_configuration(
        LoggingConfiguration={"ResourceArn": one["ARN"], "LogDestinationConfigs": [destination]}
    )
    waf.delete_web_acl(Name="acl", Scope="REGIONAL", Id=one["Id"], LockToken=one["LockToken"])

    assert waf.list_logging_configurations(Scope="REGIONAL")["LoggingConfigurations"] == []


def test_only_what_exists_has_tags(strict: Client, refused: Refused) -> None:
    missing = "arn:aws:wafv2:ap-southeast-2:123456789012:regional/webacl/a/b"

    with refused("WAFNonexistentItemException"):
        strict("wafv2").tag_resource(ResourceARN=missing, Tags=[{"Key": "a", "Value": "b"}])
    with refused("WAFNonexistentItemException"):
        strict("wafv2").list_tags_for_resource(ResourceARN=missing)
