"""Text in HCL, read again by a parser of its own."""

from __future__ import annotations

import hcl2
import pytest

from orderops.export.hcl import Expression, Json, block, blocks, comment, quoted
from orderops.export.part import label

HOSTILE = {
    "a template": '${file("/etc/passwd")}',
    "a directive": "%{ for x in y }",
    "an escaped template": "$${x} %%{y}",
    "the end of the text": 'x" } resource "aws_vpc" "y" {',
    "a backslash at the end": "x\\",
    "a line feed": "x\ny\r\nz",
    "a control character": "x\x00\x07\x7fy",
    "separators": "x\u2028\u0085y",
    "half a character": "x\ud800y",
    "another script": "Bestellung № 5 🛒",
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_a_text_stays_one_literal_whatever_it_holds(text: str) -> None:
    parsed = hcl2.loads(block(["resource", "aws_vpc", "main"], {"before": 1, "value": text, "after": 2}))

    ((_, body),) = [pair for one in parsed["resource"] for kind in one.values() for pair in kind.items()]
    assert (body["before"], body["after"]) == (1, 2)
    assert [key for key in body if not key.startswith("__")] == ["before", "value", "after"]


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_no_template_and_no_control_character_is_left_in_a_literal(text: str) -> None:
    literal = quoted(text)

    assert literal.replace("$${", "").replace("%%{", "").find("${") == -1
    assert literal.replace("$${", "").replace("%%{", "").find("%{") == -1
    assert all(character.isprintable() for character in literal)


def test_the_escapes_of_a_literal_are_those_of_hcl() -> None:
    assert quoted('a "b" \\ ${c} %{d}\n\x7f') == '"a \\"b\\" \\\\ $${c} %%{d}\\n\\u007f"'


@pytest.mark.parametrize("end", ["\n", "\r", "\r\n", "\x0b", "\x85", "\u2028"])
def test_a_comment_cannot_be_left(end: str) -> None:
    assert comment(f'one{end}resource "x" "y" {{}}') == '# one\n# resource "x" "y" {}\n'


def test_what_is_none_is_not_written_and_nested_blocks_are() -> None:
    body = {
        "gone": None,
        "rule": blocks({"id": 1}, None),
        "to": Expression("aws_vpc.a.id"),
        "policy": Json({"a b": [1]}),
    }

    text = block(["resource", "x", "y"], body)

    assert text == (
        'resource "x" "y" {\n  rule {\n    id = 1\n  }\n  to = aws_vpc.a.id\n'
        '  policy = jsonencode({\n    "a b" = [1]\n  })\n}\n'
    )


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("orderops-dev-db", "orderops-dev-db"),
        ("/a/b:80", "a_b_80"),
        ("5xx", "_5xx"),
        ('"${x}"', "x"),
        ("//", "unnamed"),
    ],
)
def test_a_label_is_an_identifier(name: str, expected: str) -> None:
    assert label(name) == expected
