"""Messages wait for their reader in a thread of their own, and the work goes on."""

from __future__ import annotations

import io
import sys
import threading

import pytest

from orderops.ui.background import BackgroundStream, unblocked_stderr


class PausedReader(io.StringIO):
    """A stream whose reader pauses until it is released."""

    def __init__(self) -> None:
        super().__init__()
        self.reads = threading.Event()
        self.blocked = threading.Event()

    def write(self, text: str) -> int:
        self.blocked.set()
        assert self.reads.wait(30)
        return super().write(text)


def test_writes_return_while_the_reader_pauses_and_arrive_in_order() -> None:
    reader = PausedReader()
    stream = BackgroundStream(reader)

    for number in range(3_000):
        stream.write(f"row {number}\n")
        stream.flush()
    reader.reads.set()
    stream.finish()

    assert reader.getvalue() == "".join(f"row {number}\n" for number in range(3_000))


def test_lines_beyond_the_limit_are_counted_where_they_are_missing() -> None:
    reader = PausedReader()
    stream = BackgroundStream(reader, limit=12)
    stream.write("first\n")
    assert reader.blocked.wait(30)

    for text in ("second\n", "third\n", "fourth\nfifth\n", "6\n"):
        stream.write(text)
    reader.reads.set()
    stream.finish()

    assert reader.getvalue() == ("first\nsecond\n(3 lines were left out: the reader of this output was too slow)\n6\n")


def test_lines_left_out_at_the_end_are_counted_too() -> None:
    reader = PausedReader()
    stream = BackgroundStream(reader, limit=3)
    stream.write("1\n2\n3\n")
    reader.reads.set()
    stream.finish()

    assert reader.getvalue() == "(3 lines were left out: the reader of this output was too slow)\n"


class ClosedPipe(io.StringIO):
    """A stream without a reader."""

    def write(self, text: str) -> int:
        raise BrokenPipeError


def test_work_whose_output_has_no_reader_is_completed_before_the_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", ClosedPipe())
    done = []

    with pytest.raises(BrokenPipeError), unblocked_stderr():
        for number in range(100):
            sys.stderr.write(f"{number}\n")
            done.append(number)

    assert len(done) == 100


def test_an_error_of_the_work_is_not_hidden_by_one_of_the_output(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", ClosedPipe())

    with pytest.raises(KeyError), unblocked_stderr():
        sys.stderr.write("x")
        raise KeyError


def test_output_is_complete_and_stderr_restored_at_the_end(capsys: pytest.CaptureFixture[str]) -> None:
    before = sys.stderr
    with unblocked_stderr():
        sys.stderr.write("one\n")
    assert sys.stderr is before
    assert capsys.readouterr().err == "one\n"


def test_a_process_without_stderr_works(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", None)

    with unblocked_stderr():
        pass
