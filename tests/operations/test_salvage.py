"""What `restore salvage` writes on a terminal."""

from __future__ import annotations

import io
from contextlib import nullcontext

import pytest
from rich.console import Console

from orderops.errors import Differences
from orderops.operations.compare import Pair, salvage
from orderops.operations.options import CompareOptions
from orderops.ui import compare as ui
from orderops.ui import console
from support.two_databases import DatabasePair

pytest_plugins = ["support.postgres_fixtures", "support.two_databases"]


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """What stands on a terminal, which shows stdout and stderr."""
    shown = io.StringIO()
    terminal = Console(file=shown, force_terminal=True, color_system=None, soft_wrap=True, highlight=False)
    monkeypatch.setattr(console, "out", terminal)
    monkeypatch.setattr(console, "err", terminal)
    monkeypatch.setattr(ui, "out", terminal)
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
