"""JSON that was written elsewhere, checked before it is used: objects in a bucket, secrets, files, answers.

Any text may stand in such a place: a proxy's page, the document of a newer orderops, or something edited by hand.
"""

from __future__ import annotations

import json
from collections.abc import Hashable, Mapping
from datetime import datetime
from functools import cache
from typing import Annotated, Any, TypeVar, cast

from pydantic import AfterValidator, BeforeValidator, Field, TypeAdapter, ValidationError

from orderops.aws.client import LARGEST_BODY
from orderops.text.nesting import nests_deeper

T = TypeVar("T")

# The record of a thousand changes has about 1 MB, and the report of a large rehearsal less.
LARGEST = LARGEST_BODY
# Properties of resources nest about ten deep. Below a few hundred, Python's own limit of recursion is far away.
DEEPEST = 64
# The first and last years overflow when a time is converted to another zone.
YEARS = range(1970, 9999)
FORM = 1
"""Version of the documents that this orderops reads; a document without `form` has version 1."""


class Malformed(ValueError):
    """Why a text or a value is not what it should be, as the end of a sentence: "is empty", "has no key who"."""


def json_object(text: str | bytes) -> dict[str, Any]:
    """Return the JSON object in a text; raises Malformed for everything else."""
    if len(text) > LARGEST:
        raise Malformed(f"has more than {LARGEST // 1024**2} MB")
    if not text.strip():
        raise Malformed("is empty")
    try:
        value = json.loads(text.decode() if isinstance(text, bytes) else text, parse_constant=_no_number)
    except UnicodeDecodeError as error:
        raise Malformed(f"is not UTF-8 (byte {error.start})") from None
    except json.JSONDecodeError as error:
        raise Malformed(f"is not JSON (line {error.lineno}, column {error.colno})") from None
    except RecursionError:
        raise Malformed(f"nests deeper than {DEEPEST} levels") from None
    except ValueError:  # a number of thousands of digits, NaN or Infinity
        raise Malformed("is not JSON (a number that no document has)") from None
    if not isinstance(value, dict):
        raise Malformed("is JSON, but no object")
    if nests_deeper(value, DEEPEST):
        raise Malformed(f"nests deeper than {DEEPEST} levels")
    return value


def validated(value: Any, shape: type[T]) -> T:
    """Return a value from JSON as a dataclass or TypedDict; raises Malformed with the first fault.

    Keys that `shape` does not have are ignored: a newer orderops may have added them.
    """
    try:
        # In JSON text, strict mode accepts lists as tuples and strings as dates and enums, and nothing else.
        result: T = _adapter(cast(Hashable, shape)).validate_json(json.dumps(value), strict=True)
        return result
    except ValidationError as error:
        raise Malformed(_fault(error)) from None
    except (TypeError, ValueError, RecursionError):
        raise Malformed("cannot be written as JSON") from None


@cache
def _adapter(shape: Any) -> TypeAdapter[Any]:
    # Built from the annotations, which takes longer than to validate a document of a history.
    return TypeAdapter(shape)


def check_form(value: Mapping[str, Any]) -> None:
    """Raise Malformed for a document of another version than FORM."""
    form = value.get("form", FORM)
    if form != FORM:
        raise Malformed(f"has form {str(form)[:20]!r}, of a newer orderops; this one reads form {FORM}")


def _time(text: str) -> str:
    moment: datetime | None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None or moment.year not in YEARS:
        # Python's own message would repeat the text, however long.
        raise ValueError("not a time with a zone")
    return text


def _number(value: Any) -> Any:
    return int(value) if isinstance(value, str) and value.isdecimal() and len(value) <= 5 else value


# Secrets may be edited by hand, where a number in quotes is common.
Port = Annotated[int, BeforeValidator(_number), Field(ge=1, le=65535)]
"""A port, also as digits in quotes."""
Time = Annotated[str, AfterValidator(_time)]
"""A time with its zone, in ISO 8601, as text."""


def _no_number(_: str) -> Any:
    raise ValueError


def _fault(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False)[0]
    place = ".".join(str(part)[:40] for part in first["loc"])
    if first["type"] in ("missing", "missing_argument"):
        return f"has no key {place}"
    return f"has a wrong value of {place}: {first['msg']}" if place else f"has another form: {first['msg']}"
