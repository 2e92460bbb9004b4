"""One broken or odd input: the files of a small folder, what is said of it, and what the database holds afterwards."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import psycopg

from orderops.migrations.sql.files import NAME
from support.command_line import Orderops, Said

Files = Mapping[str, str | bytes | None]
"""What a folder holds, by name; None for what is taken away. A U file that nobody names is made up."""

HOLDS = """
with ours as (
    select oid, nspname from pg_namespace
    where nspname !~ '^pg_' and nspname not in ('information_schema', 'orderops_ledger')
), relations as (
    select c.oid, c.relname, c.relkind, c.oid::regclass::text as name from pg_class c
    where c.relnamespace in (select oid from ours) and c.relkind <> 'i'
)
select case relkind when 'v' then 'view' when 'S' then 'sequence' else 'table' end || ' ' || name || coalesce((
    select ' (' || string_agg(
        attname || ' ' || format_type(atttypid, atttypmod) || case when attnotnull then '!' else '' end,
        ', ' order by attnum) || ')'
    from pg_attribute where attrelid = relations.oid and attnum > 0 and not attisdropped and relkind <> 'S'
), '')
from relations
union all select 'index ' || indexrelid::regclass || case when indisvalid then '' else ' invalid' end
from pg_index join relations on relations.oid = indrelid
union all select 'constraint ' || conname || case when convalidated then '' else ' not valid' end
from pg_constraint where connamespace in (select oid from ours) and contype in ('c', 'f', 'u', 'x')
union all select 'function ' || p.oid::regprocedure from pg_proc p where pronamespace in (select oid from ours)
union all select 'type ' || t.oid::regtype from pg_type t where typnamespace in (select oid from ours) and typtype = 'e'
union all select 'schema ' || nspname from ours where nspname <> 'public'
order by 1
"""
SCHEMAS = """
select quote_ident(nspname) from pg_namespace where nspname !~ '^pg_' and nspname <> 'information_schema'
"""
LEDGER = """
select format('V%s %s %s %s/%s', version, action, state, statements_done, statements), coalesce(note, '')
from orderops_ledger.ledger order by id
"""


@dataclass(frozen=True)
class Input:
    """What an operator has, and what must come of it."""

    files: Files
    error: str = ""
    """The whole refusal, with `sql` for the folder and DATABASE for its name; nothing where all is applied."""
    hint: str = ""
    code: int = 1
    holds: tuple[str, ...] = ()
    """What there is besides the ledger: each table with its columns (! for NOT NULL), index, constraint and so on."""
    ledger: tuple[str, ...] | None = None
    """Each attempt as `V1 apply done 1/1`; None where there is no ledger."""
    first: Files = field(default_factory=dict)
    """What was applied, or tried, before the files became as they are now."""
    before: str = ""
    """SQL that somebody else ran before all that."""
    after: str = ""
    """A query, and its only value as text, which is `answer`."""
    answer: str = ""
    user: str = ""
    """Who runs the command, where that is not a superuser; the password is secret."""
    words: tuple[str, ...] = ()
    """More words for the command."""
    says: tuple[str, ...] = ()
    """What stands on the screen besides the refusal."""

    @property
    def touches_nothing(self) -> bool:
        """Whether it may be tried where others are tried too."""
        return not (self.first or self.before or self.holds) and self.ledger is None

    @property
    def outcome(self) -> Outcome:
        """What must come of it."""
        return Outcome(
            as_shown(self.error, self.hint),
            self.code if self.error else 0,
            self.says,
            self.holds,
            self.ledger,
            "",
            self.answer,
        )


@dataclass(frozen=True)
class Outcome:
    """What an operator sees, and what the database holds."""

    refusal: str
    code: int
    said: tuple[str, ...]
    holds: tuple[str, ...]
    ledger: tuple[str, ...] | None
    note: str
    """What the ledger says of this attempt, where that is not what the operator was told."""
    answer: str


@dataclass(frozen=True)
class Place:
    """A database, and a folder for the files."""

    connection: psycopg.Connection
    """A superuser's, that was there before."""
    folder: Path
    orderops: Orderops
    become: Callable[[str], None] = lambda _: None
    """Log in as somebody else from now on."""

    def outcome(self, given: Input) -> Outcome:
        """Try an input, as an operator does, and look."""
        if given.before:
            self.execute(given.before)
        if given.first:
            self.write(given.first)
            self.apply()
        if given.user:
            self.become(self._named(given.user))
        tried = len(self.execute(LEDGER)) if self.has_ledger else 0
        self.write(given.files)
        said = self.apply(*given.words)
        told = self._named_alike(said.err)
        refusal = told.find("error: ")
        ledger = self.execute(LEDGER) if self.has_ledger else None
        note = self._named_alike(ledger[-1][1]) if ledger and len(ledger) > tried else ""
        return Outcome(
            told[refusal:] if refusal >= 0 else "",
            said.code,
            tuple(say for say in given.says if say in told),
            tuple(each for (each,) in self.execute(HOLDS)),
            tuple(each for each, _ in ledger) if ledger is not None else None,
            note if note != told[refusal:].partition("\n")[0].removeprefix("error: ") else "",
            self.execute(given.after)[0][0] if given.after else "",
        )

    def apply(self, *words: str) -> Said:
        """The command."""
        return self.orderops("migrate", "apply", "--yes", "--sql", str(self.folder), *words)

    def write(self, files: Files) -> None:
        """Make the folder hold this too."""
        self.folder.mkdir(exist_ok=True)
        backs = {f"U{name[1:]}": "select 1;\n" for name in files if name[0] == "V" and NAME.fullmatch(name)}
        for name, text in {**backs, **files}.items():
            path = self.folder / name
            if text is None:
                path.unlink(missing_ok=True)
            else:
                path.write_bytes(self._named(text).encode() if isinstance(text, str) else text)

    def execute(self, query: str) -> list[tuple[str, ...]]:
        """SQL by somebody else, and what it answers."""
        cursor = self.connection.execute(self._named(query).encode())
        return list(cursor.fetchall()) if cursor.description else []

    def _named(self, text: str) -> str:
        return text.replace("DATABASE", self.connection.info.dbname)

    def _named_alike(self, text: str) -> str:
        """With words for what is called otherwise in each run."""
        info = self.connection.info
        # Hints repeat the folder, which tests/ui/test_commands.py compares.
        text = text.replace(f" --sql {self.folder}", "").replace(str(self.folder), "sql")
        text = text.replace(info.dbname, "DATABASE")
        return text.replace(f"{info.host}:{info.port}", "SERVER").replace(f"port {info.port}", "port PORT")

    def clear(self) -> None:
        """Make the database as new."""
        schemas = [name for (name,) in self.execute(SCHEMAS)]
        self.execute(f"drop schema if exists {', '.join(schemas)} cascade")
        self.execute("create schema public; grant usage on schema public to public")
        self.execute("alter database DATABASE reset all")
        for (name,) in self.execute("select quote_ident(rolname) from pg_roles where rolname like 'DATABASE%'"):
            self.execute(f"drop owned by {name}; drop role {name}")

    @property
    def has_ledger(self) -> bool:
        """Whether anything of ours is there."""
        return self.execute("select (to_regclass('orderops_ledger.ledger') is not null)::text") == [("true",)]


def as_shown(error: str, hint: str) -> str:
    """A refusal as the terminal shows it."""
    if not error:
        return ""
    lines = [("error: " if number == 0 else "       ") + line for number, line in enumerate(error.splitlines())]
    return "\n".join([*lines, *(f" hint: {line}" for line in hint.splitlines())]) + "\n"
