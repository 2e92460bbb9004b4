"""What a command in a task says, shown as if it were said here."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import TracebackType

from orderops.remote.framing import Mark, OutputLine
from orderops.ui.progress import Progress


class JobOutput:
    """Shows what is waited for until the command speaks, and then its lines: data on stdout, the rest beside.

    Data goes to `data` instead, where that is given.
    """

    def __init__(self, data: Callable[[str], object] | None = None) -> None:
        self._data = data or sys.stdout.write
        self._progress = Progress()
        self._speaks = False

    def __enter__(self) -> JobOutput:
        self._progress.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._quiet()

    def waiting(self, task: str, what: str) -> None:
        """Show what a task waits for; beside a command that speaks there is no place for it on a terminal."""
        if not self._speaks:
            self._progress.watch(f"task {task[:8]}", what)

    def heard(self, said: OutputLine) -> None:
        """Show a line, or a piece of one."""
        self._quiet()
        text = f"{said.text}\n" if said.ends else said.text
        if said.mark is Mark.OUT:
            self._data(text)
            sys.stdout.flush()
        else:
            sys.stderr.write(text)
            sys.stderr.flush()

    def _quiet(self) -> None:
        if not self._speaks:
            self._speaks = True
            self._progress.__exit__(None, None, None)
