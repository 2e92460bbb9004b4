"""Where the web ACL is, by [waf] and [api] together, and what is refused there."""

from __future__ import annotations

from pathlib import Path

import pytest

from orderops.config.environment import Environment, load_environment
from orderops.errors import UsageError
from support.repository import ENVIRONMENTS

WAF = "[waf]\nenabled = true\n"
LONG = "/" + "a" * 195
# 1,475 units; the rate and the size of bodies need 3, and each path 2.
GROUPS = 'managed_groups = ["common", "known-bad-inputs", "sql-injection", "linux", "unix", "bots", "ip-reputation"]\n'
PATHS = f"paths = {[f'/{number}' for number in range(10)]}".replace("'", '"')
TEN = f"{WAF}{GROUPS}[waf.exceptions.rate]\n{PATHS}\nreason = 'x'\n"


def loaded(folder: Path, text: str) -> Environment:
    (folder / "dev.toml").write_text(f"{(ENVIRONMENTS / 'dev.toml').read_text()}\n{text}")
    return load_environment("dev", folder)


@pytest.mark.parametrize(
    ("text", "places"),
    [
        ("", ()),
        (WAF, ("balancer",)),
        (f'{WAF}[api]\ntype = "http"\n', ("balancer",)),
        (f"{WAF}[api]\nburst = 5\n", ("balancer",)),
        (f"{WAF}[api]\nwaf = true\n", ("api",)),
        (f'{WAF}[api]\nwaf = true\nbalancer = "both"\n', ("balancer", "api")),
        (f"{WAF}[api]\napi_keys = true\n", ("api",)),
        (f"{WAF}[api]\napi_keys = true\nwaf = false\n", ("balancer",)),
        (f"{WAF}[api]\nwaf = false\n", ("balancer",)),
        ("[api]\napi_keys = true\n", ()),
    ],
)
def test_the_place_follows_from_both_tables(tmp_path: Path, text: str, places: tuple[str, ...]) -> None:
    assert loaded(tmp_path, text).firewall_places == places


def test_a_web_acl_on_the_api_makes_it_a_rest_api_and_the_choice_is_explained(tmp_path: Path) -> None:
    declared = loaded(tmp_path, f"{WAF}[api]\nwaf = true\n").api

    assert declared.kind == "rest"
    assert "a REST API, for AWS WAF on the API, which no HTTP API has; its requests cost" in declared.choice
    assert not loaded(tmp_path, f"{WAF}[api]\nwaf = false\n").api.declared


REFUSED = {
    "an HTTP API": (f'{WAF}[api]\ntype = "http"\nwaf = true\n', "is of REST APIs (AWS WAF on the API)"),
    "no API": (f'{WAF}[api]\ntype = "none"\nwaf = true\n', 'must be "http" or "rest", or left out, with waf'),
    "no web ACL": ("[api]\nwaf = true\n", "there is none: set enabled = true in [waf]"),
    "tokens": (f'{WAF}[api]\nwaf = true\nauthorization = "jwt"\n', "or take waf out"),
    "a large body on a load balancer": (
        f'{WAF}max_body_bytes = 8193\n[api]\nwaf = true\nbalancer = "both"\n',
        "must be 1 to 8192; WAF sees no more of a body on a load balancer",
    ),
    "a larger body than an API shows": (
        f"{WAF}max_body_bytes = 16385\n[api]\nwaf = true\n",
        "must be 1 to 16384; WAF sees no more of a body",
    ),
    "a path that is too long with the stage": (
        f'{WAF}[waf.exceptions.rate]\npaths = ["{LONG}"]\nreason = "x"\n[api]\nwaf = true\n',
        "must have at most 195 characters on an API",
    ),
    "paths that need twice as much there": (f"{TEN}[api]\nwaf = true\n", "needs 1518 capacity units"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_an_api_does_not_have_is_refused(tmp_path: Path, case: str) -> None:
    text, why = REFUSED[case]

    with pytest.raises(UsageError) as refused:
        loaded(tmp_path, text)

    assert why in str(refused.value.message)


def test_an_api_alone_takes_larger_bodies_and_a_load_balancer_longer_paths_and_more_of_them(tmp_path: Path) -> None:
    assert loaded(tmp_path, f"{WAF}max_body_bytes = 16384\n[api]\nwaf = true\n").waf.max_body_bytes == 16_384
    loaded(tmp_path, f'{WAF}[waf.exceptions.rate]\npaths = ["{LONG}"]\nreason = "x"\n')
    assert loaded(tmp_path, TEN).waf.capacity() == 1498
