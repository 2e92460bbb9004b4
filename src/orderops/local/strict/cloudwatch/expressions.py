"""Metric math: arithmetic, comparisons, AND, OR, IF, FILL, MAX, MIN, SUM and AVG over series.

From "Using metric math" in the CloudWatch user guide. Other functions are refused by name.
"""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from orderops.local.strict.cloudwatch.points import Series

Value = float | Series | list[Any]
OPERATORS: dict[type[ast.AST], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.And: lambda left, right: bool(left) and bool(right),
    ast.Or: lambda left, right: bool(left) or bool(right),
}
AGGREGATES: dict[str, Callable[[list[float]], float]] = {
    "MAX": max,
    "MIN": min,
    "SUM": sum,
    "AVG": lambda values: sum(values) / len(values),
}
FUNCTIONS = {*AGGREGATES, "IF", "FILL"}
WORDS = {"AND": "and", "OR": "or", "&&": "and", "||": "or"}


class WrongExpression(Exception):
    """An expression that CloudWatch does not accept, or that this emulator cannot calculate."""


def names_in(expression: str) -> set[str]:
    """The ids that an expression refers to. Raises WrongExpression."""
    tree = _parsed(expression)
    functions = {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    called = {node.func.id for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}
    if unknown := called - FUNCTIONS:
        raise WrongExpression(f"Unsupported function: {min(unknown)}")
    return {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and id(node) not in functions}


def calculate(expression: str, known: Mapping[str, Series], count: int) -> Series:
    """The value of an expression for each period. A period is empty where an operand is. Raises WrongExpression."""
    names = names_in(expression)
    if all(value is None for name in names for value in known[name]):
        # FILL fills gaps: a series that no metric has begun has none.
        return (None,) * count
    return _series(_Calculation(known, count).value(_parsed(expression).body), count)


class _Calculation:
    def __init__(self, known: Mapping[str, Series], count: int) -> None:
        self._known = known
        self._count = count

    def value(self, node: ast.expr) -> Value:
        match node:
            case ast.Constant(value=int() | float() as number):
                return float(number)
            case ast.Name(id=name):
                return self._known[name]
            case ast.List(elts=parts):
                return [self.value(part) for part in parts]
            case ast.Call(func=ast.Name(id=name), args=arguments):
                return self._call(name, [self.value(argument) for argument in arguments])
        return self._operation(node)

    def _operation(self, node: ast.expr) -> Value:
        match node:
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return self._pairwise(operator.sub, 0.0, self.value(operand))
            case ast.BinOp(left=left, op=op, right=right) | ast.Compare(left=left, ops=[op], comparators=[right]):
                return self._pairwise(_operator(op), self.value(left), self.value(right))
            case ast.BoolOp(op=op, values=[first, *rest]):
                result = self.value(first)
                for part in rest:
                    result = self._pairwise(_operator(op), result, self.value(part))
                return result
        raise WrongExpression("Unsupported expression")

    def _call(self, name: str, given: list[Value]) -> Value:
        if name == "FILL" and len(given) == 2:
            filler = given[1]
            return tuple(
                _at(filler, index) if value is None else value
                for index, value in enumerate(_series(given[0], self._count))
            )
        if name == "IF" and len(given) == 3:
            return tuple(self._chosen(given, index) for index in range(self._count))
        if name in AGGREGATES and len(given) == 1:
            return self._aggregated(AGGREGATES[name], given[0])
        raise WrongExpression(f"Wrong arguments of {name}")

    def _aggregated(self, function: Callable[[list[float]], float], given: Value) -> Value:
        if isinstance(given, list):
            return tuple(_aggregate(function, given, index) for index in range(self._count))
        # Of one series: a single number over all its periods.
        whole = [value for value in _series(given, self._count) if value is not None]
        return function(whole) if whole else (None,) * self._count

    def _chosen(self, given: list[Value], index: int) -> float | None:
        condition = _at(given[0], index)
        return None if condition is None else _at(given[1] if condition else given[2], index)

    def _pairwise(self, calculate_: Callable[[float, float], float], left: Value, right: Value) -> Value:
        def at(index: int) -> float | None:
            first, second = _at(left, index), _at(right, index)
            if first is None or second is None:
                return None
            try:
                return float(calculate_(first, second))
            except ZeroDivisionError:
                return None

        return tuple(at(index) for index in range(self._count))


def _parsed(expression: str) -> ast.Expression:
    text = re.sub(r"\bAND\b|\bOR\b|&&|\|\|", lambda match: f" {WORDS[match[0]]} ", expression)
    try:
        return ast.parse(text.strip(), mode="eval")
    except (SyntaxError, ValueError):
        raise WrongExpression(f"Invalid syntax: {expression}") from None


def _operator(op: ast.AST) -> Callable[[float, float], float]:
    if type(op) not in OPERATORS:
        raise WrongExpression("Unsupported operator")
    return OPERATORS[type(op)]


def _series(value: Value, count: int) -> Series:
    if isinstance(value, list):
        raise WrongExpression("The expression returns more than one series")
    return value if isinstance(value, tuple) else (value,) * count


def _at(value: Value, index: int) -> float | None:
    if isinstance(value, list):
        raise WrongExpression("An array where a series is needed")
    return value[index] if isinstance(value, tuple) else value


def _aggregate(function: Callable[[list[float]], float], parts: list[Any], index: int) -> float | None:
    values = list(_present(parts, index))
    return float(function(values)) if values else None


def _present(parts: list[Any], index: int) -> Iterator[float]:
    for part in parts:
        if (value := _at(part, index)) is not None:
            yield value
