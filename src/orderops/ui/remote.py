"""The output of a remote job, shown as if its command ran on this machine."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType

from orderops.remote.framing import Mark, OutputLine
from orderops.ui.console import write_data, write_piece
from orderops.ui.progress import Progress


class JobOutput:
    """Shows what the task waits for until its command prints, then its lines on stdout and stderr.

    Data goes to `data` instead of stdout if that is given.
    """

    def __init__(self, data: Callable[[str], object] | None = None) -> None:
        self._data = data or write_data
        self._progress = Progress()
        self._started = False

    def __enter__(self) -> JobOutput:
        self._progress.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end_progress()

    def waiting(self, task: str, what: str) -> None:
        """Show what a task waits for, until its command prints: a live view would mix with its lines."""
        if not self._started:
            self._progress.watch(f"task {task[:8]}", what)

    def show(self, line: OutputLine) -> None:
        """Print a line, or a piece of one."""
        self._end_progress()
        text = f"{line.text}\n" if line.ends else line.text
        if line.mark is Mark.OUT:
            # Flushed line by line, so that stdout and stderr keep their order on a terminal.
            self._data(text)
        else:
            write_piece(text)

    def _end_progress(self) -> None:
        if not self._started:
            self._started = True
            self._progress.__exit__(None, None, None)
