"""Progress of long work: a live view on a terminal, a plain line every few seconds elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from time import monotonic
from types import TracebackType

from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live as LiveView
from rich.text import Text

from orderops.engine.resource import Resource
from orderops.engine.step import Action, Step
from orderops.text.durations import in_words
from orderops.ui.console import DONE, SIGNS, err, noteworthy, write_line
from orderops.ui.escaping import escape, visible

# A log of a pipeline shows that a run is alive, and stays readable.
INTERVAL = 5.0
"""Seconds between plain lines about waits."""
ROWS = 12
"""Waiting resources in the live view."""


class Progress:
    """Shows what each resource waits for, and each step when it is done."""

    def __init__(
        self,
        resources: Iterable[Resource] = (),
        *,
        noted: Callable[[Step], None] = lambda _: None,
        console: Console = err,
    ) -> None:
        self._noted = noted
        self._usual: Mapping[str, timedelta] = {resource.address: resource.typical_duration for resource in resources}
        self._console = console
        self._since: dict[str, float] = {}
        self._reasons: dict[str, str] = {}
        self._printed_at = monotonic()
        self._began = monotonic()
        self._live = (
            # Transient: at the end only the lines of finished steps remain.
            LiveView(self, console=console, refresh_per_second=4, transient=True) if console.is_terminal else None
        )
        self.steps: list[Step] = []
        self._finished = 0

    def __enter__(self) -> Progress:
        if self._live:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live:
            self._live.stop()

    @property
    def elapsed(self) -> float:
        """Seconds since the work began."""
        return monotonic() - self._began

    def watch(self, address: str, waits_for: str) -> None:
        """Show that a resource waits. An empty `waits_for` begins its task, and ends it when called again."""
        if not waits_for and address in self._since:
            del self._since[address]
            self._reasons.pop(address, None)
            return
        self._since.setdefault(address, monotonic())
        if waits_for:
            self._reasons[address] = waits_for
            self._print_waits()

    def done(self, step: Step) -> None:
        """Record a step, and show it if it changed something. Kept resources are shown at the end by the caller."""
        if step.action is Action.KEEP:
            return
        self.steps.append(step)
        self._noted(step)
        # Unchanged resources are counted only: there are dozens in each run.
        if step.action is not Action.NO_OP:
            sign, colour = SIGNS[step.action]
            note = f"  [dim]{escape(text)}[/]" if (text := noteworthy(step)) else ""
            self._console.print(f"[{colour}]{sign} {escape(step.address)} {DONE[step.action]}[/]{note}")

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Hide the live view, which would redraw over a question."""
        if self._live:
            self._live.stop()
        yield
        if self._live:
            self._live.start()

    def finished(self, name: str, detail: str) -> None:
        """Show that something other than a step is done."""
        self._finished += 1
        if self._live:
            self._console.print(Text.assemble((visible(f"+ {name}"), "green"), visible(f" {detail}")))
        else:
            # Past Rich: rendering each line would take half of the time of a thousand small migrations.
            write_line(f"+ {name} {detail}", self._console)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        # The longest wait comes first: it is the most likely to be stuck.
        waiting = sorted(self._reasons, key=lambda address: self._since.get(address, 0.0))
        running = len(self._since)
        yield Text(
            f"{len(self.steps) + self._finished} done, {running} in progress, {in_words(self.elapsed)}", style="bold"
        )
        for address in waiting[:ROWS]:
            yield Text(visible(f"  {self._line(address)}"), style="dim", overflow="ellipsis", no_wrap=True)
        if len(waiting) > ROWS:
            yield Text(f"  and {len(waiting) - ROWS} more", style="dim")

    def _print_waits(self) -> None:
        if self._live or monotonic() - self._printed_at < INTERVAL:
            return
        self._printed_at = monotonic()
        for address in sorted(self._reasons):
            self._console.print(escape(f"... {self._line(address)}"))

    def _line(self, address: str) -> str:
        waited = monotonic() - self._since.get(address, monotonic())
        usual = self._usual.get(address)
        # For short waits a typical duration is noise.
        usually = f", usually {in_words(usual)}" if usual and usual >= timedelta(seconds=30) else ""
        return f"{address}: {self._reasons.get(address, '')} ({in_words(waited)}{usually})"
