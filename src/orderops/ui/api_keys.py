"""API keys on the terminal."""

from __future__ import annotations

from collections.abc import Iterable

from rich.table import Table

from orderops.resources.apigateway_keys import ApiKey
from orderops.text.outside import plain
from orderops.ui.console import out
from orderops.ui.escaping import escape


def show_keys(keys: Iterable[ApiKey]) -> None:
    """Show each key with its state and its age; values are not shown."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    for heading in ("name", "state", "created", "id"):
        table.add_column(heading, overflow="fold")
    for key in keys:
        table.add_row(
            escape(plain(key.name)), key.state, escape(f"{key.created:%Y-%m-%d %H:%M}"), escape(plain(key.id))
        )
    out.print(table)
