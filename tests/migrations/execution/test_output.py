"""No reader of the output, however slow, keeps a transaction open."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from support.migrate_runs import Run, until

pytest_plugins = ["support.postgres_fixtures", "support.migrate_fixtures"]

# A pipe holds 64 kB on Linux; these notices are 330 kB.
NOTICES = "do $$ begin for i in 1..3000 loop raise notice 'row % %', i, repeat('x', 100); end loop; end $$;\n"


def started(run: Run) -> subprocess.Popen[str]:
    """`orderops migrate apply` with a pipe that the test reads later, or not at all."""
    command = [str(Path(sys.executable).with_name("orderops")), "migrate", "apply", "--yes", "--sql", str(run.folder)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def applied(run: Run) -> int:
    """Versions that are applied."""
    ((there,),) = run.rows("select to_regclass('last_table') is not null")
    return int(bool(there))


@pytest.mark.parametrize("head", ["", "-- orderops: no-transaction\n"], ids=["one transaction", "no transaction"])
def test_a_file_with_many_notices_is_applied_while_its_output_is_not_read(run: Run, head: str) -> None:
    run.write("001__a", f"{head}{NOTICES}create table last_table ();\n")
    process = started(run)

    until(lambda: applied(run) == 1, "the file is applied")
    _, messages = process.communicate(timeout=60)

    assert process.returncode == 0, messages[-500:]
    assert messages.count("NOTICE: row ") == 3_000
    assert "1 applied in" in messages


def test_the_later_files_are_applied_when_the_reader_has_ended(run: Run) -> None:
    run.write("001__a", NOTICES)
    run.write("002__b", "create table last_table ();\n")
    process = started(run)
    assert process.stderr
    process.stderr.readline()
    process.stderr.close()

    assert process.wait(60) == 1
    assert applied(run) == 1
