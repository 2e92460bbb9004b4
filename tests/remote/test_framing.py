"""The output of a job: text written to two streams is read back from one log unchanged."""

from __future__ import annotations

import threading

import pytest

from orderops.remote.framing import PIECE, Mark, MarkedStream, OutputLine, parse_line

TEXTS = {
    "an empty line": "\n",
    "lines, some empty": "one\n\n\nfour\n",
    "spaces around": "   {\n  \t}  \n",
    "other alphabets": "naïve 漢字 🐘\u2028still the same line\n",
    "as long as one piece": "x" * PIECE + "\n",
    "longer than one piece": "é" * (3 * PIECE + 1) + "\n",
    "no end": "Continue? ",
    "text that looks like a mark": "out| end| {}\n",
}


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS.keys())
def test_written_text_is_read_back_unchanged(text: str) -> None:
    log: list[str] = []
    stream = MarkedStream(Mark.OUT, log.append, threading.RLock())

    for part in text if len(text) < PIECE else [text[:7], text[7:]]:
        stream.write(part)
    stream.finish()

    assert read(log) == text
    assert all(line and len(line) <= PIECE + 5 for line in log)


def test_a_piece_fits_into_a_log_line_of_16_kib() -> None:
    assert (PIECE + 5) * 4 <= 16 * 1024


def test_lines_of_two_streams_are_not_mixed() -> None:
    log: list[str] = []
    lock = threading.RLock()
    out, err = MarkedStream(Mark.OUT, log.append, lock), MarkedStream(Mark.ERR, log.append, lock)

    out.write("da")
    err.write("a message\n")
    out.write("ta\n")

    assert [parse_line(line) for line in log] == [OutputLine(Mark.ERR, "a message"), OutputLine(Mark.OUT, "data")]


def test_lines_of_several_threads_are_not_mixed() -> None:
    log: list[str] = []
    stream = MarkedStream(Mark.ERR, log.append, threading.RLock())
    lines = [f"{number} {'y' * 2 * PIECE}\n" for number in range(4)]
    threads = [threading.Thread(target=stream.write, args=(line,)) for line in lines]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(read(log).splitlines(keepends=True)) == lines


def test_a_line_of_another_program_counts_as_stderr() -> None:
    assert parse_line("Traceback (most recent call last):") == OutputLine(
        Mark.ERR, "Traceback (most recent call last):"
    )
    assert parse_line("out of memory") == OutputLine(Mark.ERR, "out of memory")


def test_an_empty_line_survives_a_log_that_strips_spaces() -> None:
    assert parse_line("out|") == OutputLine(Mark.OUT, "")


def read(log: list[str]) -> str:
    lines = [parse_line(line) for line in log]
    return "".join(f"{line.text}\n" if line.ends else line.text for line in lines)
