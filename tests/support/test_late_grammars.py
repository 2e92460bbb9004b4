"""IRIs are checked by the grammars of RFC 3987, although they are built late."""

from __future__ import annotations

import subprocess
import sys

import pytest
from jsonschema import FormatChecker

from support.repository import ROOT

BUILT = """
import sys
from support.late_grammars import build_grammars_late
build_grammars_late()
import jsonschema
sys.exit("lark" in sys.modules)
"""


# RFC 3987, 2.2: an IRI has a scheme, and neither a space nor a character for private use in its path.
@pytest.mark.parametrize(
    ("iri", "valid"),
    [
        ("https://example.com/überweisung", True),
        ("urn:example:überweisung", True),
        ("https://example.com/a b", False),
        ("https://example.com/\ue000", False),
        ("überweisung", False),
    ],
)
def test_an_iri_is_judged_by_its_grammar(iri: str, valid: bool) -> None:
    assert FormatChecker().conforms(iri, "iri") is valid


def test_jsonschema_is_imported_without_the_grammars() -> None:
    done = subprocess.run([sys.executable, "-c", BUILT], cwd=ROOT / "tests", timeout=60, check=False)

    assert done.returncode == 0
