"""Managed rule groups of AWS WAF: what each is called, what it costs, and its rules. Data; calls nothing.

Names, capacities, rules and labels: AWS WAF developer guide, "AWS Managed Rules rule groups list". AWS adds rules to a
group without a version, so a table of them is never complete; what has to hold for every rule does not rely on it.
"""

from __future__ import annotations

from collections.abc import Mapping

from orderops.frozen import Frozen, field


class ManagedGroup(Frozen):
    """A rule group that AWS keeps. `capacity` is in web ACL capacity units (WCU)."""

    aws_name: str
    capacity: int
    namespace: str
    """The part of the labels that names the group."""
    rules: Mapping[str, str]
    """Rules, each with the end of the label that a match of it leaves on the request; "" where it leaves others."""
    settings: Mapping[str, str] = field(default_factory=dict)
    """What the group has to be told."""

    def label(self, rule: str) -> str:
        """The label of a rule; "" if its label does not say that this rule matched."""
        return f"awswaf:managed:aws:{self.namespace}:{self.rules[rule]}" if self.rules[rule] else ""


def _rules(**parts: str) -> dict[str, str]:
    """Rules named NAME_PART for each part, whose labels spell the part as `PARTS` does."""
    return {f"{name}_{part}": f"{name}_{PARTS[part]}" for name, listed in parts.items() for part in listed.split()}


PARTS = {
    "BODY": "Body",
    "COOKIE": "Cookie",
    "HEADER": "Header",
    "QUERYARGUMENTS": "QueryArguments",
    "QUERYSTRING": "QueryString",
    "URIPATH": "URIPath",
}
ALL_PARTS = "QUERYARGUMENTS URIPATH BODY"
BOTS = (
    *("Advertising", "Archiver", "ContentFetcher", "EmailClient", "HttpLibrary", "LinkChecker", "Miscellaneous"),
    *("Monitoring", "PagePreview", "ScrapingFramework", "SearchEngine", "Security", "Seo", "SocialMedia", "AI"),
)
SIGNALS = ("SignalAutomatedBrowser", "SignalKnownBotDataCenter", "SignalNonBrowserUserAgent")

GROUPS: Mapping[str, ManagedGroup] = {
    "common": ManagedGroup(
        "AWSManagedRulesCommonRuleSet",
        700,
        "core-rule-set",
        {
            "NoUserAgent_HEADER": "NoUserAgent_Header",
            "UserAgent_BadBots_HEADER": "BadBots_Header",
            "SizeRestrictions_Cookie_HEADER": "SizeRestrictions_Cookie_Header",
            **_rules(
                SizeRestrictions="QUERYSTRING BODY URIPATH",
                EC2MetaDataSSRF=f"COOKIE {ALL_PARTS}",
                GenericLFI=ALL_PARTS,
                RestrictedExtensions="URIPATH QUERYARGUMENTS",
                GenericRFI=ALL_PARTS,
                CrossSiteScripting=f"COOKIE {ALL_PARTS}",
            ),
        },
    ),
    "known-bad-inputs": ManagedGroup(
        "AWSManagedRulesKnownBadInputsRuleSet",
        200,
        "known-bad-inputs",
        {
            **_rules(
                JavaDeserializationRCE="HEADER BODY URIPATH QUERYSTRING",
                Log4JRCE="HEADER BODY URIPATH QUERYSTRING",
                ReactJSRCE="BODY",
                ExploitablePaths="URIPATH",
            ),
            "Host_localhost_HEADER": "Host_Localhost_Header",
            "PROPFIND_METHOD": "Propfind_Method",
        },
    ),
    "sql-injection": ManagedGroup(
        "AWSManagedRulesSQLiRuleSet",
        200,
        "sql-database",
        {
            **_rules(SQLi="QUERYARGUMENTS BODY COOKIE URIPATH", SQLiExtendedPatterns="QUERYARGUMENTS BODY HEADER"),
            "SQLiExtendedPatterns_URIPATH": "SQLiExtendedPatterns_UriPath",
        },
    ),
    "ip-reputation": ManagedGroup(
        "AWSManagedRulesAmazonIpReputationList",
        25,
        "amazon-ip-list",
        {name: name for name in ("AWSManagedIPReputationList", "AWSManagedReconnaissanceList", "AWSManagedIPDDoSList")},
    ),
    "anonymous-ips": ManagedGroup(
        "AWSManagedRulesAnonymousIpList",
        50,
        "anonymous-ip-list",
        {name: name for name in ("AnonymousIPList", "HostingProviderIPList")},
    ),
    "admin-protection": ManagedGroup(
        "AWSManagedRulesAdminProtectionRuleSet", 100, "admin-protection", _rules(AdminProtection="URIPATH")
    ),
    "linux": ManagedGroup("AWSManagedRulesLinuxRuleSet", 200, "linux-os", _rules(LFI="URIPATH QUERYSTRING HEADER")),
    "unix": ManagedGroup(
        "AWSManagedRulesUnixRuleSet", 100, "posix-os", _rules(UNIXShellCommandsVariables="QUERYSTRING BODY HEADER")
    ),
    # Its labels tell what a bot is, also one that the rule lets pass: AWS verified it.
    "bots": ManagedGroup(
        "AWSManagedRulesBotControlRuleSet",
        50,
        "bot-control",
        dict.fromkeys((*(f"Category{name}" for name in BOTS), *SIGNALS), ""),
        {"InspectionLevel": "COMMON"},
    ),
}


def group_of(rule: str) -> str | None:
    """The managed group that has a rule of this name; None if there is none."""
    return next((name for name, group in GROUPS.items() if rule in group.rules), None)
