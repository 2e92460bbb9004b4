from __future__ import annotations

from datetime import timedelta

import pytest

from orderops.text.durations import in_words, measured


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-3, "0 s"),
        (0.9, "0 s"),
        (59.9, "59 s"),
        (60, "1 min"),
        (192, "3 min 12 s"),
        (3600, "1 h"),
        (7500, "2 h 5 min"),
        (47 * 3600 + 59 * 60, "47 h 59 min"),
        (48 * 3600, "2 days"),
        (30 * 86400 + 5, "30 days"),
    ],
)
def test_a_duration_is_written_in_whole_units(seconds: float, words: str) -> None:
    assert in_words(seconds) == words
    assert in_words(timedelta(seconds=seconds)) == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.0124, "12 ms"), (0, "0 ms"), (1.0, "1.0 s"), (4.24, "4.2 s"), (59.96, "1 min"), (190, "3 min 10 s")],
)
def test_a_measured_duration_keeps_its_fraction_below_a_minute(seconds: float, words: str) -> None:
    assert measured(seconds) == words
