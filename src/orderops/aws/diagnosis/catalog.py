"""The catalogue of known errors: what an error means, its likely cause, and what to type next.

The entries are data, in the TOML files next to this module. An entry is one `[[error]]`:

name        unique
codes       error codes of AWS or of `aws.translate`; services spell the same error differently
message     pattern (`re.search`) of the error message; named groups become values. Default: any message.
            With `.*` it begins with `^`: from every position of a long message, it would take seconds
unless      pattern that the message must not contain
calls       pattern that the call begins with, such as `rds\\.`
regions     regions in which the entry applies
parameter   a parameter that the call must have
details     a function in DETAILS that derives more values
values      constant values
template    the `[template.NAME]` of the file that supplies further keys
meaning     what happened; {values} are filled in
hint        what to type next; {values} are filled in
example     one or more responses: call, code, message, and where needed region and parameters. `expect.meaning` and
            `expect.hint` are the whole texts to be shown, required where the text contains a value

`${name}` in a pattern stands for an entry of the file's `[patterns]`. tests/aws/diagnosis/test_catalog.py runs all
examples.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path

from orderops.aws.diagnosis import conflicts, credentials, permissions, quotas
from orderops.aws.diagnosis.rule import Details, ErrorContext, Explanation, KnownError, read_entries

# The order matters where two files list the same code: a FileNotFoundError is a program for credentials before it is
# a CA bundle, and an AuthFailure is a matter of credentials before it is one of addresses.
FILES = ("credentials.toml", "network.toml", "permissions.toml", "quotas.toml", "requests.toml", "conflicts.toml")
DETAILS: Mapping[str, Details] = {
    "clock-skew": credentials.clock_skew,
    "database-offer": quotas.database_offer,
    "iam-statement": permissions.iam_statement,
    "interface-filter": conflicts.interface_filter,
    "kms-key": conflicts.kms_key,
    "service-principal": conflicts.service_principal,
    "service-quotas": quotas.service_quotas,
}


@cache
def known_errors() -> tuple[KnownError, ...]:
    """Return all entries, in the order in which they are tried. The first call reads the files."""
    texts = [(Path(__file__).parent / name).read_text(encoding="utf-8") for name in FILES]
    return tuple(entry for text in texts for entry in read_entries(text, DETAILS))


def codes_of(name: str) -> frozenset[str]:
    """Return the codes of the entry with this name."""
    return next(entry.codes for entry in known_errors() if entry.name == name)


def explain(context: ErrorContext) -> Explanation | None:
    """Explain an error by the first entry that matches; None for an unknown error."""
    explanations = (entry.explain(context) for entry in known_errors())
    return next((explanation for explanation in explanations if explanation), None)
