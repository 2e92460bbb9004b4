"""A plan that is saved, approved and applied later, with AWS emulated."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import boto3
import pytest

from support.command_line import Orderops
from support.fake_builders import put
from support.recorded_history import Dev, aws_at
from support.repository import ENVIRONMENTS, ROOT

pytest_plugins = ["support.recorded_history_fixtures"]

FIRST, SECOND = (f"registry.example.com/orders@sha256:{digit * 64}" for digit in "12")
QUEUE = "orderops-dev-order-processor-queue"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Environments of which dev changes its queue and a variable that nobody should read."""
    folder = tmp_path / "environments"
    shutil.copytree(ENVIRONMENTS, folder)
    file = folder / "dev.toml"
    text = file.read_text().replace("visibility_timeout = 30", "visibility_timeout = 45")
    variables = '\n[services.order-processor.variables]\nAPI_TOKEN = "hunter2-hunter2"\n'
    file.write_text(text + variables)
    return folder


@pytest.fixture
def orderops(capsys: pytest.CaptureFixture[str], folder: Path) -> Orderops:
    return Orderops(capsys, "--env", "dev", "--environments", str(folder))


@pytest.fixture
def fresh_plan(dev: Dev, orderops: Orderops, tmp_path: Path) -> Path:
    """A plan that was saved just now, with its calls on record."""
    file = tmp_path / "fresh-plan.json"
    dev.proxy.forget()
    saved = orderops("up", "--image", SECOND, "--out", str(file))
    assert saved.code == 3, saved.err
    return file


@pytest.fixture(scope="module")
def contents() -> list[str]:
    """What the first test that needs a plan has saved: all tests begin with the same account."""
    return []


@pytest.fixture
def plan(dev: Dev, contents: list[str], tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    if not contents:
        contents.append(request.getfixturevalue("fresh_plan").read_text())
    file = tmp_path / "plan.json"
    file.write_text(contents[0])
    dev.proxy.forget()
    return file


def queue_of(dev: Dev) -> tuple[Any, str]:
    sqs = boto3.Session("testing", "testing", region_name="ap-southeast-2").client("sqs", endpoint_url=dev.proxy.url)
    return sqs, sqs.get_queue_url(QueueName=QUEUE)["QueueUrl"]


def visibility(dev: Dev) -> str:
    sqs, url = queue_of(dev)
    attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["VisibilityTimeout"])["Attributes"]
    return str(attributes["VisibilityTimeout"])


def move(dev: Dev, **attributes: str) -> None:
    """Change the queue by hand."""
    sqs, url = queue_of(dev)
    sqs.set_queue_attributes(QueueUrl=url, Attributes=attributes)


def test_saving_changes_nothing_and_says_who_made_the_plan_from_what(dev: Dev, fresh_plan: Path) -> None:
    saved = json.loads(fresh_plan.read_text())

    assert dev.proxy.requests
    assert dev.proxy.changing == []
    assert visibility(dev) == "30"
    assert (saved["environment"], saved["account"]) == ("dev", "123456789012")
    assert saved["who"].startswith("arn:aws:")
    assert list(saved["files"]) == ["dev.toml"]
    assert saved["images"] == {"order-processor": SECOND}
    assert {step["address"] for step in saved["steps"]} >= {
        f"sqs-queue/{QUEUE}",
        "ecs-service/orderops-dev-order-processor",
    }


def test_a_saved_plan_is_readable_by_its_owner_alone_and_holds_no_secret(fresh_plan: Path) -> None:
    assert fresh_plan.stat().st_mode & 0o777 == 0o600
    assert "hunter2" not in fresh_plan.read_text()
    assert "API_TOKEN" in fresh_plan.read_text()


def test_exactly_the_plan_is_applied_and_a_second_time_nothing(dev: Dev, orderops: Orderops, plan: Path) -> None:
    said = orderops("up", "--plan", str(plan), "--yes")

    assert said.code == 0, said.err
    assert visibility(dev) == "45"
    again = orderops("up", "--plan", str(plan), "--yes")
    assert (again.code, "up to date" in again.err) == (0, True)


def test_what_an_interrupted_run_of_the_plan_has_done_is_no_difference(
    dev: Dev, orderops: Orderops, plan: Path
) -> None:
    move(dev, VisibilityTimeout="45")

    assert orderops("up", "--plan", str(plan), "--yes").code == 0
    assert visibility(dev) == "45"


def test_a_property_that_moved_is_named_and_nothing_is_changed(dev: Dev, orderops: Orderops, plan: Path) -> None:
    move(dev, VisibilityTimeout="60")
    dev.proxy.forget()

    said = orderops("up", "--plan", str(plan), "--yes")

    assert said.code == 1
    assert f"sqs-queue/{QUEUE} moved since the plan was made: VisibilityTimeout was 30, and is 60" in said.err
    assert dev.proxy.changing == []


def test_another_property_that_moved_is_named(dev: Dev, orderops: Orderops, plan: Path) -> None:
    move(dev, MessageRetentionPeriod="600")

    said = orderops("up", "--plan", str(plan), "--yes")

    assert said.code == 1
    assert "MessageRetentionPeriod would change from 600 to 345600, which the plan leaves" in said.err


def test_a_resource_that_the_plan_leaves_alone_and_that_moved_is_named(
    dev: Dev, orderops: Orderops, plan: Path
) -> None:
    logs = boto3.Session("testing", "testing", region_name="ap-southeast-2").client("logs", endpoint_url=dev.proxy.url)
    logs.put_retention_policy(logGroupName="/orderops/dev/order-processor", retentionInDays=1)

    said = orderops("up", "--plan", str(plan), "--yes")

    assert said.code == 1
    assert "logs-group//orderops/dev/order-processor moved since the plan was made: it would be updated" in said.err


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("environment", "prod", "the plan was made for environment prod, and this is dev"),
        ("account", "999999999999", "the plan was made for account 999999999999, and this is 123456789012"),
        ("version", "0.0.1", "the plan was made for orderops 0.0.1"),
        ("made", "2020-01-01T00:00:00+00:00", "it is good for 24 h"),
        ("made", "2090-01-01T00:00:00+00:00", "which is still to come"),
        ("made", "yesterday", "is no plan: it"),
        ("form", 2, "of a newer orderops"),
        ("steps", "all", "is no plan: it"),
        ("salt", 7, "is no plan: it"),
        ("files", {"dev.toml": "0" * 64}, "dev.toml is not the one that the plan was made from"),
        ("who", "\x1b[31mnobody", ""),
    ],
)
def test_a_plan_of_another_place_or_time_is_refused(
    dev: Dev, orderops: Orderops, plan: Path, key: str, value: object, words: str
) -> None:
    plan.write_text(json.dumps({**json.loads(plan.read_text()), key: value}))

    said = orderops("up", "--plan", str(plan), "--dry-run")

    assert said.code == (1 if words else 3), said.err
    assert words in said.err
    assert "\x1b" not in said.out + said.err
    assert dev.proxy.changing == []


@pytest.mark.parametrize("content", ["", "{", "[]", '{"steps": []}', "\0"])
def test_a_file_that_is_no_plan_is_refused(dev: Dev, orderops: Orderops, tmp_path: Path, content: str) -> None:
    (tmp_path / "no-plan").write_text(content)

    said = orderops("up", "--plan", str(tmp_path / "no-plan"), "--yes")

    assert (said.code, "is no plan: it" in said.err) == (1, True)


def test_a_plan_that_cannot_be_written_is_an_error(dev: Dev, orderops: Orderops, tmp_path: Path) -> None:
    said = orderops("up", "--image", SECOND, "--out", str(tmp_path / "nowhere" / "plan.json"))

    assert said.code == 1
    assert "No such file or directory" in said.err


def test_a_plan_names_everything_that_is_applied(dev: Dev, orderops: Orderops, plan: Path) -> None:
    for more in (("--image", FIRST), ("--prune",), ("--adopt", "sqs-queue/x"), ("--out", "other")):
        assert orderops("up", "--plan", str(plan), *more).code == 2


def test_a_plan_of_the_infrastructure_alone_releases_nothing(dev: Dev, orderops: Orderops, tmp_path: Path) -> None:
    file = tmp_path / "infra.json"
    assert orderops("infra", "plan", "--out", str(file)).code == 3

    said = orderops("up", "--plan", str(file), "--yes")

    assert said.code == 0, said.err
    assert visibility(dev) == "45"
    assert json.loads(file.read_text())["images"] is None
    assert SECOND not in orderops("up", "--dry-run", "--image", FIRST).out


def test_the_plan_as_markdown_is_a_document_for_an_approver(dev: Dev, orderops: Orderops) -> None:
    said = orderops("infra", "plan", "--image", SECOND, "--markdown")

    lines = said.out.splitlines()
    assert lines[0] == "# Plan of dev"
    assert "| action | resource | effect |" in lines
    assert f"| update | `sqs-queue/{QUEUE}` |  |" in lines
    assert "| update | `ecs-service/orderops-dev-order-processor` | restarts tasks |" in lines
    assert "| `VisibilityTimeout` | `30` | `45` |" in lines
    assert lines.index("| update | `ecs-service/orderops-dev-order-processor` | restarts tasks |") < lines.index(
        f"| update | `sqs-queue/{QUEUE}` |  |"
    )


def test_an_image_of_another_environment_is_planned_by_the_digest_that_its_copy_will_have(
    dev: Dev, orderops: Orderops, tmp_path: Path
) -> None:
    aws = aws_at(dev.proxy.url)
    digest = put(aws, "orderops-staging-order-processor", "1.4.0")
    host = "123456789012.dkr.ecr.ap-southeast-2.amazonaws.com"
    file = tmp_path / "plan.json"

    assert orderops("up", "--image", f"{host}/orderops-staging-order-processor:1.4.0", "--out", str(file)).code == 3

    saved = json.loads(file.read_text())
    assert saved["images"] == {"order-processor": f"{host}/orderops-staging-order-processor@{digest}"}
    assert f"{host}/orderops-dev-order-processor@{digest}" in file.read_text()
    assert orderops("up", "--plan", str(file), "--dry-run").code == 3
    # As after a run that was interrupted once it had copied the image.
    put(aws, "orderops-dev-order-processor", f"sha256-{digest[7:23]}")
    said = orderops("up", "--plan", str(file), "--yes")
    assert said.code == 0, said.err
    again = orderops("up", "--plan", str(file), "--yes")
    assert (again.code, "up to date" in again.err) == (0, True)


def test_an_image_that_has_yet_to_be_built_is_in_no_plan(dev: Dev, orderops: Orderops, tmp_path: Path) -> None:
    said = orderops("up", "--context", str(ROOT), "--allow-dirty", "--out", str(tmp_path / "plan.json"))

    assert said.code == 1
    assert "no plan can name it" in said.err
    assert "orderops service build order-processor --env dev" in said.err
