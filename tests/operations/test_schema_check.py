"""A release whose image does not work with the schema of the database is refused before anything changes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from orderops.aws.client import Aws
from orderops.config.environment import load_environment
from orderops.errors import OrderopsError
from orderops.images.resolve import ImageChoice
from orderops.infra.workspace import Workspace
from orderops.migrations.ledger.table import Attempt, History
from orderops.operations.schema_check import SchemaCheck
from support.small_registry import SmallRegistry, small_registry

NAME = "orderops-dev-orders"
URI = f"123456789012.dkr.ecr.ap-southeast-2.amazonaws.com/{NAME}"
WORKER = '[services.worker]\nrole = "worker"\nworks_for = "orders"\n'
NEVER = "the database was read, and should not have been"


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> Iterator[SmallRegistry]:
    with small_registry() as served:
        monkeypatch.setenv("ORDEROPS_REGISTRY", served.host)
        yield served


@pytest.fixture
def workspace(aws: Aws, tmp_path: Path) -> Workspace:
    (tmp_path / "dev.toml").write_text(f"[database]\n[services.orders]\nmax_tasks = 2\n{WORKER}")
    return Workspace(load_environment("dev", tmp_path), aws)


def attempt(version: int, description: str, **more: Any) -> Attempt:
    given: dict[str, Any] = {
        "action": "apply",
        "state": "done",
        "finished": datetime(2026, 11, 28, 10, 30, tzinfo=UTC),
        "statements_done": 1,
        "done": [],
        **more,
    }
    return Attempt(
        id=version,
        version=version,
        description=description,
        checksum="",
        who="arn:aws:iam::123456789012:user/ada",
        host="laptop",
        tool_version="1",
        started=datetime(2026, 11, 28, 10, 29, tzinfo=UTC),
        lock_tries=0,
        lock_waited=timedelta(0),
        statements=1,
        begun=None,
        batch_after=None,
        rows_changed=None,
        note=None,
        predicted=None,
        receipt=None,
        **given,
    )


def ledger(*attempts: Attempt) -> dict[int, History]:
    found: dict[int, list[Attempt]] = {}
    for one in attempts:
        found.setdefault(one.version, []).append(one)
    return {version: History(entries) for version, entries in found.items()}


APPLIED = [attempt(number, f"change {number}") for number in range(1, 7)]


def schema_check(
    workspace: Workspace,
    choices: Mapping[str, str],
    histories: Mapping[int, History] | OrderopsError,
    *,
    ignored: bool = False,
) -> SchemaCheck:
    def read(_: Workspace) -> Mapping[int, History]:
        if isinstance(histories, OrderopsError):
            raise histories
        return histories

    return SchemaCheck(
        workspace, {service: ImageChoice(uri) for service, uri in choices.items()}, ignored=ignored, read_ledger=read
    )


def labelled(registry: SmallRegistry, label: str) -> str:
    return f"{URI}@{registry.put_image(NAME, labels={'com.orderops.schema': label}, tag=label)}"


@pytest.mark.parametrize(("label", "version"), [("3-4", 4), ("3-4", 3), ("3-", 6), ("1-6", 5)])
def test_an_image_that_works_with_the_schema_passes_without_a_word(
    workspace: Workspace, registry: SmallRegistry, capsys: pytest.CaptureFixture[str], label: str, version: int
) -> None:
    image = labelled(registry, label)

    schema_check(workspace, {"orders": image}, ledger(*APPLIED[:version])).check(["orders"])

    assert capsys.readouterr() == ("", "")


def test_the_refusal_names_image_range_version_migration_and_the_ways_on(
    workspace: Workspace, registry: SmallRegistry
) -> None:
    image = labelled(registry, "3-4")

    with pytest.raises(OrderopsError) as refused:
        schema_check(workspace, {"orders": image}, ledger(*APPLIED)).check(["orders"])

    assert refused.value.message.splitlines() == [
        "the release would not work with the schema of the database; nothing was changed",
        f"orders: {image} works with V003 to V004, and the database of dev is at V006",
        "V005 (change 5), applied 2026-11-28 10:30Z by arn:aws:iam::123456789012:user/ada, is newer",
    ]
    assert refused.value.hint.splitlines() == [
        "roll forward: release an image that works with V006",
        "or undo the migration, on a copy first: orderops restore --at latest --env dev, then: "
        "orderops migrate undo --to 4 --env dev",
        "or release it nevertheless, on record: --ignore-schema",
    ]


def test_an_image_that_needs_a_pending_migration_is_refused_with_the_command_that_applies_it(
    workspace: Workspace, registry: SmallRegistry
) -> None:
    image = labelled(registry, "5-6")

    with pytest.raises(OrderopsError, match="works with V005 to V006, and the database of dev is at V004") as refused:
        schema_check(workspace, {"orders": image}, ledger(*APPLIED[:4])).check(["orders"])

    assert refused.value.hint.splitlines()[0] == ("apply the migrations first: orderops migrate apply --to 5 --env dev")


def test_an_undone_migration_counts_no_more_and_a_partly_applied_one_does(
    workspace: Workspace, registry: SmallRegistry
) -> None:
    image = labelled(registry, "3-4")
    undone = ledger(*APPLIED[:5], attempt(5, "change 5", action="undo"))
    partly = ledger(*APPLIED[:4], attempt(5, "change 5", state="failed", finished=None, done=["1"]))

    schema_check(workspace, {"orders": image}, undone).check(["orders"])
    with pytest.raises(OrderopsError, match=r"V005 \(change 5\), begun 2026-11-28 10:29Z"):
        schema_check(workspace, {"orders": image}, partly).check(["orders"])


def test_a_service_and_its_worker_are_refused_in_one_line(workspace: Workspace, registry: SmallRegistry) -> None:
    image = labelled(registry, "3-4")
    checked = schema_check(workspace, {"orders": image, "worker": image}, ledger(*APPLIED))

    with pytest.raises(OrderopsError) as refused:
        checked.check(["orders", "worker"])

    assert refused.value.message.splitlines()[1].startswith(f"orders, worker: {image} works with")


def test_a_service_that_does_not_change_is_not_compared(workspace: Workspace, registry: SmallRegistry) -> None:
    image = labelled(registry, "3-4")

    schema_check(workspace, {"orders": image}, OrderopsError(NEVER)).check([])


@pytest.mark.parametrize(
    ("image", "reason"),
    [
        ("registry.example.com/orders@sha256:" + "1" * 64, "it is not in ECR"),
        (f"{URI}@sha256:" + "1" * 64, "does not exist"),
        ("process://shop.orders", "it has no label com.orderops.schema"),
    ],
)
def test_an_image_without_a_readable_label_is_named_in_one_line_and_released(
    workspace: Workspace, registry: SmallRegistry, capsys: pytest.CaptureFixture[str], image: str, reason: str
) -> None:
    checked = schema_check(workspace, {"orders": image, "worker": image}, OrderopsError(NEVER))

    checked.check(["orders", "worker"])
    checked.check(["orders", "worker"])

    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith(f"{image} is not compared with the database: ")
    assert reason in line


@pytest.mark.parametrize(
    ("histories", "reason"),
    [
        (
            OrderopsError("no connection to database orders\nwithin 20 s"),
            "no connection to database orders within 20 s",
        ),
        ({}, "its ledger names no migration"),
        (ledger(attempt(5, "change 5"), attempt(5, "change 5", action="forget")), "its ledger names no migration"),
    ],
    ids=["away", "never migrated", "forgotten"],
)
def test_a_schema_that_cannot_be_read_is_said_in_one_line_and_refuses_nothing(
    workspace: Workspace,
    registry: SmallRegistry,
    capsys: pytest.CaptureFixture[str],
    histories: Mapping[int, History] | OrderopsError,
    reason: str,
) -> None:
    schema_check(workspace, {"orders": labelled(registry, "3-4")}, histories).check(["orders"])

    [line] = capsys.readouterr().err.splitlines()
    assert reason in line


def test_an_ignored_schema_is_not_read(
    workspace: Workspace, registry: SmallRegistry, capsys: pytest.CaptureFixture[str]
) -> None:
    image = labelled(registry, "3-4")
    registry.requests.clear()

    schema_check(workspace, {"orders": image}, OrderopsError(NEVER), ignored=True).check(["orders"])

    assert (registry.requests, capsys.readouterr().err) == ([], "")
