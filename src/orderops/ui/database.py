"""The users of a database on the terminal."""

from __future__ import annotations

from collections.abc import Iterable

from rich.table import Table

from orderops.database.schema_owner import OWNER
from orderops.database.users import DatabaseUser
from orderops.text.lists import counted
from orderops.text.outside import plain
from orderops.ui.console import out
from orderops.ui.escaping import escape


def show_users(users: Iterable[DatabaseUser]) -> None:
    """Show each user with how it logs in, what it may do, and its sessions."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    for heading in ("user", "logs in", "may", "sessions"):
        table.add_column(heading, overflow="fold")
    for user in users:
        table.add_row(escape(plain(user.name)), _login(user), escape(plain(user.may)), _sessions(user))
    out.print(table)


def _login(user: DatabaseUser) -> str:
    if not user.logs_in:
        return "never" if user.name == OWNER else "no more"
    until = f" until {user.valid_until:%Y-%m-%d}" if user.valid_until else ""
    return f"{'by IAM' if user.by_iam else 'by password'}{until}"


def _sessions(user: DatabaseUser) -> str:
    if not user.connected_since:
        return "none"
    return f"{counted(user.sessions, 'session')}, the oldest since {user.connected_since:%Y-%m-%d %H:%M}"
