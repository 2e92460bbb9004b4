"""What the changes of a plan cost a month: `infra plan --cost` against the emulator, and the sum before a question."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from support.command_line import Orderops
from support.faulty_proxy import Proxy
from support.repository import ENVIRONMENTS

pytest_plugins = ["support.dev_accounts"]

pytestmark = pytest.mark.slow
NAT, ADDRESS = 730 * 0.059, 730 * 0.005
Edit = Callable[[str, str], None]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "dev.toml").write_text((ENVIRONMENTS / "dev.toml").read_text())
    return tmp_path


@pytest.fixture
def edit(folder: Path) -> Edit:
    def replace(before: str, after: str) -> None:
        text = (folder / "dev.toml").read_text()
        assert before in text
        (folder / "dev.toml").write_text(text.replace(before, after))

    return replace


@pytest.fixture
def orderops(capsys: pytest.CaptureFixture[str], proxy: Proxy, dev_released: bytes, folder: Path) -> Orderops:
    proxy.bring_back(dev_released)
    return Orderops(capsys, "--env", "dev", "--environments", str(folder))


def test_a_second_nat_gateway_adds_itself_and_its_address(orderops: Orderops, edit: Edit) -> None:
    edit("nat_gateways = 1", "nat_gateways = 2")

    cost = orderops("infra", "plan", "--cost", "--json").json["cost"]

    assert {change["address"]: change["usd"] for change in cost["changes"]} == {
        "ec2-nat-gateway/orderops-dev-nat-b": pytest.approx(NAT),
        "ec2-address/orderops-dev-nat-b": pytest.approx(ADDRESS),
    }
    assert cost["usd"] == pytest.approx(46.72)
    assert cost["prices_of"] == "2026-11-28"


def test_the_text_and_the_markdown_of_a_plan_show_the_same_sum(orderops: Orderops, edit: Edit) -> None:
    edit("nat_gateways = 1", "nat_gateways = 2")

    shown = orderops("infra", "plan", "--cost")
    document = orderops("infra", "plan", "--cost", "--markdown")

    assert "in all: +46.72 USD a month" in shown.out
    assert "prices of 2026-11-28" in shown.err
    assert "| `ec2-nat-gateway/orderops-dev-nat-b` | +43.07 |" in document.out
    assert "| in all | +46.72 |" in document.out


def test_a_plan_without_the_option_says_nothing_of_costs(orderops: Orderops, edit: Edit) -> None:
    edit("nat_gateways = 1", "nat_gateways = 2")

    assert "cost" not in orderops("infra", "plan", "--json").json
    assert "USD" not in orderops("infra", "plan").out


def test_a_change_in_place_adds_the_difference(orderops: Orderops, edit: Edit) -> None:
    edit("multi_az = false", "multi_az = true")
    edit("storage_gb = 20", "storage_gb = 40")

    cost = orderops("infra", "plan", "--cost", "--json").json["cost"]

    assert cost["usd"] == pytest.approx(2 * 730 * 0.028 + 2 * 40 * 0.138 - 730 * 0.028 - 20 * 0.138)


def test_what_a_plan_deletes_is_taken_away(orderops: Orderops, edit: Edit) -> None:
    edit("nat_gateways = 1", "nat_gateways = 2")
    assert orderops("infra", "apply", "--yes").code == 0
    edit("nat_gateways = 2", "nat_gateways = 1")

    kept = orderops("infra", "plan", "--cost", "--json").json["cost"]
    pruned = orderops("infra", "plan", "--cost", "--prune", "--json").json["cost"]

    assert kept["usd"] == 0
    assert pruned["usd"] == pytest.approx(-46.72)


def test_a_refused_change_adds_nothing(orderops: Orderops, edit: Edit) -> None:
    edit("storage_gb = 20", "storage_gb = 30")
    edit('access = "task"', 'access = "task"\nusername = "another"')

    planned = orderops("infra", "plan", "--cost", "--json").json

    assert any("refused" in step for step in planned["steps"])
    assert planned["cost"]["usd"] == 0


def test_a_protected_environment_shows_the_sum_before_its_name_is_asked(
    orderops: Orderops, edit: Edit, folder: Path
) -> None:
    edit("nat_gateways = 1", "nat_gateways = 2")
    words = ("up", "--image", "registry.example.com/orders:1")
    unprotected = orderops(*words)
    alerts = "[alerts]\nanomaly_detection = false\nno_pages_because = 'a test'\n\n"
    edit("[network]", f"protected = true\n\n{alerts}[balancer]\ndeletion_protection = true\n\n[network]")
    edit("demonstration = true", 'token_secret = "ORDERS_TOKEN"')
    edit("multi_az = false", "multi_az = false\ndeletion_protection = true")

    protected = orderops(*words)

    assert (unprotected.code, protected.code) == (2, 2), protected.err
    assert "cost a month" not in unprotected.err
    # 110.82 for dev, 46.72 for the second gateway with its address, 0.40 for the secret with the token, and 11.20 for
    # the web ACL that a protected environment has, with its alarm.
    assert "cost a month afterwards: 169.14 to 213.01 USD without traffic, 1 part unknown" in protected.err
    assert "this change: +58.32 USD (prices of 2026-11-28)" in protected.err
