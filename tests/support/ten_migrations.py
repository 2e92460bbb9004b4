"""Ten migrations of every sort, on a table that holds rows: to be killed, raced and undone."""

from __future__ import annotations

from pathlib import Path

ROWS = 4_000
NO_TRANSACTION = "-- orderops: no-transaction\n"
TEN = {
    "001__create_parts": (
        f"create table parts (id bigint primary key, name text, maker bigint, n int not null default 0);\n"
        f"insert into parts select i, 'part ' || i, i % 7, 0 from generate_series(1, {ROWS}) i;\n",
        "drop table parts;\n",
    ),
    "002__create_makers": (
        "create table makers (id bigint primary key, name text);\n"
        "insert into makers select i, 'maker ' || i from generate_series(0, 6) i;\n",
        "drop table makers;\n",
    ),
    "003__index_names": (
        NO_TRANSACTION + "create index concurrently parts_by_name on parts (name);\n"
        "create unique index concurrently parts_of_maker on parts (maker, id);\n",
        NO_TRANSACTION + "drop index concurrently parts_of_maker;\ndrop index concurrently parts_by_name;\n",
    ),
    "004__add_price": ("alter table parts add column price int;\n", "alter table parts drop column price;\n"),
    "005__count_parts": (
        "-- orderops: batch 200 by id\nupdate parts set n = n + 1;\n",
        "-- orderops: batch 200 by id\nupdate parts set n = n - 1;\n",
    ),
    "006__parts_have_makers": (
        NO_TRANSACTION
        + "alter table parts add constraint parts_maker foreign key (maker) references makers not valid;\n"
        "alter table parts validate constraint parts_maker;\n",
        "alter table parts drop constraint parts_maker;\n",
    ),
    "007__price_parts": (
        "-- orderops: batch 500 by id\nupdate parts set price = coalesce(price, 0) + id where id % 2 = 0;\n",
        "-- orderops: batch 500 by id\nupdate parts set price = null where id % 2 = 0;\n",
    ),
    "008__names_are_given": (
        NO_TRANSACTION + "alter table parts add constraint parts_named check (name is not null) not valid;\n"
        "alter table parts validate constraint parts_named;\n"
        "alter table parts alter column name set not null;\n"
        "alter table parts drop constraint parts_named;\n",
        "alter table parts alter column name drop not null;\n",
    ),
    "009__rebuild_index": (
        NO_TRANSACTION + "reindex index concurrently parts_by_name;\nupdate makers set name = name || '!';\n",
        "update makers set name = trim(trailing '!' from name);\n",
    ),
    "010__cheap_parts": (
        "create view cheap as select id, name from parts where price < 100;\n"
        "create function counted() returns bigint language sql as $$ select count(*) from parts; $$;\n",
        "drop function counted();\ndrop view cheap;\n",
    ),
}
"""By name: the way forwards and the way back. A statement that was carried out twice would show in its rows."""
WHAT_IS_LEFT = """
select 'row ' || id || ' ' || name || ' ' || maker || ' ' || n || ' ' || coalesce(price::text, '') from parts
union all select 'maker ' || id || ' ' || name from makers
union all select 'column ' || attrelid::regclass || '.' || attname || ' ' || attnotnull || ' ' || atttypid::regtype
    from pg_attribute where attrelid in ('parts'::regclass, 'makers'::regclass) and attnum > 0
union all select 'index ' || indexrelid::regclass || ' ' || indisvalid || ' ' || pg_get_indexdef(indexrelid)
    from pg_index where indrelid in ('parts'::regclass, 'makers'::regclass)
union all select 'constraint ' || conname || ' ' || convalidated || ' ' || pg_get_constraintdef(oid)
    from pg_constraint where conrelid in ('parts'::regclass, 'makers'::regclass)
union all select 'relation ' || relname || ' ' || relkind::text
    from pg_class where relnamespace = 'public'::regnamespace
union all select 'function ' || proname from pg_proc where pronamespace = 'public'::regnamespace
union all select 'ledger ' || version || ' ' || state || ' ' || checksum from orderops_ledger.migrations
order by 1
"""
"""The schema, the rows and what the ledger says, as lines that can be compared."""


def write_ten(folder: Path) -> Path:
    """The ten as files."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, (forwards, back) in TEN.items():
        (folder / f"V{name}.sql").write_text(forwards)
        (folder / f"U{name}.sql").write_text(back)
    return folder
