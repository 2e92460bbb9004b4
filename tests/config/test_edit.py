"""One key of an environment file changes, and everything else stays as the operator wrote it."""

from __future__ import annotations

import stat
import tomllib
from pathlib import Path
from typing import Any

import pytest

from orderops.config.edit import with_values, write_file
from orderops.config.loader import Key
from orderops.errors import OrderopsError

FILE = """\
# Development: small, and one of each.

[network]
cidr = "10.0.0.0/16"
nat_gateways = 1 # for both zones: cheaper

# The database.
[database] # one
backup_days   =   7   # a week
log_exports = [ # which
    "postgresql", # all
]

[services.order-processor]
cpu = 256
paths = [
    "/orders*", # the orders
    "/users*",
]

# The queue of the orders.
[services.order-processor.queue]
'visibility_timeout' = 30 # seconds

# The end."""
QUEUE: Key = ("services", "order-processor", "queue")
CASES: dict[str, tuple[Key, Any, str, str]] = {
    "a value with a comment": (
        ("database", "backup_days"),
        3,
        "backup_days   =   7   # a week",
        "backup_days   =   3   # a week",
    ),
    "a quoted key": (
        (*QUEUE, "visibility_timeout"),
        99,
        "'visibility_timeout' = 30 # seconds",
        "'visibility_timeout' = 99 # seconds",
    ),
    "a text": (("network", "cidr"), "10.1.0.0/16", '"10.0.0.0/16"', '"10.1.0.0/16"'),
    "a new key before the comment of the next table": (
        ("network", "flow_log_days"),
        9,
        "nat_gateways = 1 # for both zones: cheaper\n",
        "nat_gateways = 1 # for both zones: cheaper\nflow_log_days = 9\n",
    ),
    "a new key behind a value of several lines": (
        ("services", "order-processor", "log_days"),
        30,
        '    "/users*",\n]\n',
        '    "/users*",\n]\nlog_days = 30\n',
    ),
    "a new key in the last table": (
        (*QUEUE, "retention_days"),
        4,
        "= 30 # seconds\n",
        "= 30 # seconds\nretention_days = 4\n",
    ),
    "a new table": (
        ("services", "order-processor", "alarms", "cpu_percent"),
        80,
        "# The end.",
        "# The end.\n\n[services.order-processor.alarms]\ncpu_percent = 80\n",
    ),
    "a new key of the file itself in a table of its own": (
        ("balancer", "deletion_protection"),
        True,
        "# The end.",
        "# The end.\n\n[balancer]\ndeletion_protection = true\n",
    ),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("end", ["\n", "\r\n"], ids=["unix", "windows"])
@pytest.mark.parametrize("mark", ["", "\ufeff"], ids=["plain", "with a byte order mark"])
def test_all_but_the_changed_lines_stays_as_it_was(case: str, end: str, mark: str) -> None:
    key, value, before, after = CASES[case]
    text = mark + FILE.replace("\n", end)

    changed = with_values(text, {key: value})

    assert changed == mark + FILE.replace(before, after, 1).replace("\n", end)


def test_several_values_change_at_once() -> None:
    changed = with_values(FILE, {("database", "backup_days"): 3, (*QUEUE, "visibility_timeout"): 99})

    read = tomllib.loads(changed)
    assert (read["database"]["backup_days"], read["services"]["order-processor"]["queue"]["visibility_timeout"]) == (
        3,
        99,
    )
    assert [line for line in changed.splitlines() if "#" in line and "_" not in line] == [
        line for line in FILE.splitlines() if "#" in line and "_" not in line
    ]


@pytest.mark.parametrize(
    "text",
    [
        "[services.order-processor]\nqueue.visibility_timeout = 30\n",
        "[services]\norder-processor = { queue = { visibility_timeout = 30 } }\n",
    ],
    ids=["dotted", "inline"],
)
def test_a_new_key_where_the_layout_has_no_place_for_it_is_refused(text: str) -> None:
    with pytest.raises(OrderopsError, match=r"services\.order-processor\.queue\.retention_days"):
        with_values(text, {(*QUEUE, "retention_days"): 4})


@pytest.mark.parametrize(
    "text, expected",
    [
        (
            "[services.order-processor]\nqueue.visibility_timeout = 30 # s\n",
            "[services.order-processor]\nqueue.visibility_timeout = 99 # s\n",
        ),
        (
            "[services]\norder-processor = { queue = { visibility_timeout = 30 } } # s\n",
            "[services]\norder-processor = { queue = { visibility_timeout = 99 } } # s\n",
        ),
    ],
    ids=["dotted", "inline"],
)
def test_a_value_changes_in_every_layout(text: str, expected: str) -> None:
    assert with_values(text, {(*QUEUE, "visibility_timeout"): 99}) == expected


def test_a_file_is_replaced_at_once_and_keeps_its_mode_and_its_link(tmp_path: Path) -> None:
    file, link = tmp_path / "shared.toml", tmp_path / "dev.toml"
    file.write_text("a = 1\n")
    file.chmod(0o640)
    link.symlink_to(file)

    write_file(link, "a = 2\r\n")

    assert file.read_bytes() == b"a = 2\r\n"
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    assert link.is_symlink()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["dev.toml", "shared.toml"]


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(OrderopsError, match=r"dev\.toml"):
        write_file(tmp_path / "none" / "dev.toml", "a = 2\n")
