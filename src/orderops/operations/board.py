"""The board: made once, served on this machine, or put into a bucket; and the incidents that it shows."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from orderops.aws.documents import Bucket
from orderops.board.incidents import LONGEST_TEXT, Incident, IncidentBook, checked
from orderops.board.page import Refresh, board_page
from orderops.board.publication import put_page
from orderops.board.reading import BoardReading, read_board
from orderops.board.samples import Days
from orderops.board.server import BoardServer, ServedBoard, serve_board
from orderops.config.files import replace_file
from orderops.errors import OrderopsError, UsageError
from orderops.frozen import Frozen
from orderops.infra.workspace import Workspace
from orderops.operations.locked import locked_run, read_lease
from orderops.operations.options import ChangeOptions
from orderops.operations.workspace import confirm_change
from orderops.runs.history import Record
from orderops.ui import console
from orderops.ui.board import show_incidents, show_problems
from orderops.ui.interrupt import until_ctrl_c

USUAL = timedelta(minutes=5)
"""How often a page is published; one that is three times as old says so."""


def write_board(workspace: Workspace, out: Path, *, detail: bool) -> None:
    """Write the page into a file. Raises OrderopsError, after writing, if the health could not be read."""
    reading = read_board(workspace, datetime.now(UTC), detail=detail)
    replace_file(out, board_page(reading, detail=detail), mode=0o644)
    show_problems(reading.problems)
    console.info(f"wrote {out}")
    _check_was_read(workspace, reading, "the page says that the status is not known")


def publish_board(workspace: Workspace, every: timedelta | None, pause: Callable[[float], None] = time.sleep) -> None:
    """Put the page for customers into the bucket: once, or again and again until Ctrl+C.

    Raises UsageError without a bucket in the environment file.
    """
    if every is None:
        board = workspace.environment.board
        _publish(workspace, {}, board.interval or USUAL)
        if board.publish_every:
            console.info(f"AWS renews it every {board.publish_every} once the environment is up")
        else:
            console.info("nothing renews it: repeat this command every five minutes, or let it run with --every 5m")
        return
    known: Days = {}
    with until_ctrl_c():
        while True:
            try:
                _publish(workspace, known, every)
            except UsageError:
                raise
            except OrderopsError as error:
                # The page says how old it is, and the next attempt may succeed.
                console.info_error("not published: ", error)
            pause(every.total_seconds())


def _publish(workspace: Workspace, known: Days, every: timedelta) -> None:
    environment = workspace.environment
    if environment.board.bucket is None:
        raise UsageError(
            f"{environment.name}.toml names no bucket for the board",
            f'create one, and name it there: [board] bucket = "{environment.prefix}-board-NAME"',
        )
    reading = read_board(workspace, datetime.now(UTC), detail=False, known=known)
    refresh = Refresh(timedelta(minutes=1), 3 * every)
    # Not guarded: the page changes nothing of the environment, so it needs no run.
    place = put_page(
        workspace.aws.guarded(lambda: None),
        environment.board.bucket,
        board_page(reading, detail=False, refresh=refresh),
    )
    show_problems(reading.problems)
    console.info(f"published {place}")
    _check_was_read(workspace, reading, "the page says that the status is not known")


def serve(workspace: Workspace, host: str, port: int, every: timedelta, *, detail: bool) -> None:
    """Serve the page until Ctrl+C, and read it again in this interval."""
    known: Days = {}

    def read() -> BoardReading:
        return read_board(workspace, datetime.now(UTC), detail=detail, known=known)

    environment = workspace.environment
    nothing = BoardReading(datetime.now(UTC), environment.name, environment.board.title)
    board = ServedBoard(read, nothing, detail=detail, every=every)
    server = BoardServer(host, port, board.page)
    console.data(server.url)
    if detail and not server.is_loopback:
        console.info("everybody who reaches this address sees the details for engineers")
    console.info("serving until Ctrl+C")
    with until_ctrl_c():
        serve_board(server, board, every, threading.Event())


def open_incident(workspace: Workspace, options: ChangeOptions, title: str, text: str, affects: str) -> None:
    """Write a new incident, which customers see at the next renewal of the board."""
    incident = _book(workspace).new(title, text, affects, datetime.now(UTC))
    console.info(f"customers will read: {incident.title}")
    if options.dry_run:
        return
    with _changing(workspace, options, "Open this incident?") as change:
        change.book.write(incident)
        change.note("incident opened", incident)
    console.data(incident.id)
    env = workspace.environment.name
    console.info(f'next: orderops board incident update {incident.id} "TEXT" --env {env}')


def update_incident(workspace: Workspace, options: ChangeOptions, incident_id: str, text: str) -> None:
    """Add a text to an open incident."""
    before = _book(workspace).find(incident_id)
    text = checked(text, LONGEST_TEXT, "text")
    console.info(f"customers will read below {before.title!r}: {text}")
    if options.dry_run:
        return
    with _changing(workspace, options, "Add this text?") as change:
        change.note("incident updated", change.book.update(incident_id, text, datetime.now(UTC)))
    console.info(f"added to incident {incident_id}")


def close_incident(workspace: Workspace, options: ChangeOptions, incident_id: str, text: str) -> None:
    """Close an incident. Closing it twice is harmless."""
    before = _book(workspace).find(incident_id)
    if before.closed:
        console.info(f"incident {incident_id} was closed at {before.closed}")
        return
    console.info(f"customers will read that it is resolved: {before.title}")
    if options.dry_run:
        return
    with _changing(workspace, options, "Close this incident?") as change:
        change.note("incident closed", change.book.close(incident_id, text, datetime.now(UTC)))
    console.info(f"incident {incident_id} is closed")


def list_incidents(workspace: Workspace, *, as_json: bool) -> None:
    """Show every incident, the newest first."""
    found = _book(workspace).read()
    if as_json:
        console.show_json([incident.to_dict() for incident in found.incidents])
    else:
        show_incidents(found.incidents)
        if not found.incidents:
            console.info(f"no incident was written for {workspace.environment.name}")
    for broken in found.unreadable:
        console.info_error("unreadable: ", broken)


class IncidentChange(Frozen):
    """A change of the incidents in progress."""

    book: IncidentBook
    record: Record

    def note(self, action: str, incident: Incident) -> None:
        """Record what was done."""
        self.record.note(action=action, incident=incident.id, title=incident.title)


@contextmanager
def _changing(workspace: Workspace, options: ChangeOptions, question: str) -> Iterator[IncidentChange]:
    """A change of the incidents: on record like every other, under a lease that no release holds up."""
    confirm_change(workspace, question, options)
    runs = workspace.board_runs
    with locked_run(workspace, options, read_lease(workspace, runs), runs) as run:
        yield IncidentChange(_book(workspace), run.record)


def _book(workspace: Workspace) -> IncidentBook:
    return IncidentBook(Bucket(workspace.aws), workspace.environment.name, workspace.aws.caller)


def _check_was_read(workspace: Workspace, reading: BoardReading, consequence: str) -> None:
    if reading.health is None:
        why = next((problem for problem in reading.problems if problem.startswith("health: ")), "health: not read")
        name = workspace.environment.name
        raise OrderopsError(f"{why}; {consequence}", f"find the cause: orderops status --env {name}")
