"""The table [waf] of an environment file: the firewall in front of the load balancer or of a REST API."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches
from ipaddress import ip_network
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from orderops.config import types as values
from orderops.config.loader import Mistake, TomlTable
from orderops.config.types import between, counted, spelled
from orderops.config.waf_groups import GROUPS, group_of

MOST_CAPACITY = 1500
"""Capacity units (WCU) of a web ACL that the price of a request includes; AWS charges for more with each request."""
# The body that WAF sees of a request to an Application Load Balancer, and to a stage of API Gateway without a surcharge
# (developer guide, "Considerations for managing body inspection").
LARGEST_BODY = 8192
LARGEST_BODY_OF_API = 16_384
WINDOWS = (60, 120, 300, 600)
OWN_RULES = ("blocked-ranges", "countries", "rate", "body-size")
# Alpha-2 codes of ISO 3166, and XK for Kosovo, as GeoMatchStatement in the API reference lists them.
CODES = (
    "AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT BV BW BY BZ "
    "CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES ET FI FJ FK FM FO "
    "FR GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT HU ID IE IL IM IN IO IQ IR IS IT JE "
    "JM JO JP KE KG KH KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO "
    "MP MQ MR MS MT MU MV MW MX MY MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW "
    "PY QA RE RO RS RU RW SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF TG TH TJ TK TL TM "
    "TN TO TR TT TV TW TZ UA UG UM US UY UZ VA VC VE VG VI VN VU WF WS XK YE YT ZA ZM ZW "
)
COUNTRIES = frozenset(CODES.split())


def _range(text: str) -> str:
    try:
        network = ip_network(text, strict=False)
    except ValueError:
        raise ValueError("must be a range such as 203.0.113.0/24 or 2001:db8::/32") from None
    if "/" not in text or network.prefixlen == 0:
        # IPSet in the API reference: every range but /0.
        raise ValueError("must be a range from /1, such as 203.0.113.0/24 or 2001:db8::/32")
    if str(network) != text:
        raise ValueError(f"is not the start of its range in its short form; write {network}")
    return text


def _country(code: str) -> str:
    if code not in COUNTRIES:
        raise ValueError("is no country; write two capital letters of ISO 3166, such as AU")
    return code


def _group(name: str) -> str:
    if name in GROUPS:
        return name
    known = {**{group.aws_name: short for short, group in GROUPS.items()}, **{short: short for short in GROUPS}}
    near = list(dict.fromkeys(known[found] for found in get_close_matches(name, known, n=3)))
    listed = " or ".join(f"{short} ({GROUPS[short].aws_name})" for short in near)
    raise ValueError(f"is no managed rule group; did you mean {listed}?" if near else f"must be one of {_names()}")


def _names() -> str:
    return ", ".join(GROUPS)


def _window(seconds: int) -> int:
    if seconds not in WINDOWS:
        raise ValueError(f"must be one of {', '.join(map(str, WINDOWS))}: WAF counts in no other windows")
    return seconds


Range = Annotated[str, AfterValidator(_range)]
Ranges = Annotated[list[Range], counted(0, 1000)]
Countries = Annotated[list[Annotated[str, AfterValidator(_country)]], counted(0, 50)]
RequestPath = Annotated[
    str,
    spelled(
        r"/[A-Za-z0-9_.$~@:+&/-]{0,198}\*?",
        "a path such as /orders, or the beginning of one with * at the end: /orders*",
    ),
]
HeaderName = Annotated[str, spelled(r"[a-z0-9-]{1,64}", "the name of a header in lower-case letters, such as cookie")]


class ExceptionConfig(TomlTable):
    """A rule that blocks nothing on some paths, or nowhere."""

    paths: Annotated[list[RequestPath], counted(0, 10)] = Field(default_factory=list)
    """Paths on which the rule only counts; `*` at the end stands for any rest. Without any, it counts on all paths."""
    reason: values.Reason
    """Why the rule may not block there."""


class WafConfig(TomlTable):
    """The web ACL of AWS WAF in front of the load balancer, or of a REST API (`[api] waf`)."""

    enabled: bool | None = None
    """Whether there is a web ACL; when left out, if the environment is protected."""
    mode: Literal["count", "block"] = "count"
    """Whether rules only count what they would block, or block it; `orderops waf report` shows what was counted."""
    managed_groups: Annotated[list[Annotated[str, AfterValidator(_group)]], counted(0)] = Field(
        ["common", "known-bad-inputs", "sql-injection", "ip-reputation"]
    )
    """Rule groups of AWS: common, known-bad-inputs, sql-injection, ip-reputation, anonymous-ips, admin-protection,
    linux, unix, and bots, for which AWS charges a monthly fee and for each request."""
    # RateBasedStatement in the API reference has the range.
    rate_limit: Annotated[int, between(10, 2_000_000_000, "WAF counts no fewer")] | None = 2000
    """Requests of one address in the window above which its further ones are blocked."""
    rate_window_seconds: Annotated[int, AfterValidator(_window)] = 300
    """Seconds of that window: 60, 120, 300 or 600."""
    max_body_bytes: Annotated[int, between(1, LARGEST_BODY_OF_API, "WAF sees no more of a body")] = LARGEST_BODY
    """Largest body in bytes; above 8192 only where the web ACL is on an API alone."""
    allowed_countries: Countries = Field(default_factory=list)
    """Countries from which alone requests are taken; an address of no known country is blocked then."""
    blocked_countries: Countries = Field(default_factory=list)
    """Countries from which no requests are taken."""
    blocked_cidrs: Ranges = Field(default_factory=list)
    """IPv4 and IPv6 ranges from which no requests are taken."""
    trusted_cidrs: Ranges = Field(default_factory=list)
    """IPv4 and IPv6 ranges whose requests no rule judges, such as those of your own monitors."""
    exceptions: Annotated[dict[str, ExceptionConfig], counted(0, 50)] = Field(default_factory=dict)
    """Tables [waf.exceptions.RULE]: rules that block nothing on some paths. RULE is a rule of a managed group, or
    blocked-ranges, countries, rate or body-size."""
    blocked_percent: Annotated[int, between(1, 99)] = 20
    """Percent of all requests above which, for 15 minutes, an alarm of P2 says that the firewall blocks too many."""
    log_days: values.LogDays = 30
    """Days for which the log of counted and blocked requests is kept."""
    redacted_headers: Annotated[list[HeaderName], counted(0, 20)] = Field(["authorization", "cookie"])
    """Headers whose values are left out of that log."""

    def mistakes(self) -> Iterator[Mistake]:
        """Check countries, ranges, exceptions and the capacity of all rules together."""
        if self.allowed_countries and self.blocked_countries:
            rule = "cannot be combined with allowed_countries, which blocks all others"
            yield Mistake(("blocked_countries",), self.blocked_countries, rule, (("allowed_countries",),))
        for text in self.trusted_cidrs:
            if text in self.blocked_cidrs:
                yield Mistake(("trusted_cidrs",), text, "is in blocked_cidrs too", (("blocked_cidrs",),))
        for rule_name, exception in self.exceptions.items():
            yield from self._exception(rule_name, exception)
        if self.capacity() > MOST_CAPACITY:
            yield self.over_capacity()

    def over_capacity(self, forms: int = 1) -> Mistake:
        """The mistake of rules that need too much, where each path has so many forms."""
        parts = ", ".join(f"{name} {GROUPS[name].capacity}" for name in self.managed_groups)
        needs = f"needs {self.capacity(forms)} capacity units with the other rules, and {MOST_CAPACITY} are allowed"
        rule = f"{needs}: take a group out ({parts})"
        return Mistake(("managed_groups",), self.managed_groups, rule, (("exceptions",),))

    def _exception(self, rule: str, exception: ExceptionConfig) -> Iterator[Mistake]:
        key = ("exceptions", rule)
        among = (("managed_groups",),)
        group = group_of(rule)
        if rule in OWN_RULES:
            return
        if group is None:
            known = [*OWN_RULES, *(name for chosen in self.managed_groups for name in GROUPS[chosen].rules)]
            near = get_close_matches(rule, known, n=3)
            what = f"did you mean {' or '.join(near)}?" if near else "see orderops waf report for the names"
            yield Mistake(key, rule, f"is no rule of the firewall; {what}", among)
        elif group not in self.managed_groups:
            yield Mistake(key, rule, f"is a rule of {group}, which is not in managed_groups", among)
        elif exception.paths and not GROUPS[group].label(rule):
            yield Mistake(key, rule, f"cannot be excepted on some paths only: leave paths out ({group})", among)

    def capacity(self, forms: int = 1) -> int:
        """Capacity units (WCU) of the web ACL: those of the groups, and of each statement of the other rules.

        Each path of an exception has so many `forms`.

        Developer guide, "Using rule statements in AWS WAF": 1 for a set of addresses, countries, a size or a label, 2
        for a rate, and 2 for a path that is compared as a whole or by its beginning.
        """
        versions = [
            {ip_network(text).version for text in ranges} for ranges in (self.trusted_cidrs, self.blocked_cidrs)
        ]
        countries = bool(self.allowed_countries or self.blocked_countries)
        own = sum(map(len, versions)) + countries + 2 * (self.rate_limit is not None) + 1
        labels = sum(bool(one.paths) for rule, one in self.exceptions.items() if rule not in OWN_RULES)
        # The paths of an exception for blocked ranges stand in a rule for each version of IP.
        times = {"blocked-ranges": len(versions[1])}
        paths = sum(2 * forms * len(one.paths) * times.get(rule, 1) for rule, one in self.exceptions.items())
        return own + labels + paths + sum(GROUPS[name].capacity for name in self.managed_groups)
