"""Text in HCL, the language of OpenTofu: values are data, and are escaped here."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from orderops.frozen import Frozen

IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
INDENT = "  "


class Expression(Frozen):
    """Text that is HCL itself, such as a reference; never made of a value from AWS."""

    text: str


class Json(Frozen):
    """A value for an argument that takes a JSON text; references in it stay references."""

    value: Any


class Blocks(Frozen):
    """Nested blocks of one type, by their arguments."""

    bodies: tuple[Mapping[str, Any], ...]


def blocks(*bodies: Mapping[str, Any] | None) -> Blocks:
    """Nested blocks, without those that are None."""
    return Blocks(tuple(body for body in bodies if body is not None))


def block(head: Sequence[str], body: Mapping[str, Any]) -> str:
    """A block with its type and labels, ending with a line feed."""
    kind, *labels = head
    opening = " ".join([kind, *map(quoted, labels), "{"])
    return "\n".join([opening, *_lines(body, INDENT), "}"]) + "\n"


def quoted(text: str) -> str:
    """A text as a literal on one line: a `${` or `%{` in it is no template, and every control character is escaped."""
    # JSON escapes what HCL does, except that it writes characters above U+FFFF as two halves.
    plain = json.dumps(text, ensure_ascii=False)
    escaped = "".join(_escaped(character) for character in plain)
    return escaped.replace("${", "$${").replace("%{", "%%{")


def _escaped(character: str) -> str:
    # DEL and C1 controls, the line and paragraph separators, and halves of characters, which no UTF-8 holds.
    code = ord(character)
    odd = 0x7F <= code <= 0x9F or code in (0x2028, 0x2029, 0xFEFF)
    if 0xD800 <= code <= 0xDFFF:
        return "\\ufffd"
    return f"\\u{code:04x}" if odd else character


def comment(text: str) -> str:
    """A comment; a line end in the text begins another comment line."""
    return "".join(f"# {_printable(line)}\n" for line in re.split(r"[\r\n\x0b\x0c\x85\u2028\u2029]+", text))


def _printable(line: str) -> str:
    return "".join(character if character.isprintable() else "?" for character in line)


def _lines(body: Mapping[str, Any], indent: str) -> Iterator[str]:
    for key, value in body.items():
        if isinstance(value, Blocks):
            for nested in value.bodies:
                yield f"{indent}{key} {{"
                yield from _lines(nested, indent + INDENT)
                yield f"{indent}}}"
        elif value is not None:
            yield f"{indent}{key} = {_value(value, indent)}"


def _value(value: Any, indent: str) -> str:
    if isinstance(value, Expression):
        return value.text
    if isinstance(value, Json):
        return f"jsonencode({_value(value.value, indent)})"
    if value is None or isinstance(value, (bool, int, float)):
        return json.dumps(value)
    if isinstance(value, str):
        return quoted(value)
    inner = indent + INDENT
    if isinstance(value, Mapping):
        pairs = [f"{inner}{_key(key)} = {_value(part, inner)}" for key, part in value.items()]
        return "\n".join(["{", *pairs, f"{indent}}}"]) if pairs else "{}"
    if len(value) <= 1 and not any(isinstance(part, (Mapping, list)) for part in value):
        return f"[{', '.join(_value(part, indent) for part in value)}]"
    return "\n".join(["[", *(f"{inner}{_value(part, inner)}," for part in value), f"{indent}]"])


def _key(key: str) -> str:
    # A key in parentheses would be an expression; a quoted one never is.
    return key if IDENTIFIER.fullmatch(key) and key not in ("for", "null", "true", "false") else quoted(key)
