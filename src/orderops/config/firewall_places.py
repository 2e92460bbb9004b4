"""Where the web ACL of [waf] is: on the load balancer that clients reach, on the stage of a REST API, or on both."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from orderops.config.api import ApiConfig
from orderops.config.loader import Mistake
from orderops.config.waf import LARGEST_BODY, MOST_CAPACITY, WafConfig

FirewallPlace = Literal["balancer", "api"]
LONGEST_PATH = 195
"""Characters of a path that WAF compares, less those of the stage in front of it."""


def firewall_places(api: ApiConfig) -> tuple[FirewallPlace, ...]:
    """The places of a web ACL; while clients move from a public load balancer to an API that has it, both."""
    if not api.takes_web_acl:
        return ("balancer",)
    return ("api",) if api.alone else ("balancer", "api")


def firewall_mistakes(waf: WafConfig, api: ApiConfig, places: tuple[FirewallPlace, ...]) -> Iterator[Mistake]:
    """Check what the places of a web ACL do not have."""
    if api.waf and not places:
        rule = "puts the web ACL on the API, and there is none: set enabled = true in [waf]"
        yield Mistake(("api", "waf"), True, rule, (("waf",),))
    if waf.max_body_bytes > LARGEST_BODY and "api" not in places[:1]:
        rule = f"must be 1 to {LARGEST_BODY}; WAF sees no more of a body on a load balancer"
        yield Mistake(("waf", "max_body_bytes"), waf.max_body_bytes, rule, (("api",),))
    if "api" not in places:
        return
    for name, exception in waf.exceptions.items():
        for index, path in enumerate(exception.paths):
            if len(path) > LONGEST_PATH:
                rule = f"must have at most {LONGEST_PATH} characters on an API, which has its stage in front"
                yield Mistake(("waf", "exceptions", name, "paths", index), path, rule, (("api",),))
    if waf.capacity(2) > MOST_CAPACITY >= waf.capacity():
        over = waf.over_capacity(2)
        yield Mistake(("waf", *over.key), over.value, over.allowed, (("waf", "exceptions"),))
