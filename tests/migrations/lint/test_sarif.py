"""The SARIF document: fields of the standard and relative addresses."""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import urlsplit

from orderops.migrations.lint.catalog import ERRORS, WARNINGS
from orderops.migrations.lint.finding import Finding, Level
from orderops.migrations.lint.sarif import sarif

ONE = Finding(Path("sql/V002__für alle.sql"), 3, 7, "truncate", Level.ERROR, "it hurts", "-- squawk-ignore truncate")
TWO = Finding(Path("sql/U002__x.sql"), 1, 1, "undo-empty", Level.WARNING, "it says nothing", "")
NEW = Finding(Path("sql/U002__x.sql"), 2, 1, "ban-mondays", Level.WARNING, "never on Mondays", "")
KEYS = {"$schema", "version", "runs"}


def test_a_document_has_the_fields_of_the_standard(tmp_path: Path) -> None:
    told = json.loads(json.dumps(sarif([ONE, TWO, NEW, ONE])))

    assert told.keys() == KEYS
    assert told["version"] == "2.1.0"
    (run,) = told["runs"]
    driver = run["tool"]["driver"]
    assert driver["name"]
    assert [rule["id"] for rule in driver["rules"]] == ["truncate", "undo-empty", "ban-mondays"]
    for rule in driver["rules"]:
        assert rule["shortDescription"]["text"].endswith(".")
        assert rule["help"]["text"]
        assert rule["defaultConfiguration"]["level"] in ("error", "warning")
    for result in run["results"]:
        assert driver["rules"][result["ruleIndex"]]["id"] == result["ruleId"]
        assert result["level"] in ("error", "warning")
        assert result["message"]["text"]
        (location,) = result["locations"]
        place = location["physicalLocation"]
        assert place["region"]["startLine"] >= 1
        assert place["region"]["startColumn"] >= 1
        assert place["artifactLocation"]["uriBaseId"] in run["originalUriBaseIds"]
    assert run["columnKind"] == "unicodeCodePoints"


def test_a_result_has_the_message_and_the_rewrite() -> None:
    (result,) = sarif([ONE])["runs"][0]["results"]

    assert result["message"]["text"] == "it hurts\n\nInstead:\n-- squawk-ignore truncate"
    assert result["locations"][0]["physicalLocation"]["region"] == {"startLine": 3, "startColumn": 7}


def test_addresses_are_relative_to_the_working_directory(tmp_path: Path) -> None:
    inside = Finding(tmp_path / "sql" / "V1__a b.sql", 1, 1, "truncate", Level.ERROR, "x", "")
    outside = Finding(Path("/elsewhere/V1__a.sql"), 1, 1, "truncate", Level.ERROR, "x", "")

    results = sarif([inside, outside], root=tmp_path)["runs"][0]["results"]

    first, second = [result["locations"][0]["physicalLocation"]["artifactLocation"] for result in results]
    assert first == {"uri": "sql/V1__a%20b.sql", "uriBaseId": "%SRCROOT%"}
    assert urlsplit(second["uri"]).scheme == "file"


def test_a_document_without_findings_is_valid() -> None:
    (run,) = sarif([])["runs"]

    assert (run["results"], run["tool"]["driver"]["rules"]) == ([], [])


def test_every_rule_has_a_description() -> None:
    assert not ERRORS.keys() & WARNINGS.keys()
    assert all(about.endswith(".") for about in (ERRORS | WARNINGS).values())
