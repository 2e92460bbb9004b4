"""The table [domain]: which names a file may give an environment."""

from __future__ import annotations

from pathlib import Path

import pytest

from orderops.config.environment import Environment, load_environment
from orderops.errors import UsageError
from support.repository import ENVIRONMENTS

NAMED = 'name = "orders.example.com"\n'
OURS = f'{NAMED}zone = "example.com"\n'
CIDRS = ", ".join(f'"10.{number}.0.0/16"' for number in range(31))


def loaded(folder: Path, domain: str, name: str = "dev") -> Environment:
    (folder / f"{name}.toml").write_text(f"{(ENVIRONMENTS / f'{name}.toml').read_text()}\n[domain]\n{domain}\n")
    return load_environment(name, folder)


MISTAKES: dict[str, tuple[str, str]] = {
    "no zone": (NAMED, 'domain.zone: is missing: the hosted zone that holds the name, or zone = "elsewhere"'),
    "no name": ('zone = "example.com"', "domain.name: is missing: the name of the environment"),
    "outside": (f'{NAMED}zone = "example.org"', "is not in the zone example.org; give its own zone"),
    "only alike": ('name = "notexample.com"\nzone = "example.com"', "is not in the zone example.com"),
    "another outside": (
        f'{OURS}names = ["shop.example.org"]',
        'domain.names[0]: "shop.example.org": is not in the zone',
    ),
    "twice": (f'{OURS}names = ["orders.example.com"]', "is the name already; list only further names"),
    "too many": (f"{OURS}names = {[f'{n}.example.com' for n in range(10)]}", "must have 0 to 9 entries"),
    "too long": (f'name = "{"a" * 53}.example.com"\nzone = "example.com"', "has 65 characters; ACM takes 64"),
    "wildcard": ('name = "*.example.com"\nzone = "example.com"', "without a wildcard"),
    "upper case": ('name = "Orders.example.com"\nzone = "example.com"', "in lower case"),
    "dot at the end": ('name = "orders.example.com."\nzone = "example.com"', "without a dot at the end"),
    "hyphen first": ('name = "-a.example.com"\nzone = "example.com"', "must be a name such as orders.example.com"),
    "long label": (f'name = "{"a" * 64}.com"\nzone = "com"', "must be a name such as orders.example.com"),
    "port of HTTP": (f"{OURS}port = 80", "is the port of the HTTP listener, which redirects to this one"),
    "ranges": (f"{OURS}[balancer]\nallowed_cidrs = [{CIDRS}]", "with [domain], at most 30 ranges fit"),
}


@pytest.mark.parametrize(("domain", "why"), MISTAKES.values(), ids=MISTAKES)
def test_a_name_that_cannot_be_served_is_a_mistake_in_the_file(tmp_path: Path, domain: str, why: str) -> None:
    with pytest.raises(UsageError) as refused:
        loaded(tmp_path, domain)

    assert why in refused.value.message


def test_the_longest_name_and_the_most_ranges_are_allowed(tmp_path: Path) -> None:
    name = f"{'a' * 52}.example.com"
    ranges = CIDRS.partition(', "10.30')[0]

    environment = loaded(tmp_path, f'name = "{name}"\nzone = "example.com"\n[balancer]\nallowed_cidrs = [{ranges}]')

    assert environment.domain.all_names == (name,)
    assert len(environment.balancer.allowed_cidrs) == 30


def test_the_zone_itself_can_be_the_name(tmp_path: Path) -> None:
    assert loaded(tmp_path, 'name = "example.com"\nzone = "example.com"').domain.hosted_zone == "example.com"


def test_a_zone_elsewhere_holds_any_name(tmp_path: Path) -> None:
    assert loaded(tmp_path, f'{NAMED}zone = "elsewhere"\nnames = ["shop.example.org"]').domain.hosted_zone == ""


def test_the_laptop_has_names_under_localhost_alone(tmp_path: Path) -> None:
    assert loaded(tmp_path, 'name = "orders.localhost"\nzone = "localhost"\nport = 8443', "local").domain.name
    with pytest.raises(UsageError, match=r"is not on this laptop; give a name such as orders\.localhost"):
        loaded(tmp_path, OURS, "local")


@pytest.mark.parametrize("kind", ["http", "rest"])
def test_a_service_of_an_api_has_no_names_of_its_own(tmp_path: Path, kind: str) -> None:
    text = (ENVIRONMENTS / "dev.toml").read_text()
    shop = '[services.shop]\npaths = ["/shop"]\nhosts = ["orders.example.com"]\n'
    (tmp_path / "dev.toml").write_text(f'{text}\n[domain]\n{OURS}\n[api]\ntype = "{kind}"\n{shop}')

    with pytest.raises(UsageError, match="knows routes by their paths alone"):
        load_environment("dev", tmp_path)


def test_a_name_may_lead_to_an_api_of_the_laptop_beside_another_port_of_the_load_balancer(tmp_path: Path) -> None:
    named = 'name = "orders.localhost"\nzone = "localhost"\nport = 8443\n\n[api]\ntype = "http"'

    assert loaded(tmp_path, named, "local").domain.all_names == ("orders.localhost",)
