"""A substitute for AWS's session-manager-plugin: it forwards a port and records how it was called."""

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
folder = Path(__file__).parent
behaviour = json.loads((folder / "behaviour.json").read_text())
if sys.argv[1:] == ["--version"]:
    print(behaviour["version"])
    sys.exit()
if behaviour["error"]:
    sys.exit(behaviour["error"])
session = os.environ.get(sys.argv[1]) or sys.argv[1]
request = json.loads(sys.argv[5])
called = {{"arguments": sys.argv[1:], "session": json.loads(session), "request": request, "pid": os.getpid()}}
(folder / "called.json").write_text(json.dumps(called))
signal.signal(signal.SIGTERM, signal.SIG_IGN if behaviour["ignores_sigterm"] else lambda *_: sys.exit())


def forward(source, destination):
    while data := source.recv(65536):
        destination.sendall(data)
    destination.shutdown(socket.SHUT_WR)


listener = socket.create_server(("127.0.0.1", int(request["Parameters"]["localPortNumber"][0])))
print("Starting session" if behaviour["silent"] else "Starting session\\nWaiting for connections...", flush=True)
while True:
    client, _ = listener.accept()
    server = socket.create_connection(("127.0.0.1", behaviour["to"]))
    for pair in ((client, server), (server, client)):
        threading.Thread(target=forward, args=pair, daemon=True).start()
"""


@dataclass
class Plugin:
    """The installed program, and how it was called."""

    folder: Path

    @property
    def called(self) -> dict[str, Any]:
        """Its arguments, session and request; raises FileNotFoundError if it was not called."""
        called: dict[str, Any] = json.loads((self.folder / "called.json").read_text())
        return called

    @property
    def is_running(self) -> bool:
        return Path(f"/proc/{self.called['pid']}").exists()


def plugin(
    folder: Path,
    to: int,
    *,
    version: str = "1.2.650.0",
    error: str = "",
    silent: bool = False,
    ignores_sigterm: bool = False,
) -> Plugin:
    """Install the program into a folder and put the folder first on PATH.

    The program forwards to the port `to` of this machine, whatever host is requested.
    """
    folder.mkdir(exist_ok=True)
    behaviour = {"to": to, "version": version, "error": error, "silent": silent, "ignores_sigterm": ignores_sigterm}
    (folder / "behaviour.json").write_text(json.dumps(behaviour))
    program = folder / "session-manager-plugin"
    program.write_text(PROGRAM.format(python=sys.executable))
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    os.environ["PATH"] = f"{folder}{os.pathsep}{os.environ['PATH']}"
    return Plugin(folder)
