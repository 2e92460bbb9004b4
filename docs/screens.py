"""Take the pictures of the documentation from real runs of orderops in a laptop environment of its own.

python docs/screens.py              write every picture to docs/pictures
python docs/screens.py status       write only the pictures that are named

It needs nothing but `pip install -e '.[dev]'`, and takes about a minute. It uses the ports of environments/local.toml
where they are free, and others where they are not.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import pty
import re
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path

from rich.console import Console
from rich.text import Text

ROOT = Path(__file__).parents[1]
PICTURES = ROOT / "docs" / "pictures"
COLUMNS, ROWS = 80, 50
TIMEOUT = 300.0  # seconds for one command, on a slow machine
# What a live view of rich sends besides text: it erases lines, goes up and hides the cursor. Colours are kept.
CONTROL = re.compile(r"\x1b\[(?P<count>\d*)(?P<name>[A-HJKhl])|\x1b\[\?\d+[hl]|(?P<end>\r\n|\n|\r)")
ORDERS = 400_000
FILL = f"""
insert into orders (id, user_id, status, currency, total_cents, placed_at)
select gen_random_uuid(), 1 + n % 3, 'received', (array['EUR', 'AUD', 'USD'])[1 + n % 3], n % 90000, now()
from generate_series(1, {ORDERS}) n;
insert into order_items (order_id, line, sku, quantity, unit_price_cents)
select id, 1, 'tea', 1, total_cents from orders;
"""
DAMAGE = """
delete from order_items where order_id in (select id from orders where total_cents = 7);
delete from orders where total_cents = 7;
update orders set status = 'cancelled' where total_cents = 9;
insert into users (name, email) values ('Dora', 'dora@example.com');
"""
MIGRATION = "CREATE INDEX orders_by_currency ON orders (currency, total_cents);\n"
UNDO = "DROP INDEX orders_by_currency;\n"


def main() -> None:
    """Take the pictures that are named, or all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"any of {', '.join(SCENES)}; all when left out")
    names = parser.parse_args().names or list(SCENES)
    if unknown := set(names) - SCENES.keys():
        parser.error(f"no picture is named {', '.join(sorted(unknown))}")
    with laptop() as environment:
        for name in names:
            PICTURES.mkdir(exist_ok=True)
            save(PICTURES / f"{name}.svg", SCENES[name](environment))
            print(f"docs/pictures/{name}.svg")


@dataclass(frozen=True)
class Laptop:
    """A laptop environment in a folder of its own, in which commands run as an operator types them."""

    folder: Path

    @property
    def variables(self) -> Mapping[str, str]:
        """The operator's environment, without any setting that would show in a picture."""
        own = {name: value for name, value in os.environ.items() if not name.startswith(("ORDEROPS_", "AWS_"))}
        return own | {
            "ORDEROPS_LOCAL_DIRECTORY": str(self.folder / "data"),
            "ORDEROPS_LOG_DIRECTORY": str(self.folder / "logs"),
            "TERM": "xterm-256color",
            "COLORTERM": "truecolor",
            "COLUMNS": str(COLUMNS),
            "LINES": str(ROWS),
            "TZ": "UTC",
        }

    def run(self, *words: str) -> str:
        """Run a command on a terminal of 80 columns, and return what it wrote with its colours."""
        program = [sys.executable, "-m", "orderops", *words]
        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
        process = subprocess.Popen(
            program, cwd=self.folder, env=self.variables, stdin=theirs, stdout=theirs, stderr=theirs, close_fds=True
        )
        os.close(theirs)
        written = b"".join(_read(ours))
        os.close(ours)
        code = process.wait(TIMEOUT)
        text = written.decode()
        if code not in (0, 3):  # 3 is how a plan, a rehearsal and a comparison say that they found something
            raise SystemExit(f"orderops {' '.join(words)} ended with {code}:\n{text}")
        return text

    def sql(self, text: str) -> None:
        """Run statements in the database."""
        self.run("local", "psql", "-q", "-v", "ON_ERROR_STOP=1", "-c", text)


@contextmanager
def laptop() -> Iterator[Laptop]:
    """A laptop environment that is up; it is deleted at the end."""
    folder = Path(tempfile.mkdtemp(prefix="orderops-docs-"))
    folder.chmod(0o755)  # Where this runs as root, PostgreSQL runs as a user that must be able to enter.
    (folder / "environments").mkdir()
    text = (ROOT / "environments" / "local.toml").read_text()
    for port in re.findall(r"^port = (\d+)$", text, re.MULTILINE):
        text = text.replace(f"port = {port}", f"port = {usable_port(int(port))}")
    (folder / "environments" / "local.toml").write_text(text)
    shutil.copytree(ROOT / "sql", folder / "sql")
    environment = Laptop(folder)
    try:
        environment.run("up")
        yield environment
    finally:
        environment.run("local", "reset", "--yes")
        shutil.rmtree(folder, ignore_errors=True)


def usable_port(wanted: int) -> int:
    """The port itself where nothing listens on it, else any free one."""
    for port in (wanted, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise SystemExit("no port is free")


@dataclass(frozen=True)
class Screen:
    """A command and what it wrote."""

    command: str
    written: str


def screen(laptop: Laptop, *words: str) -> Screen:
    """Run a command for its picture."""
    return Screen(" ".join(("orderops", *words)), laptop.run(*words))


def status(laptop: Laptop) -> Screen:
    """A healthy environment."""
    until_healthy(laptop)
    return screen(laptop, "status")


def plan(laptop: Laptop) -> Screen:
    """A setting that was changed in the file, and one that was changed in the account."""
    file = laptop.folder / "environments" / "local.toml"
    before = file.read_text()
    file.write_text(before.replace("visibility_timeout = 30", "visibility_timeout = 60\nmax_receives = 3"))
    try:
        return screen(laptop, "infra", "plan")
    finally:
        file.write_text(before)


def rehearsal(laptop: Laptop) -> Screen:
    """An index that is built without CONCURRENTLY, on a table that the service writes to."""
    fill(laptop)
    files = [laptop.folder / "sql" / f"{letter}003__find_orders_by_currency.sql" for letter in "VU"]
    for file, text in zip(files, (MIGRATION, UNDO), strict=True):
        file.write_text(text)
    try:
        return screen(laptop, "migrate", "rehearsal", "--holder", "5s")
    finally:
        for file in files:
            file.unlink()


def compare(laptop: Laptop) -> Screen:
    """Rows that were deleted and changed by mistake, next to a restore from before that."""
    fill(laptop)
    time.sleep(2)
    moment = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    time.sleep(2)
    laptop.sql(DAMAGE)
    laptop.run("restore", "--at", moment)
    return screen(laptop, "restore", "compare")


SCENES: Mapping[str, Callable[[Laptop], Screen]] = {
    "status": status,
    "plan": plan,
    "rehearsal": rehearsal,
    "compare": compare,
}


def fill(laptop: Laptop) -> None:
    """Write orders, once, so that a change of the table takes time."""
    marker = laptop.folder / "filled"
    if not marker.exists():
        laptop.sql(FILL)
        laptop.sql("vacuum analyze orders")
        marker.touch()


def until_healthy(laptop: Laptop) -> None:
    """Alarms of a new environment have no data for a moment."""
    deadline = time.monotonic() + TIMEOUT
    while "healthy" not in laptop.run("status").splitlines()[0]:
        if time.monotonic() > deadline:
            raise SystemExit("the environment does not get healthy:\n" + laptop.run("status"))
        time.sleep(1)


def save(path: Path, screen: Screen) -> None:
    """Draw a terminal with the command and what it left on the screen."""
    console = Console(record=True, width=COLUMNS, file=StringIO(), force_terminal=True, color_system="truecolor")
    console.print(Text.assemble(("$ ", "dim"), (screen.command, "bold")))
    for line in left_on_screen(screen.written):
        text = Text.from_ansi(line)
        for part in text.divide(range(COLUMNS, len(text), COLUMNS)):  # as a terminal wraps
            console.print(part, soft_wrap=True)
    console.save_svg(str(path), title="")


def left_on_screen(written: str) -> Sequence[str]:
    """The lines that stay when a live view has erased itself, with their colours."""
    lines, row = [""], 0
    for text, control in _parts(written):
        lines[row] += text
        match (control["end"], control["name"]) if control else (None, None):
            case ("\r\n" | "\n", _):
                row += 1
                lines += [""] * (row + 1 - len(lines))
            case (_, "K"):
                lines[row] = ""
            case (_, "A"):
                row = max(0, row - int(control["count"] or 1)) if control else row
    while lines and not lines[-1].strip():
        lines.pop()
    return [line.rstrip() for line in lines]


def _parts(written: str) -> Iterator[tuple[str, re.Match[str] | None]]:
    """Text, and the control sequence that follows it."""
    start = 0
    for control in CONTROL.finditer(written):
        yield written[start : control.start()], control
        start = control.end()
    yield written[start:], None


def _read(terminal: int) -> Iterator[bytes]:
    while True:
        try:
            piece = os.read(terminal, 65536)
        except OSError:  # Linux says EIO when the other end of a terminal is closed.
            return
        if not piece:
            return
        yield piece


if __name__ == "__main__":
    main()
