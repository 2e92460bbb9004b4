"""A release against the schema of a real database, on the laptop."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from orderops.local.users import scratch
from support.command_line import Orderops
from support.order_client import LaptopEnvironment, laptop_environment
from support.repository import ROOT

pytestmark = pytest.mark.slow


@pytest.fixture
def laptop() -> Iterator[LaptopEnvironment]:
    with laptop_environment() as environment:
        yield environment


def test_a_release_that_a_later_migration_broke_is_refused_and_one_on_record_is_made(
    laptop: LaptopEnvironment, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in laptop.environ.items():
        if name.startswith("ORDEROPS_"):
            monkeypatch.setenv(name, value)
    monkeypatch.delenv("ORDEROPS_SQL")
    orderops, file = Orderops(capsys), laptop.folder / "environments" / "local.toml"
    # Other variables are another release of the same image.
    file.write_text(file.read_text().replace("min_tasks = 2", 'variables = { CHANGED = "1" }\nmin_tasks = 1'))
    later = laptop.folder / "later"
    later.mkdir()
    for migration in (ROOT / "sql").glob("*.sql"):
        (later / migration.name).write_text(migration.read_text())
    (later / "V005__drop_accepted_orders.sql").write_text("DROP TABLE accepted_orders;\n")
    (later / "U005__drop_accepted_orders.sql").write_text("CREATE TABLE accepted_orders (id uuid PRIMARY KEY);\n")
    applied = orderops("migrate", "apply", "--yes", "--sql", str(later))
    assert applied.code == 0, applied.err

    with scratch("orderops-elsewhere-") as elsewhere:
        # Without a folder of migrations, those that came with orderops are what the process works with.
        monkeypatch.chdir(elsewhere)
        refused = orderops("service", "deploy", "--bake", "0")
        assert refused.code == 1
        assert "works with V003 to V004, and the database of local is at V005" in refused.err
        assert "V005 (drop accepted orders), applied" in refused.err

        made = orderops("service", "deploy", "--bake", "0", "--ignore-schema")

    assert made.code == 0, made.err
    run = orderops("history", "--json", "--last", "1").json[0]
    assert run["command"] == "service deploy order-processor --ignore-schema --env local"
    assert [step["image"] for step in run["steps"] if step["action"] == "schema not compared"] == [
        next(step["image"] for step in run["steps"] if "image" in step)
    ]
