"""What Ctrl+C ends without being an error."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def until_ctrl_c() -> Iterator[None]:
    """Run a block that goes on until Ctrl+C, which ends it like its last line."""
    try:
        yield
    except KeyboardInterrupt:
        # CPython notes an interrupt that arrives while a text is executed, as in an import that makes a dataclass,
        # and would end the process as killed by SIGINT although it was caught. The next text replaces the note.
        eval("None")
