"""`--json` of commands that change something: one document on stdout, and no question."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.command_line import Orderops
from support.faulty_proxy import Proxy
from support.repository import ENVIRONMENTS

KEYS = {
    "environment",
    "steps",
    "pending",
    "ignored",
    "unclaimed",
    "without_file",
    "summary",
    "applied",
    "urls",
    "duration_seconds",
}


@pytest.fixture
def orderops(capsys: pytest.CaptureFixture[str], proxy: Proxy) -> Orderops:
    return Orderops(capsys)


@pytest.mark.slow
def test_a_change_prints_what_it_would_do_and_what_it_did(orderops: Orderops, proxy: Proxy) -> None:
    where = ("--env", "dev", "--environments", str(ENVIRONMENTS), "--json")

    planned = orderops("infra", "apply", *where, "--dry-run").json
    asked = orderops("infra", "apply", *where)
    assert (asked.code, asked.out) == (2, "")
    assert "--json shows no plan to agree to" in asked.err
    assert "read it with --dry-run, then pass --yes" in asked.err
    assert proxy.changing == []
    made = orderops("infra", "apply", *where, "--yes").json
    again = orderops("infra", "apply", *where, "--yes").json
    image = ("--image", "registry.example.com/orders:1")
    released = orderops("service", "deploy", *where, "--yes", *image).json

    assert all(document.keys() == KEYS | {"services"} for document in (planned, made, again))
    assert released.keys() == KEYS | {"releases"}
    assert [document["applied"] for document in (planned, made, again, released)] == [False, True, False, True]
    assert planned["summary"] == made["summary"] == {"create": len(planned["steps"])}
    assert {step["address"] for step in planned["steps"]} == {step["address"] for step in made["steps"]}
    assert (again["steps"], again["duration_seconds"]) == ([], None)
    assert "ecs-service/orderops-dev-order-processor" in {step["address"] for step in released["steps"]}
    assert released["urls"]["users"] == f"{released['urls']['url']}users"
    assert made["urls"] is None


def test_the_check_of_files_prints_every_error_and_its_exit_code(orderops: Orderops, tmp_path: Path) -> None:
    (tmp_path / "good.toml").write_text("[database]\n[services.a]\n")
    (tmp_path / "bad.toml").write_text('region = "sydney"\n[database]\n[services.a]\ncpu = 1\n')

    checked = orderops("env", "check", "--environments", str(tmp_path), "--json")

    assert checked.code == 2
    bad, good = checked.json
    assert good == {"environment": "good", "ok": True, "errors": []}
    assert (bad["environment"], bad["ok"], len(bad["errors"])) == ("bad", False, 2)
    assert bad["errors"][0].startswith(f"{tmp_path / 'bad.toml'}:1: region: ")
