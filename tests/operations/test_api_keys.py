"""orderops api keys: a value is shown once, names are of one key, and what was interrupted is made good."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.command_line import Orderops
from support.faulty_proxy import Fate
from support.recorded_history import Dev
from support.repository import ENVIRONMENTS
from support.tag_keys import ADDRESS, ENVIRONMENT

pytest_plugins = ["support.recorded_history_fixtures"]


@pytest.fixture
def keyed(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Orderops:
    """The command line on dev, with keys declared."""
    (tmp_path / "dev.toml").write_text((ENVIRONMENTS / "dev.toml").read_text() + "\n[api]\napi_keys = true\n")
    monkeypatch.setenv("ORDEROPS_LOG_DIRECTORY", str(tmp_path / "logs"))
    return Orderops(capsys, "--env", "dev", "--environments", str(tmp_path))


@pytest.fixture
def apis(dev: Dev) -> Iterator[Any]:
    """The API Gateway of the account, with the plan of dev."""
    client = dev.workspace.aws.apigateway
    tags = {ENVIRONMENT: "dev", ADDRESS: "apigateway-usage-plan/orderops-dev-api"}
    client.create_usage_plan(name="orderops-dev-api", tags=tags)
    yield client
    dev.proxy.forget()


def names(apis: Any) -> list[str]:
    return sorted(key["name"] for key in apis.get_api_keys()["items"])


def values(apis: Any) -> dict[str, str]:
    return {key["name"]: key["value"] for key in apis.get_api_keys(includeValues=True)["items"]}


def in_plan(apis: Any) -> list[str]:
    [plan] = apis.get_usage_plans()["items"]
    return sorted(key["name"] for key in apis.get_usage_plan_keys(usagePlanId=plan["id"])["items"])


def test_a_key_is_made_in_the_plan_and_its_value_is_the_only_line(apis: Any, keyed: Orderops) -> None:
    said = keyed("api", "keys", "create", "shop", "--yes")

    assert said.code == 0
    assert said.out == values(apis)["shop"] + "\n"
    assert "shown this once" in said.err
    assert in_plan(apis) == ["shop"]


def test_json_has_name_id_and_value_and_the_list_has_no_value(apis: Any, keyed: Orderops) -> None:
    made = keyed("api", "keys", "create", "shop", "--yes", "--json").json
    listed = keyed("api", "keys", "list", "--json")

    assert made == {"name": "shop", "id": made["id"], "value": values(apis)["shop"]}
    [key] = listed.json
    assert {name: key[name] for name in ("name", "id", "state")} == {
        "name": "shop",
        "id": made["id"],
        "state": "active",
    }
    assert made["value"] not in listed.out + keyed("api", "keys", "list").out


def test_no_log_and_no_record_has_the_value(apis: Any, keyed: Orderops, dev: Dev, tmp_path: Path) -> None:
    said = keyed("--verbose", "api", "keys", "create", "shop", "--yes")
    value = said.out.strip()

    logs = "".join(file.read_text() for file in (tmp_path / "logs").iterdir())
    history = keyed("history", "--json")
    s3 = dev.workspace.aws.s3
    bucket = "orderops-123456789012-ap-southeast-2"
    stored = [
        s3.get_object(Bucket=bucket, Key=one["Key"])["Body"] for one in s3.list_objects_v2(Bucket=bucket)["Contents"]
    ]

    assert "apigateway.create_api_key" in logs
    assert "create_api_key" in said.err
    assert value == values(apis)["shop"]
    assert value not in logs + history.out + said.err
    assert [body for body in stored if value.encode() in body] == []
    assert history.json[0]["command"] == "api keys create shop --env dev"


def test_a_second_key_of_a_name_is_refused_and_the_first_stays(apis: Any, keyed: Orderops) -> None:
    keyed("api", "keys", "create", "shop", "--yes")

    said = keyed("api", "keys", "create", "shop", "--yes")

    assert said.code == 2
    assert "dev has an API key named shop since" in said.err
    assert "orderops api keys revoke shop --env dev" in said.err
    assert names(apis) == ["shop"]


def test_a_key_that_was_interrupted_is_made_anew(apis: Any, keyed: Orderops, dev: Dev) -> None:
    dev.proxy.rule = lambda call: Fate.UNDONE if call.action == "CreateUsagePlanKey" else None
    assert keyed("api", "keys", "create", "shop", "--yes").code == 1
    dev.proxy.forget()
    assert [key["state"] for key in keyed("api", "keys", "list", "--json").json] == ["unfinished"]
    before = values(apis)["shop"]

    said = keyed("api", "keys", "create", "shop", "--yes")

    assert said.code == 0
    assert names(apis) == in_plan(apis) == ["shop"]
    assert said.out.strip() == values(apis)["shop"] != before


@pytest.mark.parametrize("fate", [Fate.UNANSWERED, Fate.BROKEN])
def test_the_value_is_shown_although_the_answer_about_the_plan_is_lost(
    apis: Any, keyed: Orderops, dev: Dev, fate: Fate
) -> None:
    dev.proxy.rule = lambda call: fate if call.action == "CreateUsagePlanKey" else None

    said = keyed("api", "keys", "create", "shop", "--yes")

    dev.proxy.forget()
    assert said.out.strip() == values(apis)["shop"]
    assert in_plan(apis) == ["shop"]


def test_a_revoked_key_is_gone_and_others_stay(apis: Any, keyed: Orderops) -> None:
    for name in ("shop", "till"):
        keyed("api", "keys", "create", name, "--yes")
    apis.create_api_key(name="shop", tags={ENVIRONMENT: "qa"})

    assert keyed("api", "keys", "revoke", "shop", "--yes").code == 0

    assert names(apis) == ["shop", "till"]
    assert in_plan(apis) == ["till"]
    again = keyed("api", "keys", "revoke", "shop", "--yes")
    assert again.code == 2
    assert "orderops api keys list --env dev" in again.err


def test_a_dry_run_changes_nothing(apis: Any, keyed: Orderops) -> None:
    assert keyed("api", "keys", "create", "shop", "--dry-run").code == 0
    assert names(apis) == []
    keyed("api", "keys", "create", "shop", "--yes")

    assert keyed("api", "keys", "revoke", "shop", "--dry-run").code == 0
    assert names(apis) == ["shop"]


def test_nothing_is_revoked_without_a_terminal_and_without_yes(apis: Any, keyed: Orderops) -> None:
    keyed("api", "keys", "create", "shop", "--yes")

    said = keyed("api", "keys", "revoke", "shop")

    assert said.code != 0
    assert "--yes" in said.err
    assert names(apis) == ["shop"]


@pytest.mark.parametrize("name", ["", "a b", "-a", "a" * 65, "a\x1b[2J"])
def test_a_name_of_other_letters_is_refused_and_no_sign_of_it_reaches_the_terminal(
    apis: Any, keyed: Orderops, name: str
) -> None:
    said = (
        keyed("api", "keys", "create", "--yes", "--", name) if name[:1] != "-" else keyed("api", "keys", "create", name)
    )

    assert said.code == 2
    assert "\x1b[2J" not in said.err + said.out
    assert names(apis) == []


def test_without_keys_in_the_file_the_way_to_them_is_said(dev: Dev, orderops: Orderops) -> None:
    said = orderops("api", "keys", "create", "shop", "--yes")

    assert said.code == 2
    assert "dev has no API" in said.err
    assert "api_keys = true" in said.err
    assert orderops("api", "keys", "list").code == 0


def test_before_the_plan_is_made_the_command_that_makes_it_is_said(dev: Dev, keyed: Orderops) -> None:
    said = keyed("api", "keys", "create", "shop", "--yes")

    assert said.code == 1
    assert "orderops up --env dev" in said.err


def test_names_made_by_others_are_shown_without_control_characters(apis: Any, keyed: Orderops) -> None:
    apis.create_api_key(name="a\u009b2Jb", enabled=True, tags={ENVIRONMENT: "dev"})

    said = keyed("api", "keys", "list")

    assert "\u009b" not in said.out
    assert json.loads(keyed("api", "keys", "list", "--json").out)[0]["state"] == "unfinished"
