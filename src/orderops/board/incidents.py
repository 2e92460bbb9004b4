"""Incidents that operators write by hand: a document for each in the account's bucket."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from orderops.aws.documents import BrokenDocument, Bucket, Document, DocumentChanged
from orderops.aws.validation import Time
from orderops.errors import OrderopsError, UsageError
from orderops.frozen import Frozen
from orderops.runs.history import in_seconds

READERS = 16
TRIES = 20
LONGEST_TITLE = 120
LONGEST_TEXT = 2000
MOST_UPDATES = 100
AFFECTED = ("orders", "pages", "everything")
SHOWN_FOR = timedelta(days=14)
"""Time for which a closed incident stays on the board."""


@dataclass(frozen=True)
class IncidentUpdate:
    """What was written, and when. `who` is for the history, and never for customers."""

    at: Time
    who: str
    text: str


@dataclass(frozen=True)
class Incident:
    """What customers read about something that is or was wrong."""

    id: str
    title: str
    affects: str
    opened: Time
    updates: tuple[IncidentUpdate, ...] = ()
    closed: Time | None = None

    def to_dict(self) -> dict[str, Any]:
        """As JSON, with stable keys."""
        return {**asdict(self), "updates": [asdict(update) for update in self.updates]}


class FoundIncidents(Frozen):
    """All incidents, the newest first, and the documents that are none."""

    incidents: tuple[Incident, ...] = ()
    unreadable: tuple[BrokenDocument, ...] = ()

    @property
    def open(self) -> tuple[Incident, ...]:
        """Those that are not closed."""
        return tuple(incident for incident in self.incidents if not incident.closed)

    def shown(self, now: datetime) -> tuple[Incident, ...]:
        """Those for the board: the open ones first, then those closed lately."""
        since = now - SHOWN_FOR
        lately = [it for it in self.incidents if it.closed and datetime.fromisoformat(it.closed) > since]
        return (*self.open, *lately)


class IncidentBook(Frozen):
    """The incidents of an environment."""

    bucket: Bucket
    environment: str
    who: str = ""

    def read(self) -> FoundIncidents:
        """Every incident, the newest first."""
        keys = self.bucket.keys(self._prefix)[::-1]
        incidents, unreadable = [], []
        with ThreadPoolExecutor(READERS) as pool:
            for document in pool.map(self.bucket.read, keys):
                try:
                    if document:
                        incidents.append(document.parsed(Incident))
                except BrokenDocument as error:
                    unreadable.append(error)
        return FoundIncidents(tuple(incidents), tuple(unreadable))

    def find(self, incident_id: str) -> Incident:
        """One incident. Raises UsageError if there is none."""
        return self._document(incident_id).parsed(Incident)

    def new(self, title: str, text: str, affects: str, now: datetime) -> Incident:
        """An incident that begins now, not yet written. Raises UsageError for texts that no page can show."""
        at = in_seconds(now)
        # Random, so that two operators open two; the time in front keeps the keys in order.
        name = f"{now.astimezone(UTC):%Y%m%d-%H%M}-{secrets.token_hex(2)}"
        updates = (IncidentUpdate(at, self.who, checked(text, LONGEST_TEXT, "text")),) if text else ()
        return Incident(name, checked(title, LONGEST_TITLE, "title"), affects, at, updates)

    def write(self, incident: Incident) -> None:
        """Store a new incident."""
        self.bucket.write(self._key(incident.id), incident.to_dict(), over=None)

    def update(self, incident_id: str, text: str, now: datetime) -> Incident:
        """Add a text to an incident. Raises UsageError if it is closed."""
        return self._changed(incident_id, lambda incident: self._with_text(incident, text, now))

    def close(self, incident_id: str, text: str, now: datetime) -> Incident:
        """Close an incident, with a last text if there is one. A closed one stays as it is."""

        def closed(incident: Incident) -> Incident:
            if incident.closed:
                return incident
            return replace(self._with_text(incident, text, now) if text else incident, closed=in_seconds(now))

        return self._changed(incident_id, closed)

    @property
    def _prefix(self) -> str:
        return f"{self.environment}/board/incidents/"

    def _key(self, incident_id: str) -> str:
        return f"{self._prefix}{incident_id}.json"

    def _document(self, incident_id: str) -> Document:
        # An id with a slash would name a document of another kind.
        known = incident_id.replace("-", "").isalnum()
        if known and (document := self.bucket.read(self._key(incident_id))):
            return document
        raise UsageError(
            f"no incident has the id {incident_id!r}",
            f"list them: orderops board incident list --env {self.environment}",
        )

    def _with_text(self, incident: Incident, text: str, now: datetime) -> Incident:
        if incident.closed:
            raise UsageError(
                f"incident {incident.id} is closed",
                f'open a new one: orderops board incident open "TITLE" --env {self.environment}',
            )
        if len(incident.updates) >= MOST_UPDATES:
            raise UsageError(f"incident {incident.id} has {MOST_UPDATES} updates already", "close it, and open another")
        update = IncidentUpdate(in_seconds(now), self.who, checked(text, LONGEST_TEXT, "text"))
        return replace(incident, updates=(*incident.updates, update))

    def _changed(self, incident_id: str, change: Callable[[Incident], Incident]) -> Incident:
        for _ in range(TRIES):
            document = self._document(incident_id)
            before = document.parsed(Incident)
            after = change(before)
            if after == before:
                return before
            try:
                self.bucket.write(self._key(incident_id), after.to_dict(), over=document)
            except DocumentChanged:
                continue
            return after
        raise OrderopsError(f"incident {incident_id} was changed {TRIES} times meanwhile", "re-run this command")


def checked(text: str, longest: int, name: str) -> str:
    """A text for the board. Raises UsageError for one that is empty or too long, or has control characters."""
    text = text.strip()
    if not text:
        raise UsageError(f"the {name} is empty", "write what customers notice, such as: Orders are delayed")
    if len(text) > longest:
        raise UsageError(f"the {name} has {len(text)} characters, at most {longest} are allowed", "shorten it")
    if not all(character.isprintable() or character == "\n" for character in text):
        raise UsageError(f"the {name} has a control character", "leave it out; line ends are allowed in a text")
    return text
