"""What a build is given besides the sources: arguments, labels, the base image."""

from __future__ import annotations

from pathlib import Path

import pytest

from orderops.errors import UsageError
from orderops.images.recipe import Recipe, build_arguments, check_base, labels, schema_range
from support.repository import ROOT

DIGEST = "sha256:" + "a" * 64
DOCKERFILE = f"ARG BASE=docker.io/library/python:3.12-slim@{DIGEST}\nFROM $BASE\narg VERSION\n"
OURS = (ROOT / "src/orderops/service/Dockerfile").read_text(encoding="utf-8")


def test_a_build_gets_the_arguments_that_its_dockerfile_declares() -> None:
    recipe = Recipe("1.4.0", "abc", committed_at=1, base="mirror/python@" + DIGEST)

    assert build_arguments(recipe, DOCKERFILE) == {
        "BASE": "mirror/python@" + DIGEST,
        "VERSION": "1.4.0",
        "SOURCE_DATE_EPOCH": "1",
    }


def test_an_image_without_a_checkout_has_no_argument_and_few_labels() -> None:
    assert build_arguments(Recipe(), DOCKERFILE) == {}
    assert labels(Recipe(), "src-1", "FROM scratch\n", []) == {"com.orderops.sources": "src-1"}


def test_the_labels_name_version_commit_base_and_migrations() -> None:
    """OCI Image Specification, "Pre-Defined Annotation Keys"; the last two are of orderops."""
    files = ["sql/V001__create_users.sql", "sql/V012__more.sql", "sql/U013__gone.sql", "other/V020__theirs.sql"]

    assert labels(Recipe("1.4.0", "abc"), "src-1", DOCKERFILE, files) == {
        "org.opencontainers.image.version": "1.4.0",
        "org.opencontainers.image.revision": "abc",
        "org.opencontainers.image.base.name": "docker.io/library/python:3.12-slim",
        "org.opencontainers.image.base.digest": DIGEST,
        "com.orderops.sources": "src-1",
        "com.orderops.schema": "12-12",
    }


def test_a_dockerfile_declares_the_oldest_migration_that_its_code_supports() -> None:
    declared = "FROM scratch\nLABEL com.orderops.schema.oldest=3\n"

    assert schema_range(declared, ["sql/V003__a.sql", "sql/V007__b.sql"]) == "3-7"
    with pytest.raises(UsageError, match="the newest migration is V002"):
        schema_range(declared, ["sql/V002__a.sql"])


def test_the_order_processor_supports_the_migrations_from_the_one_that_it_needs() -> None:
    assert schema_range(OURS, ["sql/V004__index_orders_by_time.sql"]) == "3-4"


@pytest.mark.parametrize("base", ["python:3.12-slim", "python@sha256:abc", "@" + DIGEST, "python@" + DIGEST + "0"])
def test_a_base_image_without_a_digest_is_refused(tmp_path: Path, base: str) -> None:
    (tmp_path / "Dockerfile").write_text(DOCKERFILE)

    with pytest.raises(UsageError, match="is not pinned by its digest"):
        check_base(base, tmp_path / "Dockerfile")


def test_a_base_image_needs_a_dockerfile_that_takes_one(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM python:3.12-slim\n")

    with pytest.raises(UsageError, match="it has no ARG BASE"):
        check_base("python@" + DIGEST, tmp_path / "Dockerfile")


def test_the_base_of_the_order_processor_is_pinned(tmp_path: Path) -> None:
    told = labels(Recipe(), "src-1", OURS, [])

    (tmp_path / "Dockerfile").write_text(OURS)
    check_base(
        "@".join(told[f"org.opencontainers.image.base.{key}"] for key in ("name", "digest")), tmp_path / "Dockerfile"
    )
    assert [line for line in OURS.splitlines() if line.startswith("FROM")] == ["FROM $BASE AS build", "FROM $BASE"]
