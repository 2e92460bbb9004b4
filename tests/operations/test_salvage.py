"""What `restore salvage` writes on a terminal."""

from __future__ import annotations

import io
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import cast

import pytest

from orderops.errors import Differences
from orderops.operations import compare
from orderops.operations.compare import Pair, salvage
from orderops.operations.options import CompareOptions
from orderops.ui import console
from support.two_databases import DatabasePair

pytest_plugins = ["support.postgres_fixtures", "support.two_databases"]


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """What stands on a terminal, which shows stdout and stderr."""
    shown = io.StringIO()
    # Not other consoles: a module that is imported meanwhile would keep them.
    for terminal in (console.out, console.err):
        monkeypatch.setattr(terminal, "_file", shown)
        monkeypatch.setattr(terminal, "_force_terminal", True)
        monkeypatch.setattr(terminal, "_color_system", None)
    return shown


def test_a_script_on_a_terminal_is_whole_and_followed_by_its_notes(
    two: DatabasePair, screen: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    two.both("create table orders (id int primary key)")
    two.live.execute("insert into orders values (7)")

    salvage_orders(two, monkeypatch)

    script, commit, rest = screen.getvalue().partition("commit;\n")
    assert script.startswith("-- rows of ")
    two.psql(two.restored, script + commit)
    assert two.restored.rows("select id from orders") == [(7,)]
    assert rest.splitlines()[0] == "public.orders: 1 row"


def test_a_row_that_conflicts_is_named_and_ends_with_the_exit_code_for_differences(
    two: DatabasePair, screen: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    two.both("create table orders (id int primary key, code text unique); insert into orders values (1, 'a')")
    two.live.execute("update orders set id = 2")

    with pytest.raises(Differences):
        salvage_orders(two, monkeypatch)

    script, _, rest = screen.getvalue().partition("commit;\n")
    assert "-- left out while another row conflicts: public.orders id='2': orders_code_key\n" in script
    assert "left out: public.orders: 1 conflict with other rows of restored; named in the script" in " ".join(
        rest.split()
    )


def test_a_script_of_a_task_is_written_even_if_it_leaves_rows_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def task(*given: object) -> None:
        on_data = cast(Callable[[str], object], given[-1])
        on_data("begin;\n")
        on_data("commit;\n")
        raise Differences

    monkeypatch.setattr(compare, "open_workspace", lambda *_: None)
    monkeypatch.setattr(compare, "primary_and_restored", lambda *_: (None, None))
    monkeypatch.setattr(compare, "_is_by_task", lambda _where: True)
    monkeypatch.setattr(compare, "_run_on_pair", task)

    with pytest.raises(Differences):
        salvage(
            CompareOptions(),
            every_table=True,
            only_live=True,
            only_restored=False,
            changed=False,
            output=tmp_path / "kept.sql",
        )

    assert (tmp_path / "kept.sql").read_text() == "begin;\ncommit;\n"


def salvage_orders(two: DatabasePair, monkeypatch: pytest.MonkeyPatch) -> None:
    databases = Pair(two.live.login, two.restored.login, "live", "restored", "restored --env dev")
    monkeypatch.setattr("orderops.operations.compare.pair", lambda _where: nullcontext(databases))
    salvage(
        CompareOptions(tables=("orders",)),
        every_table=False,
        only_live=True,
        only_restored=False,
        changed=False,
        output=None,
    )
