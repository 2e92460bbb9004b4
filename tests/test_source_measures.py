"""The limits within which the source stays; `python tests/support/source_measures.py` prints the figures."""

from __future__ import annotations

from collections.abc import Iterable
from statistics import median

from support.source_measures import SOURCE, Function, Source

LONG = 40
COMPLEX = 15
MANY_PARAMETERS = 8

source = Source(SOURCE)


def test_few_modules_are_directly_in_the_package() -> None:
    assert set(source.root_modules) == {"doctor", "errors", "frozen"}


def test_a_typical_function_is_short() -> None:
    assert median(function.lines for function in source.functions) <= 7


def test_few_functions_are_longer_than_a_screen() -> None:
    assert len(long := places(function for function in source.functions if function.lines > LONG)) <= 5, long


def test_no_function_has_too_many_branches() -> None:
    assert places(function for function in source.functions if function.complexity > COMPLEX) == []


def test_few_functions_take_many_parameters() -> None:
    assert len(many := places(f for f in source.functions if f.parameters > MANY_PARAMETERS)) <= 3, many


def test_no_identifier_is_named_by_a_vague_word() -> None:
    assert source.vague_identifiers == []


def test_a_class_name_has_one_meaning() -> None:
    assert len(shared := source.classes_with_several_meanings) <= 5, shared


def test_comments_give_reasons_where_the_code_cannot() -> None:
    assert 0.025 <= source.comment_share <= 0.08


def places(functions: Iterable[Function]) -> list[str]:
    return [function.place for function in functions]
