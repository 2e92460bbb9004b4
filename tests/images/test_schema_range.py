"""The versions of the database that an image works with, from its label, and before a build from its sources."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from orderops.aws.client import Aws
from orderops.errors import OrderopsError, UsageError
from orderops.images.build import ImageBuild
from orderops.images.recipe import schema_range
from orderops.images.resolve import ImageChoice, ImageCopy
from orderops.images.schema_range import SchemaRange, parsed_range, range_of
from support.repository import SQL
from support.small_registry import OCI_INDEX, SmallRegistry, small_registry

NAME = "orderops-dev-orders"
URI = f"123456789012.dkr.ecr.ap-southeast-2.amazonaws.com/{NAME}"
MIGRATIONS = [SQL / "V003__create_accepted_orders.sql", SQL / "V004__index_orders_by_time.sql"]


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> Iterator[SmallRegistry]:
    with small_registry() as served:
        monkeypatch.setenv("ORDEROPS_REGISTRY", served.host)
        yield served


def released(digest: str) -> ImageChoice:
    return ImageChoice(f"{URI}@{digest}")


@pytest.mark.parametrize(
    ("label", "words", "inside", "outside"),
    [
        ("3-4", "V003 to V004", (3, 4), (0, 2, 5)),
        ("12-12", "V012 only", (12,), (11, 13)),
        ("3-", "V003 and later", (3, 4, 20261122093000), (2,)),
        ("20261101-20261122", "V20261101 to V20261122", (20261105,), (4, 20261123)),
    ],
)
def test_a_label_names_the_oldest_and_the_newest_migration_that_an_image_works_with(
    label: str, words: str, inside: tuple[int, ...], outside: tuple[int, ...]
) -> None:
    found = parsed_range(label)

    assert found is not None
    assert str(found) == words
    assert all(version in found for version in inside)
    assert not any(version in found for version in outside)


@pytest.mark.parametrize("label", ["", "3", "-4", "4-3", "3..4", "3-4 ", "all", "3.0-4"])
def test_a_label_of_another_form_says_nothing(label: str) -> None:
    assert parsed_range(label) is None


def test_a_dockerfile_may_declare_that_later_migrations_do_no_harm_to_its_code() -> None:
    files = ["sql/V004__a.sql"]
    declared = "FROM scratch\nLABEL com.orderops.schema.oldest=3\nLABEL com.orderops.schema.newest={}\n"

    assert schema_range(declared.format("open"), files) == "3-"
    assert schema_range(declared.format(7), files) == "3-7"
    with pytest.raises(UsageError, match=r"declares com\.orderops\.schema\.newest=2, but its sources hold V004"):
        schema_range(declared.format(2).replace("oldest=3", "oldest=1"), files)


def test_an_image_in_the_registry_has_the_range_of_its_label(aws: Aws, registry: SmallRegistry) -> None:
    digest = registry.put_image(NAME, labels={"com.orderops.schema": "3-4"})

    assert range_of(aws, released(digest), []) == SchemaRange(3, 4)


def test_an_image_for_several_platforms_has_the_label_of_the_one_that_tasks_run_on(
    aws: Aws, registry: SmallRegistry
) -> None:
    arm = registry.put_image(NAME, labels={"com.orderops.schema": "1-1"}, tag="arm")
    amd = registry.put_image(NAME, labels={"com.orderops.schema": "3-4"}, tag="amd")
    parts = [
        {"digest": arm, "platform": {"os": "linux", "architecture": "arm64"}},
        {"digest": amd, "platform": {"os": "linux", "architecture": "amd64"}},
    ]
    digest = registry.put_manifest(NAME, {"mediaType": OCI_INDEX, "manifests": parts})

    assert range_of(aws, released(digest), []) == SchemaRange(3, 4)


@pytest.mark.parametrize("labels", [{}, {"com.orderops.schema": "unknown"}, {"com.orderops.schema": 34}])
def test_an_image_without_such_a_label_has_no_range(
    aws: Aws, registry: SmallRegistry, labels: dict[str, object]
) -> None:
    config = registry.put_blob(NAME, json.dumps({"config": {"Labels": labels}}).encode())
    digest = registry.put_manifest(NAME, {"config": config, "layers": []})

    assert range_of(aws, released(digest), []) is None


def test_an_image_that_is_to_be_copied_has_the_range_of_its_source(aws: Aws, registry: SmallRegistry) -> None:
    digest = registry.put_image("orderops-staging-orders", labels={"com.orderops.schema": "2-3"})
    copy = ImageCopy("dev", NAME, URI.replace("-dev-", "-staging-"), digest)

    assert range_of(aws, ImageChoice("to be copied", copy), []) == SchemaRange(2, 3)


def test_an_image_that_is_to_be_built_has_the_range_that_it_will_be_labelled_with(aws: Aws, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY sql /sql\nLABEL com.orderops.schema.oldest=2\n")
    (tmp_path / "sql").mkdir()
    (tmp_path / "sql" / "V006__add_carts.sql").write_text("")
    build = ImageBuild("dev", NAME, "src-1", tmp_path, tmp_path / "Dockerfile")

    assert range_of(aws, ImageChoice("to be built", build), []) == SchemaRange(2, 6)


def test_a_process_of_the_laptop_has_the_range_of_what_is_installed(aws: Aws) -> None:
    """The Dockerfile of the order processor says that its code needs V003."""
    assert range_of(aws, ImageChoice("process://orderops.service@src-1"), MIGRATIONS) == SchemaRange(3, 4)
    assert range_of(aws, ImageChoice("process://orderops.service"), []) is None
    assert range_of(aws, ImageChoice("process://shop.orders@src-1"), MIGRATIONS) is None


def test_the_label_of_an_image_outside_of_ecr_cannot_be_read(aws: Aws) -> None:
    with pytest.raises(OrderopsError, match="it is not in ECR"):
        range_of(aws, ImageChoice("registry.example.com/orders@sha256:" + "1" * 64), [])
