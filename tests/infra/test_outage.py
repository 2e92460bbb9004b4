"""An outage reaches from the last good look before it until the first good look after it."""

from __future__ import annotations

import threading

from orderops.errors import OrderopsError
from orderops.infra.outage import Outage, OutageProbe, Outages, readiness_probe


def seen(*looks: tuple[float, bool | None], until: float = 100) -> Outages:
    outages = Outages()
    for began, is_there in looks:
        outages.saw(began, began + 0.1, is_there)
    outages.end(until)
    return outages


def test_an_outage_is_never_shorter_than_it_was() -> None:
    outages = seen((1, True), (2, True), (3, False), (4, False), (5, True), (6, True))

    assert outages.found == [Outage(2, 5.1)]
    assert round(outages.seconds, 1) == 3.1


def test_two_outages_are_added_up() -> None:
    outages = seen((1, True), (2, False), (3, True), (4, True), (5, False), (6, True))

    assert outages.found == [Outage(1, 3.1), Outage(4, 6.1)]
    assert round(outages.seconds, 1) == 4.2


def test_two_outages_with_too_little_between_them_are_one() -> None:
    looks = [(1.0, True), (2.0, False), (3.0, True), (4.0, False), (5.0, True), (8.0, True), (9.0, False), (9.5, True)]
    outages = Outages(steady=2.0)
    for began, is_there in looks:
        outages.saw(began, began + 0.1, is_there)

    assert outages.found == [Outage(1, 5.1), Outage(8, 9.6)]


def test_an_outage_is_over_after_good_looks_for_long_enough() -> None:
    outages = Outages(steady=2.0)
    assert not outages.is_steady(0)
    for began, is_there in ((1.0, False), (2.0, True), (3.0, True)):
        outages.saw(began, began + 0.1, is_there)

    assert not outages.is_steady(3.9)
    assert outages.is_steady(4.0)
    outages.saw(4.0, 4.1, False)
    assert not outages.is_steady(9.0)


def test_what_was_never_away_has_no_outage() -> None:
    assert seen((1, True), (2, True)).found == []


def test_a_look_that_saw_nothing_neither_begins_nor_ends_an_outage() -> None:
    assert seen((1, True), (2, None), (3, True)).found == []
    assert seen((1, True), (2, False), (3, None), (4, True)).found == [Outage(1, 4.1)]


def test_what_is_away_at_first_or_at_last_counts_from_the_first_look_until_the_end() -> None:
    assert seen((1, False), (2, True), (3, True), (4, False), until=9).found == [Outage(1, 2.1), Outage(3, 9)]


def test_times_are_in_utc() -> None:
    assert Outage(0, 1.5).to_dict() == {
        "since": "1970-01-01T00:00:00.000+00:00",
        "until": "1970-01-01T00:00:01.500+00:00",
    }


def test_a_probe_looks_until_its_block_ends_and_survives_an_error() -> None:
    looks, enough = iter([True, False]), threading.Event()

    def look() -> bool:
        for is_there in looks:
            return is_there
        enough.set()
        raise OrderopsError("no answer")

    with OutageProbe(look, "a test", 0.001, patience=0) as probe:
        assert enough.wait(10)

    assert len(probe.outages.found) == 1


def test_a_service_that_cannot_be_asked_from_here_is_not_probed() -> None:
    assert readiness_probe("http://127.0.0.1:9") is None
