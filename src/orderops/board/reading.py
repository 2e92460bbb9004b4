"""Everything that a board shows, read at one time: health, samples, incidents, and for engineers metrics and marks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any, TypeVar

from orderops.aws.documents import Bucket
from orderops.board.customer import parts_of
from orderops.board.incidents import FoundIncidents, IncidentBook
from orderops.board.marks import ChangeMark, marks_since
from orderops.board.samples import Days, HealthSample, KeptSamples, keep_sample, kept_samples
from orderops.board.series import DaySeries, read_series
from orderops.errors import OrderopsError
from orderops.frozen import Frozen
from orderops.health.examination import examine
from orderops.infra.workspace import Workspace

T = TypeVar("T")
DAY = timedelta(days=1)
NO_SAMPLES = KeptSamples()


class BoardReading(Frozen):
    """What a board is made of. A part that could not be read is empty, and its reason is in `problems`."""

    at: datetime
    environment: str
    title: str
    health: Mapping[str, Any] | None = None
    """As `orderops status --json` has it."""
    kept: KeptSamples = NO_SAMPLES
    incidents: FoundIncidents | None = None
    """None if they could not be read, which is not the same as that there are none."""
    series: DaySeries | None = None
    marks: tuple[ChangeMark, ...] = ()
    problems: tuple[str, ...] = ()
    """For engineers: what could not be read or kept."""

    @property
    def parts(self) -> dict[str, str]:
        """What customers use, and how it is."""
        return parts_of(self.health)


class _Problems:
    """Runs reads of which any may fail, and collects why."""

    def __init__(self) -> None:
        self.found: list[str] = []

    def trying(self, read: Callable[[], T], default: T, what: str) -> T:
        try:
            return read()
        except OrderopsError as error:
            self.found.append(f"{what}: {error.message}")
            return default


def read_board(workspace: Workspace, now: datetime, *, detail: bool, known: Days | None = None) -> BoardReading:
    """Read everything, and keep a sample of the health. `known` keeps samples between two readings."""
    environment, bucket = workspace.environment.name, Bucket(workspace.aws)
    problems = _Problems()
    trying = problems.trying
    with ThreadPoolExecutor(4) as pool:
        incidents = pool.submit(trying, IncidentBook(bucket, environment).read, None, "incidents")
        series = pool.submit(trying, lambda: read_series(workspace, now), None, "metrics") if detail else None
        marks = pool.submit(trying, lambda: marks_since(bucket, environment, now - DAY), (), "history")
        health = trying(lambda: examine(workspace).to_dict(), None, "health")
        trying(lambda: _keep(workspace, health, now), None, "this sample is not kept")
        kept = trying(lambda: kept_samples(bucket, environment, now, known), NO_SAMPLES, "samples")
        found = incidents.result()
        read = series.result() if series else None
        marked = marks.result()
    unreadable = [str(error) for error in (*kept.unreadable, *(found.unreadable if found else ()))]
    title = workspace.environment.board.title
    return BoardReading(now, environment, title, health, kept, found, read, marked, (*problems.found, *unreadable))


def sample_of(health: Mapping[str, Any], now: datetime) -> HealthSample:
    """The sample of a health."""
    components = {str(part["name"]): str(part["state"]) for part in health["components"]}
    return HealthSample(now.replace(microsecond=0), str(health["verdict"]), parts_of(health), components)


def _keep(workspace: Workspace, health: Mapping[str, Any] | None, now: datetime) -> None:
    # An environment that does not exist has no bucket yet, and to look at it must not make one.
    if health and health["verdict"] != "absent":
        # Not guarded: a sample changes nothing of the environment, so it needs no run.
        bucket = Bucket(workspace.aws.guarded(lambda: None))
        keep_sample(bucket, workspace.environment.name, sample_of(health, now))
