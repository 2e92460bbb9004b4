"""Change the code in small ways, one at a time, and count the changes that no test notices.

    pip install -e '.[mutation]'
    python benchmarks/mutation.py                  every area
    python benchmarks/mutation.py engine runs      some areas
    python benchmarks/mutation.py engine --show    with the changes that survived
    python benchmarks/mutation.py compare --every 12 --offset 5    changes 5, 17, 29, … of an area, in the order of
                                                                   its files and lines, counted from 0

mutmut makes the changes in a copy of the repository and runs, for each, only the tests that execute the changed
function. Each area has its own tests: what only a distant test would notice counts as unnoticed.

A change whose tests do not end in time counts as noticed, and is counted in the column `stopped` too. On a busy machine
that number is too high: repeat those areas with a longer `--longest`.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

ROOT = Path(__file__).parents[1]
PACKAGE = "src/orderops"
COLUMNS = ("changes", "tried", "noticed", "stopped", "percent")
GOAL = 85
"""Percent of the changes that tests are to notice."""


@dataclass(frozen=True)
class Area:
    """Sources, below the package, and the tests that are to notice a change in them."""

    sources: tuple[str, ...]
    tests: tuple[str, ...]


AREAS: Mapping[str, Area] = {
    "engine": Area(("engine",), ("tests/engine", "tests/infra/test_together.py")),
    "runs": Area(
        ("runs",),
        (
            "tests/runs/test_broken_documents.py",
            "tests/runs/test_lease.py",
            "tests/runs/test_migrated.py",
            "tests/runs/test_record.py",
        ),
    ),
    "ownership": Area(("aws/ownership.py",), ("tests/aws/test_ownership.py", "tests/engine")),
    "lock waits": Area(
        ("migrations/execution/lock_wait.py", "migrations/execution/blocker.py", "migrations/sql/locks.py"),
        (
            "tests/migrations/execution/test_lock_waiter.py",
            "tests/migrations/execution/test_blocking_locks.py",
            "tests/migrations/sql/test_locks.py",
            "tests/migrations/sql/test_lock_names.py",
        ),
    ),
    "promotion": Area(("restore/promotion.py",), ("tests/restore/test_promotion.py", "tests/restore/test_switch.py")),
    "compare": Area(("restore/compare",), ("tests/restore/compare", "tests/restore/salvage/test_large_objects.py")),
    "gate": Area(
        ("rehearsal/gate.py", "operations/gate.py"), ("tests/rehearsal/test_gate.py", "tests/operations/test_gate.py")
    ),
}
CONFIGURATION = """
[tool.mutmut]
source_paths = {sources}
also_copy = ["environments", "sql", "src", "tests", "docs", "README.md"]
pytest_add_cli_args_test_selection = {tests}
# A broken invariant of the code that mutmut adds does not matter here.
pytest_add_cli_args = ["-p", "no:cacheprovider", "-m", ""]
"""
RESULT = re.compile(r"^\s*(?P<name>[\w.ǁ]+__mutmut_\d+): (?P<result>[a-z ]+)$", re.MULTILINE)
STOPPED = ("timeout", "segfault")
"""The results of a change whose tests did not end in time: by mutmut's limit, or by the one below."""
NOTICED = ("killed", "suspicious", *STOPPED)
NAMES = """
from mutmut.mutation.file_mutation import mutate_file_contents
from mutmut.utils.file_utils import walk_mutatable_files
from mutmut.utils.format_utils import get_mutant_name
for path in sorted(walk_mutatable_files()):
    for name in mutate_file_contents(str(path), path.read_text(encoding="utf-8")).mutant_names:
        print(get_mutant_name(path, name))
"""
"""Prints the names of all changes of an area, in the order of files and lines. mutmut has no command for it."""
LONGEST = 60.0
"""Seconds for the tests of one change. mutmut limits CPU time only, and a change can make a test wait for ever."""


def main() -> None:
    """Try the requested areas. Exits with 1 if one of them is below the goal."""
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("areas", nargs="*", choices=[[], *AREAS], help="these areas")
    words.add_argument("--show", action="store_true", help="show each change that survived")
    words.add_argument("--jobs", type=int, default=2, help="changes tried at the same time")
    words.add_argument("--longest", type=float, default=LONGEST, help="seconds for the tests of one change")
    words.add_argument("--every", type=int, default=1, help="try every Nth change only")
    words.add_argument("--offset", type=int, default=0, help="the first change to try, from 0")
    options = words.parse_args()
    if not 0 <= options.offset < options.every:
        words.error("--offset must be at least 0 and below --every")
    below = []
    print(" ".join([f"{'area':12}", *(f"{column:>8}" for column in COLUMNS)]), flush=True)
    for name in options.areas or AREAS:
        with tempfile.TemporaryDirectory(prefix="orderops-mutation-") as temporary:
            folder = _copy(Path(temporary) / "orderops", AREAS[name])
            changes = _changes(folder)
            sample = changes[options.offset :: options.every]
            if not sample:
                sys.exit(f"{name} has {len(changes)} changes: choose a lower --offset")
            results = _tried(folder, sample, options.jobs, options.longest)
            noticed, stopped = (sum(result in these for result in results.values()) for these in (NOTICED, STOPPED))
            percent = 100 * noticed / max(len(results), 1)
            print(f"{name:12} {len(changes):8} {len(results):8} {noticed:8} {stopped:8} {percent:8.1f}", flush=True)
            if options.show:
                for line in _survivors(folder, [change for change, result in results.items() if result not in NOTICED]):
                    print(line, flush=True)
            below += [name] if percent < GOAL else []
    sys.exit(bool(below))


def _copy(folder: Path, area: Area) -> Path:
    """Copy the files of the repository, with a configuration for the area."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, listed.split("\0")):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, folder / name)
    sources = [f"{PACKAGE}/{source}" for source in area.sources]
    with (folder / "pyproject.toml").open("a", encoding="utf-8") as file:
        file.write(CONFIGURATION.format(sources=_toml(sources), tests=_toml(area.tests)))
    return folder


def _toml(texts: Collection[str]) -> str:
    return "[" + ", ".join(f'"{text}"' for text in texts) + "]"


def _changes(folder: Path) -> list[str]:
    command = [sys.executable, "-W", "ignore", "-c", NAMES]
    return subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, text=True, check=True).stdout.split()


def _tried(folder: Path, changes: Collection[str], jobs: int, longest: float) -> dict[str, str]:
    """The result of each change. Raises SystemExit with mutmut's output if the unchanged code fails its tests."""
    with _children_ended(longest):
        done = _mutmut(folder, "run", "--max-children", str(jobs), *changes)
    found = dict(RESULT.findall(_mutmut(folder, "results", "--all", "true").stdout))
    results = {change: found.get(change, "not checked").strip() for change in changes}
    if done.returncode or not results or Counter(results.values())["not checked"]:
        sys.exit(f"mutmut ended with {done.returncode}:\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}")
    return results


@contextmanager
def _children_ended(longest: float) -> Iterator[None]:
    """Kill processes of mutmut that run longer inside the `with` block; their changes count as noticed."""
    over = threading.Event()

    def kill() -> None:
        while not over.wait(longest / 12):
            for process in psutil.Process().children(recursive=True):
                with suppress(psutil.Error):
                    if process.name().startswith("mutmut: ") and time.time() - process.create_time() > longest:
                        process.kill()

    thread = threading.Thread(target=kill, daemon=True)
    thread.start()
    yield
    over.set()
    thread.join()


def _survivors(folder: Path, changes: Collection[str]) -> Iterator[str]:
    for change in changes:
        shown = _mutmut(folder, "show", change).stdout.splitlines()
        yield f"  {change}"
        yield from (f"    {line}" for line in shown if re.match(r"[-+](?![-+])", line))


def _mutmut(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "ignore", "-m", "mutmut", *words]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


if __name__ == "__main__":
    main()
