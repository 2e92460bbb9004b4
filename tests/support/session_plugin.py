"""A program in the place of AWS's session-manager-plugin: it forwards a port, and writes down how it was called."""

from __future__ import annotations

import json
import os
import stat
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PROGRAM = """#!{python}
import json, os, signal, socket, sys, threading
from pathlib import Path
place = Path(__file__).parent
how = json.loads((place / "how.json").read_text())
if sys.argv[1:] == ["--version"]:
    print(how["version"])
    sys.exit()
if how["dies"]:
    sys.exit(how["dies"])
session = os.environ.get(sys.argv[1]) or sys.argv[1]
asked = json.loads(sys.argv[5])
told = {{"words": sys.argv[1:], "session": json.loads(session), "asked": asked, "pid": os.getpid()}}
(place / "called.json").write_text(json.dumps(told))
signal.signal(signal.SIGTERM, signal.SIG_IGN if how["deaf"] else lambda *_: sys.exit())


def pass_on(one, other):
    while data := one.recv(65536):
        other.sendall(data)
    other.shutdown(socket.SHUT_WR)


door = socket.create_server(("127.0.0.1", int(asked["Parameters"]["localPortNumber"][0])))
print("Starting session\\nWaiting for connections..." if how["says"] else "Starting session", flush=True)
while True:
    guest, _ = door.accept()
    host = socket.create_connection(("127.0.0.1", how["to"]))
    for pair in ((guest, host), (host, guest)):
        threading.Thread(target=pass_on, args=pair, daemon=True).start()
"""


@dataclass
class Plugin:
    """The program, and what it was called with."""

    folder: Path

    @property
    def called(self) -> dict[str, Any]:
        """Its words, its session and what was asked of it; raises where it was not called."""
        told: dict[str, Any] = json.loads((self.folder / "called.json").read_text())
        return told

    @property
    def lives(self) -> bool:
        """Whether its process is there."""
        return Path(f"/proc/{self.called['pid']}").exists()


def plugin(
    folder: Path, to: int, *, version: str = "1.2.650.0", dies: str = "", says: bool = True, deaf: bool = False
) -> Plugin:
    """Write the program; it forwards to the port `to` of this machine, whatever host it is asked for."""
    folder.mkdir(exist_ok=True)
    how = {"to": to, "version": version, "dies": dies, "says": says, "deaf": deaf}
    (folder / "how.json").write_text(json.dumps(how))
    program = folder / "session-manager-plugin"
    program.write_text(PROGRAM.format(python=sys.executable))
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    os.environ["PATH"] = f"{folder}{os.pathsep}{os.environ['PATH']}"
    return Plugin(folder)
