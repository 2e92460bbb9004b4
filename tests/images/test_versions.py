"""Versions of images: which are allowed, and which one comes next."""

from __future__ import annotations

import pytest

from orderops.errors import UsageError
from orderops.images.versions import check_version, next_version


@pytest.mark.parametrize("version", ["1.4.0", "1.4.0-rc.1", "1.4.0-5-gabc1234", "0.0.0-gabc1234", "2026_11", "a" * 128])
def test_a_version_is_a_tag_of_the_oci_specification(version: str) -> None:
    check_version(version)


@pytest.mark.parametrize("version", ["1.4.0+5", "-1", ".1", "a" * 129, " 1.4.0", "1/4", "1.4.0\n", "ä"])
def test_what_can_be_no_tag_is_no_version(version: str) -> None:
    with pytest.raises(UsageError, match="is no version of an image"):
        check_version(version)


@pytest.mark.parametrize("version", ["latest", "Latest"])
def test_no_image_is_called_latest(version: str) -> None:
    with pytest.raises(UsageError, match="never called latest"):
        check_version(version)


@pytest.mark.parametrize("version", ["src-1", "sha256-1", "released-1", "sbom-1"])
def test_a_tag_that_orderops_gives_itself_is_no_version(version: str) -> None:
    with pytest.raises(UsageError, match="orderops gives tags that begin so itself"):
        check_version(version)


@pytest.mark.parametrize(
    ("version", "taken", "free"),
    [
        ("1.4.0", {"1.4.0"}, "1.4.1"),
        ("1.4.9", {"1.4.9", "1.4.10", "1.4.11"}, "1.4.12"),
        ("1.4.0-rc", {"1.4.0-rc"}, "1.4.0-rc-2"),
        ("1.4.0-rc-2", {"1.4.0-rc-2"}, "1.4.0-rc-3"),
        ("0.0.0-gabc1234", {"0.0.0-gabc1234"}, "0.0.0-gabc1234-2"),
        ("2026", {"2026"}, "2026-2"),
    ],
)
def test_the_next_version_is_the_first_that_is_free(version: str, taken: set[str], free: str) -> None:
    assert next_version(version, taken.__contains__) == free
