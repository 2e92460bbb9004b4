"""Text from outside in messages."""

from __future__ import annotations

import pytest

from orderops.text.outside import plain


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("database is away", "database is away"),
        ("two\r\nlines\tand  spaces ", "two lines and spaces"),
        ("\x1b[31mred\x1b[0m\x07", "?[31mred?[0m?"),
        ("right\u202eto left", "right?to left"),
        ("größer 漢字", "größer 漢字"),
        ("", ""),
    ],
)
def test_text_from_outside_is_one_line_without_control_characters(text: str, shown: str) -> None:
    assert plain(text) == shown


def test_text_from_outside_is_shortened() -> None:
    assert plain("x" * 10_000_000, 10) == "xxxxxxxxx…"
    assert plain("x" * 10, 10) == "x" * 10
