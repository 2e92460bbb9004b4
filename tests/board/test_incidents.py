"""Incidents: written by hand, changed by several at once, closed once."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

import pytest

from orderops.aws.client import Aws
from orderops.aws.documents import Bucket
from orderops.board.incidents import Incident, IncidentBook
from orderops.errors import UsageError

NOW = datetime(2026, 11, 29, 3, 12, tzinfo=UTC)


@pytest.fixture
def book(aws: Aws) -> IncidentBook:
    return IncidentBook(Bucket(aws), "dev", "arn:aws:iam::1:user/ana")


def opened(book: IncidentBook, title: str = "Orders are late", now: datetime = NOW) -> Incident:
    incident = book.new(title, "We look into it.", "orders", now)
    book.write(incident)
    return incident


def test_an_incident_is_read_with_its_texts_in_order(book: IncidentBook) -> None:
    incident = opened(book)
    book.update(incident.id, "Found.", NOW + timedelta(minutes=5))
    book.close(incident.id, "Done.", NOW + timedelta(minutes=9))

    [found] = book.read().incidents

    assert [update.text for update in found.updates] == ["We look into it.", "Found.", "Done."]
    assert (found.opened, found.closed) == ("2026-11-29T03:12:00Z", "2026-11-29T03:21:00Z")


def test_texts_added_at_the_same_time_are_all_kept(book: IncidentBook) -> None:
    incident = opened(book)
    texts = {f"text {number}" for number in range(5)}
    threads = [threading.Thread(target=book.update, args=(incident.id, text, NOW)) for text in texts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert {update.text for update in book.find(incident.id).updates} == texts | {"We look into it."}


def test_open_incidents_come_first_and_old_ones_leave(book: IncidentBook) -> None:
    old, lately, now = (
        opened(book, title, NOW - timedelta(days=days)) for title, days in (("old", 20), ("lately", 3), ("now", 25))
    )
    book.close(old.id, "", NOW - timedelta(days=15))
    book.close(lately.id, "", NOW - timedelta(days=2))

    assert [incident.title for incident in book.read().shown(NOW)] == ["now", "lately"]
    assert book.read().open == (book.find(now.id),)


def test_an_id_leads_to_no_document_of_another_folder(book: IncidentBook) -> None:
    incident = opened(book)
    book.bucket.put("dev/board/incidents/more/1.json", incident.to_dict())

    with pytest.raises(UsageError, match="no incident has the id 'more/1'"):
        book.find("more/1")


def test_a_closed_incident_takes_no_text_and_is_closed_once(book: IncidentBook) -> None:
    incident = opened(book)
    first = book.close(incident.id, "", NOW)

    assert book.close(incident.id, "again", NOW + timedelta(hours=1)) == first
    with pytest.raises(UsageError, match="is closed"):
        book.update(incident.id, "more", NOW)


@pytest.mark.parametrize("identifier", ["", "20261129-0312-beef", "../runs/x", "a/b", "a\nb"])
def test_an_id_that_no_incident_has_is_refused_with_the_list(book: IncidentBook, identifier: str) -> None:
    opened(book)

    with pytest.raises(UsageError) as refused:
        book.find(identifier)

    assert refused.value.hint == "list them: orderops board incident list --env dev"


@pytest.mark.parametrize(
    ("title", "why"),
    [("  ", "is empty"), ("x" * 121, "at most 120"), ("a\x1b[31m", "control"), ("a\u202eb", "control")],
)
def test_a_title_that_no_page_can_show_is_refused(book: IncidentBook, title: str, why: str) -> None:
    with pytest.raises(UsageError, match=why):
        book.new(title, "", "orders", NOW)


def test_a_document_that_is_no_incident_is_named_and_hides_no_other(book: IncidentBook) -> None:
    incident = opened(book)
    book.bucket.put("dev/board/incidents/20261129-0000-0000.json", {"id": 7})

    found = book.read()

    assert [known.id for known in found.incidents] == [incident.id]
    assert "20261129-0000-0000.json" in found.unreadable[0].message
