"""Broken releases on the laptop, each with real processes: verdict, cause, exit code, and no request that fails."""

from __future__ import annotations

import shutil
import threading
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from orderops import local
from orderops.local.ports import free_port
from orderops.local.users import scratch
from support.command_line import Orderops
from support.repository import ROOT

IMAGE = "process://broken_service"
# What MODE does is in broken_service.py. The verdict's exit code, and the key of the cause.
BROKEN = {
    "exception": (5, "exception-at-start"),
    "import": (5, "missing-module"),
    "segfault": (5, "segmentation-fault"),
    "killed": (5, "killed"),
    "sigterm": (5, "terminated"),
    "ends": (5, "ended"),
    "exits": (5, "exited"),
    "memory": (5, "out-of-memory"),
    "database-refused": (5, "database-refused"),
    "connections": (5, "too-many-connections"),
    "login": (5, "database-login-refused"),
    "sick": (5, "health-check-status"),
    "slow-health": (5, "health-check-timeout"),
    "port": (5, "wrong-port"),
    "slow-start": (5, "wrong-port"),
    # Found in the bake, where no task says why.
    "wrong-version": (4, ""),
    "unready": (4, ""),
}
LONGEST = 60.0
"""Seconds for a verdict."""


@dataclass
class Client:
    """Sends 20 requests a second, and counts those that fail."""

    url: str
    sent: int = 0
    failed: list[str] = field(default_factory=list)
    _over: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Client:
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._over.wait(0.05):
            self.sent += 1
            try:
                with urllib.request.urlopen(self.url, timeout=10) as response:
                    response.read()
            except OSError as error:
                self.failed.append(str(error))


@pytest.fixture
def environments(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Folder with an environment `local` of its own, whose service is broken_service."""
    with scratch("orderops-broken-") as folder:
        shutil.copytree(ROOT / "environments", folder / "environments")
        (folder / "modules").mkdir()
        shutil.copy(ROOT / "tests" / "releases" / "broken_service.py", folder / "modules")
        for port in ("8080", "15432"):
            replace(folder, f"port = {port}", f"port = {free_port()}")
        replace(folder, 'image = "process://orderops.service"', f'image = "{IMAGE}"\nvariables = {{ MODE = "good" }}')
        for name, value in {
            "ORDEROPS_ENVIRONMENTS": folder / "environments",
            "ORDEROPS_LOCAL_DIRECTORY": folder / "data",
            "PYTHONPATH": folder / "modules",
        }.items():
            monkeypatch.setenv(name, str(value))
        monkeypatch.chdir(ROOT)
        monkeypatch.syspath_prepend(folder / "modules")
        yield folder
        local.reset()


def replace(folder: Path, old: str, new: str) -> None:
    file = folder / "environments" / "local.toml"
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


@pytest.mark.slow
def test_each_broken_release_is_judged_and_turned_back_while_the_one_before_answers(
    environments: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    orderops = Orderops(capsys)
    up = orderops("up", "--json")
    assert up.code == 0, up.err
    found, durations, mode = {}, {}, "good"
    with Client(up.json["urls"]["url"]) as client:
        for broken in BROKEN:
            replace(environments, f'MODE = "{mode}"', f'MODE = "{broken}"')
            mode = broken
            began = time.monotonic()
            said = orderops("service", "deploy", "--bake", "6", "--json")
            durations[broken] = time.monotonic() - began
            groups = said.json["releases"][0]["card"]["groups"]
            found[broken] = (said.code, groups[0]["cause"]["key"] if groups else "")
            assert "2 of revision 1 run, 2 wanted" in said.json["releases"][0]["runs_now"], (broken, said.err)

    assert found == BROKEN
    assert {broken: seconds for broken, seconds in durations.items() if seconds > LONGEST} == {}
    assert (client.failed, client.sent > 100) == ([], True)

    # These fail after they have replaced the one before, so that clients see it.
    replace(environments, f'MODE = "{mode}"', 'MODE = "errors"')
    with Client(up.json["urls"]["url"]):
        errors = orderops("service", "deploy", "--bake", "20", "--json")
    assert errors.code == 4
    assert "requests answered with 5xx" in errors.json["releases"][0]["reason"]
    replace(environments, 'MODE = "errors"', 'MODE = "late"')
    late = orderops("service", "deploy", "--bake", "20")
    assert late.code == 5
    assert "2 x exited with 3, after all tasks had been healthy" in late.err
    assert orderops("service", "explain").out.startswith("order-processor crash-looping")


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["rolling", "blue-green", "canary"])
def test_a_good_release_by_each_strategy_costs_no_request_and_a_bad_one_reaches_no_client(
    environments: Path, capsys: pytest.CaptureFixture[str], strategy: str
) -> None:
    orderops = Orderops(capsys)
    minutes = "\ncanary_minutes = 1" if strategy == "canary" else ""
    replace(environments, "bake_seconds = 30", f'bake_seconds = 30\nstrategy = "{strategy}"{minutes}')
    up = orderops("up", "--json")
    assert up.code == 0, up.err
    replace(environments, 'MODE = "good"', 'MODE = "better"')

    with Client(up.json["urls"]["url"] + "/version") as client:
        good = orderops("service", "deploy", "--bake", "6", "--json")
        replace(environments, 'MODE = "better"', 'MODE = "exception"')
        crashing = orderops("service", "deploy", "--bake", "6", "--json")
        if strategy != "rolling":
            replace(environments, 'MODE = "exception"', 'MODE = "unready"')
            unready = orderops("service", "deploy", "--bake", "6", "--json")
            assert unready.code == 4
            assert "no client has reached it" in unready.json["releases"][0]["reason"]

    assert good.code == 0, good.err
    assert crashing.code == 5
    assert (client.failed, client.sent > 100) == ([], True)
    running = orderops("service", "releases", "--json").json
    assert [one["definition"].rpartition(":")[2] for one in running if one["running"]] == ["2"]
