"""What the source of orderops measures: lengths, complexity, names and comments.

    python tests/support/source_measures.py

prints the figures; `tests/test_source_measures.py` holds their limits.
"""

from __future__ import annotations

import ast
import io
import tokenize
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from statistics import median

SOURCE = Path(__file__).parents[2] / "src" / "orderops"
# Words that say that something was said, and not what it is.
VAGUE_WORDS = frozenset({"told", "said", "heard", "asked", "each"})
BRANCHES = (ast.If, ast.IfExp, ast.For, ast.AsyncFor, ast.While, ast.ExceptHandler, ast.Assert, ast.match_case)


@dataclass(frozen=True)
class Function:
    """A function or method: its place as `module:name`, its lines, branches and parameters."""

    place: str
    lines: int
    complexity: int
    parameters: int


@dataclass(frozen=True)
class Source:
    """The modules of a source tree."""

    folder: Path

    @cached_property
    def modules(self) -> dict[str, ast.Module]:
        """Syntax trees by dotted name."""
        files = sorted(self.folder.rglob("*.py"))
        return {".".join(file.relative_to(self.folder).with_suffix("").parts): _parsed(file) for file in files}

    @property
    def root_modules(self) -> list[str]:
        """Modules directly in the package."""
        return [name for name in self.modules if "." not in name and name not in ("__init__", "__main__")]

    @cached_property
    def functions(self) -> list[Function]:
        """Every function and method, nested ones too."""
        return [
            _function(f"{name}:{node.name}", node)
            for name, tree in self.modules.items()
            for node in ast.walk(tree)
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        ]

    @property
    def classes_with_several_meanings(self) -> dict[str, list[str]]:
        """Public class names that more than one module defines."""
        places = defaultdict(list)
        for name, tree in self.modules.items():
            for node in ast.walk(tree):
                if isinstance(node, ast.ClassDef):
                    places[node.name].append(name)
        return {name: modules for name, modules in places.items() if len(modules) > 1}

    @property
    def vague_identifiers(self) -> list[str]:
        """Variables, parameters, functions and attributes named by one of VAGUE_WORDS, as `module:line name`."""
        return [
            f"{name}:{line} {identifier}"
            for name, tree in self.modules.items()
            for line, identifier in _identifiers(tree)
            if identifier.strip("_") in VAGUE_WORDS
        ]

    @cached_property
    def comment_share(self) -> float:
        """Lines that hold only a comment, as a share of the lines that hold code or a comment, docstrings included."""
        comments = code = 0
        for file in self.folder.rglob("*.py"):
            text = file.read_text(encoding="utf-8")
            own_line = {
                token.start[0]
                for token in tokenize.generate_tokens(io.StringIO(text).readline)
                if token.type == tokenize.COMMENT and not token.line[: token.start[1]].strip()
            }
            comments += len(own_line)
            code += sum(bool(line.strip()) for line in text.splitlines())
        return comments / code

    def report(self) -> Iterator[str]:
        """The figures, one a line, with the places that stand out."""
        long = [function for function in self.functions if function.lines > 40]
        complex_ = [function for function in self.functions if function.complexity > 15]
        many = [function for function in self.functions if function.parameters > 8]
        yield f"modules directly in orderops: {len(self.root_modules)} ({', '.join(self.root_modules)})"
        yield f"functions: {len(self.functions)}, median {median(f.lines for f in self.functions):.0f} lines"
        yield f"functions over 40 lines: {len(long)} {[(f.place, f.lines) for f in long]}"
        yield f"functions over complexity 15: {len(complex_)} {[(f.place, f.complexity) for f in complex_]}"
        yield f"functions with more than 8 parameters: {len(many)} {[(f.place, f.parameters) for f in many]}"
        yield f"vague identifiers ({', '.join(sorted(VAGUE_WORDS))}): {len(self.vague_identifiers)}"
        yield f"class names in several modules: {self.classes_with_several_meanings}"
        yield f"comment lines: {self.comment_share:.1%}"


def _parsed(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"))


def _function(place: str, node: ast.FunctionDef | ast.AsyncFunctionDef) -> Function:
    arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
    own = [argument for argument in arguments if argument.arg not in ("self", "cls")]
    lines = (node.end_lineno or node.lineno) - node.lineno + 1
    return Function(place, lines, 1 + sum(map(_branches, _inside(node))), len(own))


def _inside(function: ast.AST) -> Iterator[ast.AST]:
    """The nodes of a function without those of the functions in it, which count by themselves."""
    for child in ast.iter_child_nodes(function):
        yield child
        if not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield from _inside(child)


def _branches(node: ast.AST) -> int:
    if isinstance(node, BRANCHES):
        return 1
    if isinstance(node, ast.BoolOp):
        return len(node.values) - 1
    if isinstance(node, ast.comprehension):
        return 1 + len(node.ifs)
    return 0


def _identifiers(tree: ast.AST) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name, ctx=ast.Store()) | ast.arg(arg=name):
                yield node.lineno, name
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                yield node.lineno, name
            case ast.Attribute(attr=name, ctx=ast.Store()):
                yield node.lineno, name
            case ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
                yield node.lineno, name


if __name__ == "__main__":
    print("\n".join(Source(SOURCE).report()))
