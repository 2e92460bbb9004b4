from __future__ import annotations

import pytest

from orderops.resources.cloudwatch_mark import marked, unmarked

TAGS = {"orderops:address": "kind/name", "orderops:environment": "dev"}


@pytest.mark.parametrize("extra", [{}, {"cost centre": "a=b [c] 100 %"}], ids=["owner", "owner and other tags"])
def test_a_marked_description_is_read_back(extra: dict[str, str]) -> None:
    tags = {**TAGS, **extra}

    assert unmarked(marked("P0: broken [soon]", tags)) == ("P0: broken [soon]", tags)


# 1,024 characters: AlarmDescription in the CloudWatch API reference.
def test_a_mark_that_makes_the_description_too_long_is_left_out() -> None:
    assert len(marked("x" * 900, TAGS)) <= 1024
    assert marked("x" * 1000, TAGS) == "x" * 1000


def test_a_description_without_a_mark_names_no_owner() -> None:
    assert unmarked("P0: broken") == ("P0: broken", {})
    assert marked("P0: broken", {"orderops:environment": "dev"}) == "P0: broken"
