"""Migration files: names, numbers, pairs and contents."""

from __future__ import annotations

from pathlib import Path

import pytest

from orderops.errors import UsageError
from orderops.migrations.sql.files import FORM, Migration, gap_between, new_pair, read_migrations, sql_folder

PAIR = ("V001__create_users.sql", "U001__create_users.sql")


def folder_of(directory: Path, *names: str, text: bytes = b"select 1;\n") -> Path:
    """A folder with files of these names."""
    for name in names:
        (directory / name).write_bytes(text)
    return directory


def text_of(directory: Path, raw: bytes) -> Migration:
    """The one migration of a folder, with these bytes in the file that goes forwards."""
    folder_of(directory, *PAIR)
    (directory / PAIR[0]).write_bytes(raw)
    return read_migrations(directory)[0]


def refusal(folder: Path) -> tuple[str, str]:
    """Why a folder is refused, with `sql` for where it is, and the hint."""
    with pytest.raises(UsageError) as refused:
        read_migrations(folder)
    return refused.value.message.replace(str(folder), "sql"), refused.value.hint.replace(str(folder), "sql")


# names

NAMES = {
    "small v": "v002__add_note.sql",
    "one underscore": "V002_add_note.sql",
    "three underscores": "V002___add_note.sql",
    "capital letters": "V002__Add_Note.sql",
    "spaces": "V002__add note.sql",
    "a hyphen": "V002__add-note.sql",
    "a suffix in capitals": "V002__add_note.SQL",
    "no number": "V__add_note.sql",
    "a dot in the number": "V1.2__add_note.sql",
    "another letter": "R002__add_note.sql",
    "no words": "V002__.sql",
    "an underscore at the end": "V002__add_note_.sql",
    "no letter": "002__add_note.sql",
    "a number beyond bigint": "V9999999999999999999__add_note.sql",
    "digits that are not ASCII": "V\u0662__add_note.sql",
    "letters that are not ASCII": "V002__größe.sql",
    "no migration": "README.sql",
}


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
def test_a_file_without_a_migration_name_is_an_error(name: str, tmp_path: Path) -> None:
    folder_of(tmp_path, *PAIR, name)

    assert refusal(tmp_path) == (f"sql/{name} is not named like a migration", FORM)


@pytest.mark.parametrize("name", ["README.md", "V002__add_note.sql.orig", "V002__add_note.sql~", ".V002__add_note.sql"])
def test_hidden_files_and_other_suffixes_are_ignored(name: str, tmp_path: Path) -> None:
    folder_of(tmp_path, *PAIR, name)

    assert [migration.name for migration in read_migrations(tmp_path)] == ["V001__create_users.sql"]


def test_the_error_names_the_first_invalid_file(tmp_path: Path) -> None:
    folder_of(tmp_path, *PAIR, "V002_b.sql", "V003_c.sql", "U004_d.sql")

    assert refusal(tmp_path)[0] == "sql/U004_d.sql is not named like a migration"


SETS = {
    "an empty folder": ((), "no V*.sql in sql", "pass the folder of the migrations: --sql DIR"),
    "only ways back": (("U001__a.sql",), "no V*.sql in sql", "pass the folder of the migrations: --sql DIR"),
    "no way back": (
        (*PAIR, "V002__add_note.sql"),
        "sql/V002__add_note.sql has no U file",
        "write the file that undoes it: sql/U002__add_note.sql",
    ),
    "no way forwards": (
        (*PAIR, "U002__add_note.sql"),
        "sql/U002__add_note.sql has no V file",
        "is sql/V002__add_note.sql missing here?",
    ),
    "the same number twice": (
        (*PAIR, "V001__create_orders.sql"),
        "version 1 has 2 files: V001__create_orders.sql, V001__create_users.sql",
        "renumber one of them",
    ),
    "the same number with other zeros": (
        (*PAIR, "V1__create_orders.sql"),
        "version 1 has 2 files: V001__create_users.sql, V1__create_orders.sql",
        "renumber one of them",
    ),
    "two ways back": (
        (*PAIR, "U001__drop_users.sql"),
        "version 1 has 2 files: U001__create_users.sql, U001__drop_users.sql",
        "renumber one of them",
    ),
    "number 0": (
        ("V000__start.sql", "U000__start.sql"),
        "sql/V000__start.sql has version 0, which means a database without migrations",
        "start at V001",
    ),
}


@pytest.mark.parametrize(("names", "message", "hint"), SETS.values(), ids=SETS)
def test_files_without_a_partner_are_an_error(names: tuple[str, ...], message: str, hint: str, tmp_path: Path) -> None:
    folder_of(tmp_path, *names)

    assert refusal(tmp_path) == (message, hint)


def test_migrations_are_sorted_by_number(tmp_path: Path) -> None:
    folder_of(tmp_path, *(f"{letter}{number}__a.sql" for letter in "VU" for number in ("10", "9", "0011", "2")))

    assert [migration.version for migration in read_migrations(tmp_path)] == [2, 9, 10, 11]


def test_a_migration_has_the_text_of_its_two_files(tmp_path: Path) -> None:
    folder_of(tmp_path, *PAIR)
    (tmp_path / PAIR[1]).write_text("drop table users;\n")

    (migration,) = read_migrations(tmp_path)

    assert (migration.version, migration.description) == (1, "create users")
    assert (migration.forwards.text, migration.back.text) == ("select 1;\n", "drop table users;\n")
    assert migration.checksum == migration.forwards.checksum != migration.back.checksum


def test_the_error_names_a_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as refused:
        read_migrations(tmp_path / "nowhere")

    assert refused.value.message == f"the folder '{tmp_path}/nowhere' cannot be read: no such file or directory"
    assert refused.value.hint == "pass the folder of the migrations: --sql DIR"


def test_the_error_names_a_file_passed_as_folder(tmp_path: Path) -> None:
    (tmp_path / "sql").write_text("")

    with pytest.raises(UsageError, match=r"the folder '.*/sql' cannot be read: not a directory"):
        read_migrations(tmp_path / "sql")


# what is no file of text


def test_a_folder_with_a_migration_name_is_an_error(tmp_path: Path) -> None:
    folder_of(tmp_path, *PAIR, "U002__add_note.sql")
    (tmp_path / "V002__add_note.sql").mkdir()

    assert refusal(tmp_path) == (
        "sql/V002__add_note.sql cannot be read: is a directory",
        "a migration is a file of plain SQL",
    )


def test_a_broken_link_is_an_error(tmp_path: Path) -> None:
    folder_of(tmp_path, *PAIR, "U002__add_note.sql")
    (tmp_path / "V002__add_note.sql").symlink_to("../elsewhere.sql")

    assert refusal(tmp_path)[0] == "sql/V002__add_note.sql cannot be read: no such file or directory"


TEXTS = {
    "Latin-1": ("-- größe\nselect 1;\n".encode("latin-1"), "1:6: byte 0xf6 is not UTF-8", "save it as UTF-8"),
    "Latin-1 behind UTF-8 and Windows line ends": (
        "-- größe\r\nselect 'ö".encode() + b"\xfc';\r\n",
        "2:10: byte 0xfc is not UTF-8",
        "save it as UTF-8",
    ),
    "UTF-8 that is cut off": (b"select '\xc3", "1:9: byte 0xc3 is not UTF-8", "save it as UTF-8"),
    "UTF-16": ("select 1;".encode("utf-16"), " is UTF-16", "save it as UTF-8"),
    "UTF-16 the other way round": (b"\xfe\xff" + "select 1;".encode("utf-16-be"), " is UTF-16", "save it as UTF-8"),
    "UTF-16 without a mark": (
        "select 1;".encode("utf-16-le"),
        "1:2: a zero byte",
        "is it SQL? Save it as UTF-8",
    ),
    "a zero byte": (b"select 1;\nselect '\0';\n", "2:9: a zero byte", "is it SQL? Save it as UTF-8"),
}


@pytest.mark.parametrize(("raw", "message", "hint"), TEXTS.values(), ids=TEXTS)
def test_a_file_that_is_not_utf_8_is_an_error_with_its_position(
    raw: bytes, message: str, hint: str, tmp_path: Path
) -> None:
    folder_of(tmp_path, *PAIR)
    (tmp_path / PAIR[0]).write_bytes(raw)

    place = f"sql/{PAIR[0]}" + ("" if message.startswith(" ") else ":")
    assert refusal(tmp_path) == (place + message, hint)


@pytest.mark.parametrize(
    "raw",
    [
        b"-- users\nselect 'a\nb';\n",
        b"-- users\r\nselect 'a\r\nb';\r\n",
        b"\xef\xbb\xbf-- users\nselect 'a\nb';\n",
        b"\xef\xbb\xbf-- users\r\nselect 'a\nb';\r\n",
    ],
    ids=["Unix", "Windows", "a byte order mark", "a mark and mixed line ends"],
)
def test_the_checksum_ignores_line_ends_and_byte_order_marks(raw: bytes, tmp_path: Path) -> None:
    forwards = text_of(tmp_path, raw).forwards

    assert forwards.text == raw.removeprefix(b"\xef\xbb\xbf").decode()
    assert forwards.checksum == "e096f546631689d9b8dee59c7b231103edaf455d04ecc4044244ea3dc803a670"


@pytest.mark.parametrize("raw", [b"select 1;", b"select 1;\n\n", b"select 1; \n", b"SELECT 1;\n"])
def test_any_other_difference_changes_the_checksum(raw: bytes, tmp_path: Path) -> None:
    assert text_of(tmp_path, raw).checksum != text_of(tmp_path, b"select 1;\n").checksum


# gaps

GAPS = {
    "none": ("V001__a.sql", "V002__b.sql", ""),
    "one number": ("V001__a.sql", "V003__b.sql", "V002"),
    "several": ("V001__a.sql", "V005__b.sql", "V002 to V004"),
    "as many digits as the later one": ("V1__a.sql", "V3__b.sql", "V2"),
    "dates": ("V20261101__a.sql", "V20261122__b.sql", ""),
    "dates with a time": ("V20261101093000__a.sql", "V20261122170000__b.sql", ""),
    "from numbers to dates": ("V007__a.sql", "V20261122__b.sql", ""),
}


@pytest.mark.parametrize(("one", "other", "missing"), GAPS.values(), ids=GAPS)
def test_a_gap_names_the_missing_numbers_unless_versions_are_dates(
    one: str, other: str, missing: str, tmp_path: Path
) -> None:
    folder_of(tmp_path, one, other, f"U{one[1:]}", f"U{other[1:]}")

    assert gap_between(*read_migrations(tmp_path)) == missing


# the next pair

WORDS = {
    "words": ("add order status", "add_order_status"),
    "what is no letter": ("  Add: the order's status!? ", "add_the_order_s_status"),
    "other letters": ("Größe ändern", "grosse_andern"),
    "a line break": ("add\nstatus", "add_status"),
    "braces": ("add {status}", "add_status"),
}


@pytest.mark.parametrize(("description", "words"), WORDS.values(), ids=WORDS)
def test_the_next_pair_is_named_after_its_description(description: str, words: str, tmp_path: Path) -> None:
    folder = folder_of(tmp_path, *PAIR)

    pair = new_pair(folder, description)

    assert pair == (folder / f"V002__{words}.sql", folder / f"U002__{words}.sql")
    assert [migration.version for migration in read_migrations(folder)] == [1, 2]
    assert [line for path in pair for line in path.read_text().splitlines() if line[:2] not in ("--", "")] == []


def test_the_next_pair_has_the_number_after_the_highest(tmp_path: Path) -> None:
    folder_of(tmp_path, "V009__a.sql", "U009__a.sql", "U012__b.sql")

    assert new_pair(tmp_path, "c")[0].name == "V013__c.sql"


def test_the_first_pair_creates_its_folder(tmp_path: Path) -> None:
    assert new_pair(tmp_path / "new" / "sql", "create users")[1] == tmp_path / "new" / "sql" / PAIR[1]


@pytest.mark.parametrize("description", ["", "  ", "?!", "日本"])
def test_a_description_without_letters_is_an_error(description: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as refused:
        new_pair(tmp_path, description)

    assert refused.value.message == f"{description!r} has no letter or digit"
    assert list(tmp_path.iterdir()) == []


def test_the_error_names_a_file_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "sql").write_text("")

    with pytest.raises(UsageError) as refused:
        new_pair(tmp_path / "sql", "add note")

    assert refused.value.message == f"{tmp_path}/sql cannot be written: file exists"


def test_a_file_name_that_is_too_long_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be written: file name too long"):
        new_pair(tmp_path, "word " * 60)


# the folder


def test_migrations_come_from_the_working_directory_or_are_the_shipped_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    coming_along = sql_folder()

    assert [migration.version for migration in read_migrations(coming_along)] == [1, 2, 3, 4]
    (tmp_path / "sql").mkdir()
    assert sql_folder() == coming_along
    folder_of(tmp_path / "sql", *PAIR)
    assert sql_folder() == Path("sql")
    assert sql_folder(tmp_path / "other") == tmp_path / "other"
