"""A restore continues after every kill, and its source's data is kept meanwhile."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import psutil
import pytest

from support.laptop import Laptop, until
from support.laptop_restores import home, opened, restore, rows, window

SIGNAL_FILE = "recovery.signal"


@pytest.mark.slow
def test_a_restore_killed_while_waiting_copying_or_recovering_completes(own_laptop: Laptop) -> None:
    laptop = own_laptop
    database = laptop.create_database()
    window(laptop, database)
    with laptop.connect(database) as session:
        # Enough log to replay for a while.
        session.execute("CREATE TABLE orders AS SELECT id, repeat('order', 40) FROM generate_series(1, 20000) AS id")
    source = home(laptop, database).server.process()
    assert source

    source.suspend()  # The restore waits for the source's last commit.
    name = restore(laptop, database)
    laptop.client("rds").delete_db_instance(
        DBInstanceIdentifier=database["DBInstanceIdentifier"], SkipFinalSnapshot=True
    )
    laptop.remembered()
    laptop.kill()
    laptop.start()
    source.resume()

    copy = home(laptop, laptop.database(name))
    until(lambda: list(copy.server.directory.glob(".data-*")) or copy.server.created, what="the restore copies data")
    laptop.kill()
    laptop.start()

    signalled = copy.server.data / SIGNAL_FILE
    process = until(lambda: _suspended(signalled), what="the restore replays the log")
    laptop.kill()
    assert process and process.is_running()
    laptop.start()
    assert laptop.database(name)["DBInstanceStatus"] == "creating"
    assert laptop.database(database["DBInstanceIdentifier"])["DBInstanceStatus"] == "deleting"
    process.resume()

    assert rows(laptop, opened(laptop, name), "orders") == list(range(1, 20001))
    until(lambda: not home(laptop, database).folder.exists(), what="the source is deleted after the restore")


def _suspended(signalled: Path) -> psutil.Process | None:
    """Return the recovering server, suspended in the middle of the recovery."""
    try:
        pid = int((signalled.parent / "postmaster.pid").read_text().splitlines()[0])
        os.kill(pid, signal.SIGSTOP)
    except (FileNotFoundError, IndexError, ValueError, ProcessLookupError):
        return None
    process = psutil.Process(pid)
    if not signalled.exists():
        process.resume()
        return None
    return process
