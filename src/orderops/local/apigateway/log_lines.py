"""Lines of an access log, by the format of its stage."""

from __future__ import annotations

import re
from collections.abc import Mapping

VARIABLE = re.compile(r"\$context\.([A-Za-z]+(?:\.[A-Za-z]+)*)")


def line_of(form: str, context: Mapping[str, str]) -> str:
    """Fill in the variables of a format; one that is not known here is `-`, as on AWS."""
    return VARIABLE.sub(lambda found: _plain(context.get(found[1], "-")), form)


def _plain(text: str) -> str:
    """Without what would end the line or a string of JSON in it."""
    return re.sub(r'[\x00-\x1f"\\]', " ", text)
