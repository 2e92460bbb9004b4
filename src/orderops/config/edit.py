"""Changes one key of an environment file in place: comments, order and layout stay as the operator wrote them."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from io import StringIO
from pathlib import Path
from typing import Any

from orderops.config.files import replace_file
from orderops.config.loader import Key, dotted, key_lines
from orderops.errors import OrderopsError

BYTE_ORDER_MARK = "\ufeff"


def with_values(text: str, values: Mapping[Key, Any]) -> str:
    """Return a TOML text with these values. Raises OrderopsError where the text cannot take one."""
    mark = BYTE_ORDER_MARK if text.startswith(BYTE_ORDER_MARK) else ""
    text = text.removeprefix(BYTE_ORDER_MARK)
    for key, value in values.items():
        changed = _changed(text, key, value)
        # The reader of the file has the last word.
        if not _reads_as(changed, _nested(tomllib.loads(text), key, value)):
            raise OrderopsError(
                f"{dotted(key)} cannot be set without changing the layout of the file",
                f"set it by hand: {dotted(key)} = {_literal(value)}",
            )
        text = changed
    return mark + text


def write_file(file: Path, text: str) -> None:
    """Replace the content of a file at once; a link stays one. Raises OrderopsError if it cannot be written."""
    try:
        replace_file(file, text)
    except OSError as error:
        raise OrderopsError(f"{file}: {error.strerror}", "check the permissions of the folder") from None


def _changed(text: str, key: Key, value: Any) -> str:
    import tomlkit

    document: Any = tomlkit.parse(text)
    table: Any = document
    for part in key[:-1]:
        table = table.get(part) if isinstance(table, Mapping) else None
    # A new key would be put behind the comments that belong to the next table.
    if not isinstance(table, Mapping) or key[-1] not in table:
        return _inserted(text, key, value)
    found: Any = table
    found[key[-1]] = value
    return tomlkit.dumps(document)


def _inserted(text: str, key: Key, value: Any) -> str:
    """Return the text with a new key: after the last one of its table, or in a new table at the end."""
    end = "\r\n" if "\r\n" in text else "\n"
    # Not splitlines(): a comment may hold what it takes for the end of a line.
    lines = StringIO(text).readlines()
    line = f"{_part(key[-1])} = {_literal(value)}{end}"
    found = [number for known, number in key_lines(text).items() if known[:-1] == key[:-1] and _is_own(lines, number)]
    if found:
        after = _end_of_statement(lines, max(found))
    elif key[:-1] in (places := key_lines(text)) and _is_header(lines, places[key[:-1]]):
        after = places[key[:-1]]
    else:
        after = len(lines)
        line = f"{end if lines else ''}[{'.'.join(map(_part, key[:-1]))}]{end}{line}"
    if 0 < after == len(lines) and not lines[-1].endswith(("\n", "\r")):
        lines[-1] += end
    return "".join([*lines[:after], line, *lines[after:]])


def _is_own(lines: Sequence[str], number: int) -> bool:
    """Whether a key is set in this line, and not by the header of a table."""
    return not _is_header(lines, number)


def _is_header(lines: Sequence[str], number: int) -> bool:
    return lines[number - 1].lstrip().startswith("[")


def _end_of_statement(lines: Sequence[str], start: int) -> int:
    """The last line of the statement that begins in a line."""
    for end in range(start, len(lines) + 1):
        try:
            tomllib.loads("".join(lines[start - 1 : end]))
        except tomllib.TOMLDecodeError:
            continue
        return end
    return start


def _reads_as(text: str, expected: Mapping[str, Any]) -> bool:
    try:
        return tomllib.loads(text) == expected
    except tomllib.TOMLDecodeError:
        return False


def _nested(document: Mapping[str, Any], key: Key, value: Any) -> dict[str, Any]:
    """The document with a value set at a key."""
    first, rest = str(key[0]), key[1:]
    inner = document.get(first)
    return {**document, first: _nested(inner if isinstance(inner, Mapping) else {}, rest, value) if rest else value}


def _literal(value: Any) -> str:
    import tomlkit

    return str(tomlkit.item(value).as_string())


def _part(part: str | int) -> str:
    import tomlkit

    return str(tomlkit.key(str(part)).as_string())
