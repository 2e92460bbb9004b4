"""Reads environment files: parses TOML, validates it, and reports all mistakes at once with their lines.

Knows TOML and pydantic, and nothing about what an environment holds.
"""

from __future__ import annotations

import json
import re
import stat
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from io import StringIO
from pathlib import Path
from typing import Any, Self, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from orderops.config.descriptions import description_of
from orderops.errors import UsageError
from orderops.frozen import Frozen, replace
from orderops.text.nesting import nests_deeper

Key = tuple[str | int, ...]
Model = TypeVar("Model", bound=BaseModel)

TYPES = {
    "bool_type": "must be true or false, without quotes",
    "int_type": "must be a whole number, without quotes",
    "string_type": "must be a text in quotes",
    "list_type": 'must be a list such as ["…", "…"]',
    "date_type": "must be a date such as 2026-12-31, without quotes",
    "dict_type": "must be a table",
    "model_type": "must be a table",
}
MISSING = "is missing"
# The largest environment that AWS's quotas admit has a few hundred lines.
LARGEST = 1024 * 1024
"""Bytes of a file that is read."""
LONGEST_LINE = 10_000
QUOTED = re.compile(r""""(?:[^"\\]|\\.)*"|'[^']*'""")
DEEPEST = 32
"""Levels of tables and lists; environment files have four."""
MOST_TRIES = 100
"""Lines of a value after which its end is looked for only where a value can end."""
ENDS = ("]", '"""', "'''", "}")


class Mistake(Frozen):
    """A value that is not allowed, and what is. A rule over several keys names the others in `among`."""

    key: Key
    value: object
    allowed: str
    among: tuple[Key, ...] = ()


class Mistakes(ValueError):
    """Mistakes found by a model's rules over several keys; carried by pydantic to `read`."""

    def __init__(self, mistakes: Iterable[Mistake]) -> None:
        self.mistakes = list(mistakes)
        super().__init__("; ".join(f"{dotted(mistake.key)}: {mistake.allowed}" for mistake in self.mistakes))


class TomlTable(BaseModel):
    """A table of an environment file: no unknown keys, no conversion of types, immutable."""

    # Built with the table that holds it, and not a second time for itself: that takes a part of every start.
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, defer_build=True)

    def mistakes(self) -> Iterator[Mistake]:
        """Mistakes by the rules over several keys."""
        yield from ()

    def given(self) -> list[str]:
        """The keys whose values differ from their defaults, sorted."""
        fields = type(self).model_fields
        defaults = {key: fields[key].get_default(call_default_factory=True) for key in sorted(self.model_fields_set)}
        return [key for key, default in defaults.items() if _differs(getattr(self, key), default)]

    @model_validator(mode="after")
    def _keeps_its_rules(self) -> Self:
        if found := list(self.mistakes()):
            raise Mistakes(found)
        return self


def no_keys() -> Any:
    """The default of a table: the table without keys.

    It is validated with the table that holds it. An instance of its own, made here, would be built at every start.
    """
    return Field(default={}, validate_default=True)


def _differs(value: object, default: object) -> bool:
    return bool(value.given()) if isinstance(value, TomlTable) else value != default


def read(path: Path, model: type[Model], name: str, *, missing: Mapping[Key, str] | None = None) -> Model:
    """Read one file into the model. Raises UsageError with every mistake and its line.

    `missing` holds an additional hint for each key whose absence has a known fix.
    """
    return check_text(path, _text(path), model, name, missing=missing)


def check_text(
    path: Path, text: str, model: type[Model], name: str, *, missing: Mapping[Key, str] | None = None
) -> Model:
    """Read the text of a file, or of one that is yet to be written, as `read` does."""
    hint = _hint(name)
    document = _parsed(path, text.removeprefix("\ufeff"), hint)
    mistakes = list(_mistakes(model, document, name))
    if not mistakes:
        return model.model_validate({**document, "name": name})
    hints = [hint, *(words for key, words in (missing or {}).items() if _is_missing(key, mistakes))]
    raise _placed(path, text, mistakes, hints)


def valid(model: type[Model], document: Mapping[str, Any], name: str) -> Model | None:
    """Return the environment of these tables; None if they have a mistake."""
    try:
        return model.model_validate({**document, "name": name})
    except ValidationError:
        return None


def _parsed(path: Path, text: str, hint: str) -> dict[str, Any]:
    """Return the tables of a file. Raises UsageError for text that is not TOML, or that no environment needs."""
    for number, line in enumerate(text.split("\n"), start=1):
        # The parser takes quadratic time for a key of many parts. A text in quotes may be long.
        if len(line) > LONGEST_LINE and (length := len(QUOTED.sub("", line))) > LONGEST_LINE:
            raise UsageError(
                f"{path}:{number}: has {length:,} characters outside of quotes; at most {LONGEST_LINE:,} are read", hint
            )
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{path}:{_syntax(error, text)}", hint) from None
    except RecursionError:
        raise _too_deep(path, hint) from None
    except ValueError:  # a number of thousands of digits
        raise UsageError(f"{path}: has a number that is too long", hint) from None
    if nests_deeper(document, DEEPEST):
        raise _too_deep(path, hint)
    return document


def _too_deep(path: Path, hint: str) -> UsageError:
    return UsageError(f"{path}: nests deeper than {DEEPEST} levels", hint)


def refusal(path: Path, name: str, mistakes: Iterable[Mistake]) -> UsageError:
    """Return the error for mistakes that were found in a file after it was read, with their lines."""
    return _placed(path, _text(path), mistakes, [_hint(name)])


def _placed(path: Path, text: str, mistakes: Iterable[Mistake], hints: Iterable[str]) -> UsageError:
    lines = key_lines(text)
    placed = sorted(((_line(lines, mistake.key), mistake) for mistake in mistakes), key=lambda pair: pair[0])
    messages = (f"{path}:{line}: {_sentence(mistake)}" for line, mistake in placed)
    return UsageError("\n".join(messages), "\n".join(hints))


def _hint(name: str) -> str:
    return f"fix the file, then check it: orderops env check {name}"


def key_lines(text: str) -> dict[Key, int]:
    """The line of the first occurrence of each key and table in a TOML text."""
    lines: dict[Key, int] = {}
    table: Key = ()
    statement, start = "", 1
    for number, line in enumerate(StringIO(text), start=1):
        statement += line
        # Trying after each line of a long value would take quadratic time.
        if number - start > MOST_TRIES and not line.rstrip().endswith(ENDS):
            continue
        try:
            parsed = tomllib.loads(statement)
        except tomllib.TOMLDecodeError:
            # The value continues on the next line.
            continue
        keys = list(_keys(parsed))
        if statement.lstrip().startswith("["):
            table = keys[-1]
            keys = [table[:depth] for depth in range(1, len(table) + 1)]
        else:
            keys = [table + key for key in keys]
        for key in keys:
            lines.setdefault(key, start)
        statement, start = "", number + 1
    return lines


def dotted(key: Key) -> str:
    """A key as text, such as `services.orders.paths[1]`."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{_quoted(part)}" for part in key).lstrip(".")


def _quoted(part: str) -> str:
    """A part of a key; in quotes with a line end or another control character, which would begin another line."""
    return part if part.isprintable() else json.dumps(part, ensure_ascii=False)


def _text(path: Path) -> str:
    try:
        found = path.stat()
        # Reading a pipe would wait for its writer. A folder is named by the error that reading it raises.
        if not stat.S_ISREG(found.st_mode) and not stat.S_ISDIR(found.st_mode):
            raise UsageError(f"{path}: is not a regular file", "replace it by a TOML file")
        if found.st_size > LARGEST:
            raise UsageError(
                f"{path}: has {found.st_size // 1024:,} KB; at most {LARGEST // 1024:,} KB are read",
                "check that it is an environment file",
            )
        # Editors on Windows may write a byte order mark, which tomllib rejects.
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: is not UTF-8 text (byte {error.start + 1})", "save it as UTF-8") from None
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {(error.strerror or str(error)).lower()}") from None


def _syntax(error: tomllib.TOMLDecodeError, text: str) -> str:
    what, _, where = str(error).partition(" (at ")
    what = re.sub(r"\('.*',?\)", lambda key: ".".join(re.findall(r"'(.*?)'", key[0])), what)
    line, column = [*re.findall(r"\d+", where), "", ""][:2]
    # tomllib gives "at end of document" instead of a line and column.
    if not column:
        line, column = str(text.count("\n") + 1), str(len(text) - text.rfind("\n"))
    return f"{line}:{column}: is not TOML: {what[:1].lower()}{what[1:]}"


def _keys(table: Mapping[str, Any], above: Key = ()) -> Iterator[Key]:
    for key, value in table.items():
        yield (*above, key)
        inner = value[-1] if isinstance(value, list) and value else value
        if isinstance(inner, dict):
            yield from _keys(inner, (*above, key))


def _is_missing(key: Key, mistakes: Iterable[Mistake]) -> bool:
    return any(mistake.key == key and mistake.allowed.startswith(MISSING) for mistake in mistakes)


def _line(lines: Mapping[Key, int], key: Key) -> int:
    return next((lines[key[:length]] for length in range(len(key), 0, -1) if key[:length] in lines), 1)


def _mistakes(model: type[BaseModel], document: Mapping[str, Any], name: str) -> Iterator[Mistake]:
    """Every mistake. Rules over several keys are checked again without the keys that are wrong themselves."""
    if "name" in document:
        yield Mistake(("name",), document["name"], "is the name of the file; leave it out")
    given: dict[str, Any] = {**document, "name": name}
    wrong: set[Key] = set()
    # Removing a wrong key makes other keys appear missing, so later rounds report only rules over several keys.
    first = True
    while True:
        found = list(_found(model, given))
        yield from (mistake for mistake, is_rule in found if first or (is_rule and not _depends_on(mistake, wrong)))
        first = False
        wrong.update(_stem(key) for mistake, _ in found for key in (mistake.key, *mistake.among))
        remaining = _without(given, wrong)
        # Without progress another round would find the same mistakes.
        if not found or remaining == given:
            return
        given = remaining


def _found(model: type[BaseModel], given: Mapping[str, Any]) -> Iterator[tuple[Mistake, bool]]:
    """The mistakes of one validation, and whether each comes from a rule over several keys."""
    try:
        model.model_validate(given)
    except ValidationError as error:
        for details in error.errors(include_url=False):
            key = tuple(part for part in details["loc"] if part != "[key]")
            context = details.get("ctx", {})
            cause = context.get("error")
            if isinstance(cause, Mistakes):
                for mistake in cause.mistakes:
                    among = tuple(key + other for other in mistake.among)
                    yield replace(mistake, key=key + mistake.key, among=among), True
            else:
                yield Mistake(key, details["input"], _allowed(model, key, details["type"], context)), False


def _allowed(model: type[BaseModel], key: Key, kind: str, context: Mapping[str, Any]) -> str:
    match kind:
        case "extra_forbidden":
            return _unknown(model, key)
        case "missing":
            description = description_of(_table(model, key[:-1]), str(key[-1]))
            return f"{MISSING}: {description[:1].lower()}{description[1:].rstrip('.')}"
        case "literal_error":
            return f"must be {context['expected'].replace(chr(39), chr(34))}"
        case "value_error":
            return str(context["error"])
        case _:
            return TYPES.get(kind, "is not allowed")


def _unknown(model: type[BaseModel], key: Key) -> str:
    """The message for an unknown key: the most similar known one, or the table in which it belongs."""
    known = sorted(field for field in _table(model, key[:-1]).model_fields if len(key) > 1 or field != "name")
    near = get_close_matches(str(key[-1]), known, n=1)
    if near:
        return f"unknown key, did you mean {near[0]}?"
    elsewhere = [path for path in _paths(model) if path[-1] == key[-1]]
    if elsewhere:
        return f"unknown key here, did you mean {' or '.join(map(dotted, elsewhere))}?"
    return f"unknown key, known are {', '.join(known)}"


def _table(model: type[BaseModel], key: Key) -> type[BaseModel]:
    """The model that holds the values under a key."""
    parts = list(key)
    while parts:
        annotation = model.model_fields[str(parts.pop(0))].annotation
        if get_args(annotation):
            # A table of tables: the next part is a name that the operator chose.
            annotation = get_args(annotation)[-1]
            parts.pop(0)
        assert isinstance(annotation, type) and issubclass(annotation, BaseModel)
        model = annotation
    return model


def _paths(model: type[BaseModel], above: Key = ()) -> Iterator[Key]:
    for field, info in model.model_fields.items():
        yield (*above, field)
        inner, below = info.annotation, (*above, field)
        if get_args(inner):
            inner, below = get_args(inner)[-1], (*below, "NAME")
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            yield from _paths(inner, below)


def _stem(key: Key) -> Key:
    """The key without its index in a list, since a list is left out as a whole."""
    length = next((index for index, part in enumerate(key) if isinstance(part, int)), len(key))
    return key[:length]


def _depends_on(mistake: Mistake, wrong: set[Key]) -> bool:
    return any(key[: len(prefix)] == prefix for prefix in wrong for key in (mistake.key, *mistake.among))


def _without(table: Mapping[str, Any], wrong: set[Key], above: Key = ()) -> dict[str, Any]:
    return {
        key: _without(value, wrong, (*above, key)) if isinstance(value, dict) else value
        for key, value in table.items()
        if (*above, key) not in wrong
    }


def _sentence(mistake: Mistake) -> str:
    if mistake.allowed.startswith(("unknown key", MISSING)):
        return f"{dotted(mistake.key)}: {mistake.allowed}"
    return f"{dotted(mistake.key)}: {_shown(mistake.value)}: {mistake.allowed}"


def _shown(value: object) -> str:
    if isinstance(value, dict):
        return "a table"
    text = json.dumps(value, default=str, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:57]}…"
