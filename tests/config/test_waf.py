"""The table [waf]: what WAF would refuse is refused before a call."""

from __future__ import annotations

from pathlib import Path

import pytest

from orderops.config.environment import load_environment
from orderops.config.waf import ExceptionConfig, WafConfig
from orderops.config.waf_groups import GROUPS
from orderops.errors import UsageError
from support.repository import ENVIRONMENTS

# A line of [waf], and what is said about it.
REFUSED = {
    'managed_groups = ["comon"]': "did you mean common (AWSManagedRulesCommonRuleSet)?",
    'managed_groups = ["AWSManagedRulesSQLRuleSet"]': "did you mean sql-injection (AWSManagedRulesSQLiRuleSet)",
    'managed_groups = ["xyz"]': "must be one of common, known-bad-inputs",
    'managed_groups = ["common", "common"]': "must not have duplicate entries",
    "rate_limit = 9": "must be 10 to 2000000000; WAF counts no fewer",
    "rate_window_seconds = 90": "must be one of 60, 120, 300, 600",
    "max_body_bytes = 8193": "must be 1 to 8192; WAF sees no more of a body on a load balancer",
    'blocked_countries = ["au"]': "is no country",
    'blocked_countries = ["QQ"]': "is no country",
    'allowed_countries = ["AU"]\nblocked_countries = ["NZ"]': "cannot be combined with allowed_countries",
    'blocked_cidrs = ["10.0.0.0/0"]': "must be a range from /1",
    'blocked_cidrs = ["192.0.2.1"]': "must be a range from /1",
    'blocked_cidrs = ["192.0.2.300/24"]': "must be a range such as",
    'blocked_cidrs = ["192.0.2.1/24"]': "write 192.0.2.0/24",
    'blocked_cidrs = ["2001:0db8::/32"]': "write 2001:db8::/32",
    'trusted_cidrs = ["192.0.2.0/24"]\nblocked_cidrs = ["192.0.2.0/24"]': "is in blocked_cidrs too",
    'mode = "off"': 'must be "count" or "block"',
    'redacted_headers = ["Cookie"]': "must be the name of a header in lower-case letters",
    "log_days = 8": "must be one of 1, 3, 5",
    '[waf.exceptions.SizeRestriction_BODY]\nreason = "large orders"': "did you mean SizeRestrictions_BODY",
    '[waf.exceptions.zzz]\nreason = "x"': "see orderops waf report for the names",
    '[waf.exceptions.rates]\nreason = "x"': "did you mean rate",
    '[waf.exceptions.AnonymousIPList]\nreason = "x"': "is a rule of anonymous-ips, which is not in managed_groups",
    '[waf.exceptions.rate]\npaths = ["/a"]': "reason: is missing",
    '[waf.exceptions.rate]\nreason = "x"\npaths = ["a*"]': "must be a path such as /orders",
    '[waf.exceptions.rate]\nreason = "x"\npaths = ["/a*b"]': "must be a path such as /orders",
    'managed_groups = ["bots"]\n[waf.exceptions.CategoryAI]\nreason = "x"\npaths = ["/a"]': "leave paths out (bots)",
    'managed_groups = ["common", "sql-injection", "known-bad-inputs", "linux", "unix", "admin-protection"]': (
        "needs 1503 capacity units with the other rules, and 1500 are allowed: take a group out (common 700, "
        "sql-injection 200, known-bad-inputs 200, linux 200, unix 100, admin-protection 100)"
    ),
}


def with_waf(folder: Path, lines: str) -> Path:
    (folder / "dev.toml").write_text(f"{(ENVIRONMENTS / 'dev.toml').read_text()}\n[waf]\n{lines}\n")
    return folder


@pytest.mark.parametrize("lines", REFUSED)
def test_what_waf_would_refuse_is_refused_with_its_key(tmp_path: Path, lines: str) -> None:
    with pytest.raises(UsageError) as refused:
        load_environment("dev", with_waf(tmp_path, lines))

    assert REFUSED[lines] in refused.value.message
    assert "waf." in refused.value.message
    assert "\n" not in refused.value.message


@pytest.mark.parametrize(
    "lines",
    [
        "managed_groups = []\nrate_limit = 10\nrate_window_seconds = 60\nmax_body_bytes = 1",
        'allowed_countries = ["AU"]',
        'managed_groups = ["bots"]\n[waf.exceptions.CategoryAI]\nreason = "their crawler"',
        'managed_groups = ["common", "sql-injection", "known-bad-inputs", "linux", "unix", "bots"]',
        '[waf.exceptions.SQLi_BODY]\nreason = "notes"\npaths = ["/", "/orders*", "/orders/7"]',
        '[waf.exceptions.blocked-ranges]\nreason = "x"\n[waf.exceptions.countries]\nreason = "x"',
    ],
)
def test_what_waf_takes_is_taken(tmp_path: Path, lines: str) -> None:
    assert load_environment("dev", with_waf(tmp_path, lines)).waf


def test_the_capacity_is_that_of_groups_and_statements_together() -> None:
    nothing = WafConfig(managed_groups=[], rate_limit=None)

    def added(**keys: object) -> int:
        return nothing.model_copy(update=keys).capacity() - nothing.capacity()

    def exception(*paths: str) -> ExceptionConfig:
        return ExceptionConfig(paths=list(paths), reason="x")

    assert nothing.capacity() == 1  # the size of a body
    assert added(rate_limit=10) == 2
    assert added(blocked_countries=["AU"]) == added(allowed_countries=["AU"]) == 1
    assert added(blocked_cidrs=["192.0.2.0/24", "198.51.100.0/24"]) == 1
    assert added(blocked_cidrs=["192.0.2.0/24", "2001:db8::/32"], trusted_cidrs=["10.0.0.0/8"]) == 3
    assert added(managed_groups=["common", "ip-reputation"]) == 725
    assert added(exceptions={"SQLi_BODY": exception("/a", "/b*")}) == 5
    assert added(exceptions={"SQLi_BODY": exception()}) == 0
    assert added(exceptions={"body-size": exception("/a")}) == 2
    ranges = {"blocked_cidrs": ["192.0.2.0/24", "2001:db8::/32"]}
    assert added(**ranges, exceptions={"blocked-ranges": exception("/a")}) == added(**ranges) + 4


@pytest.mark.parametrize(
    ("lines", "protected", "on"),
    [("", False, False), ("", True, True), ("enabled = true", False, True), ("enabled = false", True, False)],
)
def test_the_firewall_is_on_where_the_file_says_so_or_the_environment_is_protected(
    tmp_path: Path, lines: str, protected: bool, on: bool
) -> None:
    name = "prod" if protected else "dev"
    (tmp_path / f"{name}.toml").write_text(f"{(ENVIRONMENTS / f'{name}.toml').read_text()}\n[waf]\n{lines}\n")

    environment = load_environment(name, tmp_path)

    assert environment.protected is protected
    assert environment.firewall is on
    assert environment.waf.mode == "count"


def test_the_labels_of_rules_are_those_that_aws_documents() -> None:
    # Spelled in another way than the rule, from the pages of the rule groups.
    documented = {
        ("common", "SizeRestrictions_BODY"): "core-rule-set:SizeRestrictions_Body",
        ("common", "UserAgent_BadBots_HEADER"): "core-rule-set:BadBots_Header",
        ("common", "GenericRFI_QUERYARGUMENTS"): "core-rule-set:GenericRFI_QueryArguments",
        ("common", "SizeRestrictions_Cookie_HEADER"): "core-rule-set:SizeRestrictions_Cookie_Header",
        ("common", "EC2MetaDataSSRF_URIPATH"): "core-rule-set:EC2MetaDataSSRF_URIPath",
        ("common", "NoUserAgent_HEADER"): "core-rule-set:NoUserAgent_Header",
        ("known-bad-inputs", "Host_localhost_HEADER"): "known-bad-inputs:Host_Localhost_Header",
        ("known-bad-inputs", "PROPFIND_METHOD"): "known-bad-inputs:Propfind_Method",
        ("known-bad-inputs", "Log4JRCE_QUERYSTRING"): "known-bad-inputs:Log4JRCE_QueryString",
        ("sql-injection", "SQLi_COOKIE"): "sql-database:SQLi_Cookie",
        ("sql-injection", "SQLiExtendedPatterns_URIPATH"): "sql-database:SQLiExtendedPatterns_UriPath",
        ("ip-reputation", "AWSManagedReconnaissanceList"): "amazon-ip-list:AWSManagedReconnaissanceList",
        ("anonymous-ips", "HostingProviderIPList"): "anonymous-ip-list:HostingProviderIPList",
        ("admin-protection", "AdminProtection_URIPATH"): "admin-protection:AdminProtection_URIPath",
        ("linux", "LFI_HEADER"): "linux-os:LFI_Header",
        ("unix", "UNIXShellCommandsVariables_BODY"): "posix-os:UNIXShellCommandsVariables_Body",
    }

    assert {key: GROUPS[key[0]].label(key[1]) for key in documented} == {
        key: f"awswaf:managed:aws:{label}" for key, label in documented.items()
    }
    assert GROUPS["bots"].label("CategoryAI") == ""
    sizes = {"common": 22, "known-bad-inputs": 12, "sql-injection": 8, "ip-reputation": 3, "anonymous-ips": 2}
    assert {name: len(GROUPS[name].rules) for name in sizes} == sizes
