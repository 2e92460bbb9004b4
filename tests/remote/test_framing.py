"""The lines of an errand: what was written on two streams is read back from one log, as it was."""

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
    "what looks like a mark": "out| end| {}\n",
}


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS.keys())
def test_what_is_written_is_read_back(text: str) -> None:
    log: list[str] = []
    stream = MarkedStream(Mark.OUT, log.append, threading.RLock())

    for letter in text if len(text) < PIECE else [text[:7], text[7:]]:
        stream.write(letter)
    stream.finish()

    assert read(log) == text
    assert all(line and len(line) <= PIECE + 5 for line in log)


def test_two_streams_keep_apart() -> None:
    log: list[str] = []
    lock = threading.RLock()
    out, err = MarkedStream(Mark.OUT, log.append, lock), MarkedStream(Mark.ERR, log.append, lock)

    out.write("da")
    err.write("beside\n")
    out.write("ta\n")

    assert [parse_line(line) for line in log] == [OutputLine(Mark.ERR, "beside"), OutputLine(Mark.OUT, "data")]


def test_threads_tear_no_line() -> None:
    log: list[str] = []
    stream = MarkedStream(Mark.ERR, log.append, threading.RLock())
    lines = [f"{number} {'y' * 2 * PIECE}\n" for number in range(4)]
    threads = [threading.Thread(target=stream.write, args=(line,)) for line in lines]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(read(log).splitlines(keepends=True)) == lines


def test_a_line_of_a_stranger_is_for_whoever_reads_along() -> None:
    assert parse_line("Traceback (most recent call last):") == OutputLine(
        Mark.ERR, "Traceback (most recent call last):"
    )
    assert parse_line("out of memory") == OutputLine(Mark.ERR, "out of memory")


def test_a_log_that_takes_spaces_away_takes_no_line() -> None:
    assert parse_line("out|") == OutputLine(Mark.OUT, "")


def read(log: list[str]) -> str:
    said = [parse_line(line) for line in log]
    return "".join(f"{each.text}\n" if each.ends else each.text for each in said)
