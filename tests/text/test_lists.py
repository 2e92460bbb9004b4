from __future__ import annotations

import pytest

from orderops.text.lists import counted, joined


@pytest.mark.parametrize(
    ("names", "words"),
    [
        ([], ""),
        (["a"], "a"),
        (["a", "b", "c"], "a, b, c"),
        (["a", "b", "c", "d"], "a, b, c and 1 more"),
        (range(10), "0, 1, 2 and 7 more"),
    ],
)
def test_a_long_list_is_cut_and_the_rest_is_counted(names: list[object], words: str) -> None:
    assert joined(names) == words


def test_the_caller_says_how_many_names_are_shown() -> None:
    assert joined("abcde", max_names=1) == "a and 4 more"


def test_a_number_has_its_noun() -> None:
    assert [counted(number, "row") for number in (0, 1, 2, 1200)] == ["0 rows", "1 row", "2 rows", "1,200 rows"]
    assert counted(2, "copy", "copies") == "2 copies"
