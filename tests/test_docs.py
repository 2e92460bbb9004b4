"""The documentation: generated pages are current, links lead somewhere, and pasted commands exist."""

from __future__ import annotations

import ast
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any, get_args

import pytest
import typer
from pydantic import BaseModel

from orderops.cli.tree import tree
from orderops.config.environment import Environment
from support.command_line import Orderops
from support.repository import ENVIRONMENTS, ROOT
from support.syntax_trees import nodes
from test_layering import APART, LAYERS

PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
NAMES = [str(page.relative_to(ROOT)) for page in PAGES]
SOURCE = ROOT / "src" / "orderops"
REFERENCE = ROOT / "docs" / "reference"
CLI = typer.main.get_command(tree())
FENCE = re.compile(r"^```(?P<language>\w*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\((?P<target>[^)\s]+)\)|(?:src|href)=\"(?P<source>[^\"]+)\"")
# Paths with a folder, and modules: not `NAME.toml`, nor what is in an operator's home.
CODE = re.compile(r"`(?P<path>(?:[a-z_]+/)+(?:[a-z_0-9]+\.[a-z]+)?|[a-z_]+\.py)(?::(?P<name>\w+))?`")
HEADING = re.compile(r"^#+ +(?P<title>.+?) *$", re.MULTILINE)
# What ends a command inside a line of shell.
SHELL = re.compile(r"\s(?:\||&&|;|>|2>|<)\s|\s#\s")


def command_paths(app: typer.Typer, before: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """Every command by its words."""
    own = [
        (*before, command.name or command.callback.__name__) for command in app.registered_commands if command.callback
    ]
    groups = [(group.typer_instance, str(group.name)) for group in app.registered_groups if group.typer_instance]
    return own + [path for inner, name in groups for path in command_paths(inner, (*before, name))]


def environment_keys(model: type[BaseModel] = Environment, table: str = "") -> Iterator[tuple[str, str]]:
    """Every key of an environment file with the heading of its table."""
    for key, field in model.model_fields.items():
        if table or key != "name":  # the name of an environment is that of its file
            yield f"[{table}]" if table else "Top level", key
        for inner in (field.annotation, *get_args(field.annotation)):
            if isinstance(inner, type) and issubclass(inner, BaseModel):
                named = ".NAME" if inner is not field.annotation else ""
                yield from environment_keys(inner, f"{table}.{key}{named}".lstrip("."))


def sections(page: Path) -> dict[str, str]:
    """The text below each heading of the second level."""
    parts = re.split(r"^## +(.+)$", page.read_text(), flags=re.MULTILINE)[1:]
    return dict(zip(parts[::2], parts[1::2], strict=True))


def links() -> Iterator[tuple[str, str]]:
    """Every relative link and picture, with the page that it is on."""
    for page in NAMES:
        for match in LINK.finditer(FENCE.sub("", (ROOT / page).read_text())):
            target = match["target"] or match["source"]
            if not re.match(r"[a-z]+:", target):
                yield page, target


def resolved(page: str, target: str) -> Path:
    """The file that a link on a page leads to."""
    return ((ROOT / page).parent / target.partition("#")[0]).resolve()


def leads_somewhere(page: str, target: str) -> bool:
    """Tell whether the file of a link exists, and has its heading."""
    path, _, anchor = target.partition("#")
    file = resolved(page, target) if path else ROOT / page
    return file.exists() and (not anchor or anchor in anchors(file))


def exists(path: str, name: str) -> bool:
    """Tell whether a file or folder exists in the repository or in its source, and defines the name."""
    file = next((file for file in (ROOT / path, SOURCE / path) if file.exists()), None)
    return file is not None and (
        not name or bool(re.search(rf"^ *(?:def|class) {name}\b", file.read_text(), re.MULTILINE))
    )


@cache
def anchors(page: Path) -> set[str]:
    """The anchors that GitHub makes of the headings of a page."""
    found: set[str] = set()
    for match in HEADING.finditer(FENCE.sub("", page.read_text())):
        title = re.sub(r"\[(.+?)\]\(.+?\)", r"\1", match["title"])
        slug = re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")
        found.add(next(name for number in count() if (name := f"{slug}-{number}" if number else slug) not in found))
    return found


def shown_commands() -> Iterator[tuple[str, str]]:
    """Every orderops command, with its page: in blocks of shell and of terminal output, and between backticks."""
    for page in NAMES:
        text = (ROOT / page).read_text()
        for block in FENCE.finditer(text):
            for line in block["text"].replace("\\\n", " ").splitlines():
                if command := _command_in(line, prompt=block["language"] != "sh"):
                    yield page, command
        for match in re.finditer(r"`(orderops [^`\n]+)`", FENCE.sub("", text)):
            yield page, match[1]


def _command_in(line: str, *, prompt: bool) -> str | None:
    """The command that a line runs, where that is orderops; in terminal output it comes behind `$`."""
    for part in re.split(r"&&|\$\(|(?<=\s)\|(?=\s)", line.strip()):
        words = part.strip()
        if prompt and not words.startswith("$ "):
            continue
        words = words.removeprefix("$ ").removeprefix("uv run --no-sync ").removeprefix(".venv/bin/")
        if words.startswith("orderops "):
            return words.split(")")[0] if "$(" in line else words
    return None


def code_references() -> Iterator[tuple[str, str, str]]:
    """Every file or folder of the repository that a page names between backticks, with a function behind a colon."""
    for page in NAMES:
        for match in CODE.finditer(FENCE.sub("", (ROOT / page).read_text())):
            yield page, match["path"], match["name"] or ""


def json_keys() -> set[str]:
    """Every key of --json, and every fixed value, that has an entry."""
    text = (REFERENCE / "json.md").read_text()
    return set(re.findall(r"`([a-z_]+)`", text)) - {"null"}


def names_in_source() -> set[str]:
    """Every text and every declared field of the source: a key of JSON is one of them."""
    found: set[str] = set()
    for file in SOURCE.rglob("*.py"):
        for node in nodes(file):
            match node:
                case ast.Constant(value=str(text)):
                    found.add(text.replace(" ", "_"))
                case ast.AnnAssign(target=ast.Name(id=name)):
                    found.add(name)
    return found


def what_is_wrong(command: str) -> str:
    """The first word of a command that orderops does not know, with the reason; empty for a valid command."""
    words = shlex.split(SHELL.split(f"{command} ")[0])[1:]
    current: Any = CLI
    arguments = 0
    while words:
        word = words.pop(0)
        settings = current.context_settings or {}
        if word.startswith("-"):
            name, _, value = word.partition("=")
            option = next((each for each in current.params if name in (*each.opts, *each.secondary_opts)), None)
            if option is None and name not in ("--help", "-h"):
                return "" if settings.get("ignore_unknown_options") else f"{name} is no option of {current.name}"
            if option is not None and not option.is_flag and not value:
                if not words:
                    return f"{name} has no value"
                words.pop(0)
        elif inner := getattr(current, "commands", {}).get(word):
            current = inner
        elif hasattr(current, "commands"):
            return f"{word} is no command of {current.name}"
        else:
            arguments += 1
    if arguments > sum(not each.opts[0].startswith("-") for each in current.params):
        return "" if (current.context_settings or {}).get("allow_extra_args") else "too many arguments"
    return ""


def test_generated_pages_are_current() -> None:
    check = subprocess.run(
        [sys.executable, ROOT / "docs" / "generate.py", "--check"], capture_output=True, text=True, check=False
    )

    assert check.returncode == 0, check.stdout + check.stderr


@pytest.mark.parametrize("path", command_paths(tree()), ids=" ".join)
def test_every_command_has_help_and_an_entry_in_the_reference(
    path: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    entry = sections(REFERENCE / "cli.md")[f"orderops {' '.join(path)}"]
    command: Any = CLI
    for word in path:
        command = command.commands[word]
    result = Orderops(capsys)(*path, "--help")

    assert result.code == 0
    assert result.out.count(".") >= 1
    assert [param.name for param in command.params if not param.help] == []
    assert [
        param.name for param in command.params if param.opts[0].startswith("-") and param.opts[0] not in entry
    ] == []


def test_every_key_of_an_environment_file_has_an_entry_in_the_reference() -> None:
    tables = sections(REFERENCE / "environment-file.md")

    assert {
        (table, key) for table, key in environment_keys() if f"\n| `{key}` | " not in tables.get(table, "")
    } == set()


def test_every_key_of_the_packaged_environments_has_an_entry_in_the_reference() -> None:
    def keys(table: dict[str, Any]) -> Iterator[str]:
        for key, value in table.items():
            yield key
            if isinstance(value, dict):
                yield from keys(value)

    used = {key for file in ENVIRONMENTS.glob("*.toml") for key in keys(tomllib.loads(file.read_text()))}
    services = {name for file in ENVIRONMENTS.glob("*.toml") for name in tomllib.loads(file.read_text())["services"]}
    text = (REFERENCE / "environment-file.md").read_text()

    assert {key for key in used - services if f"\n| `{key}` | " not in text} == set()


def test_every_link_leads_to_a_file_and_a_heading() -> None:
    assert {(page, target) for page, target in links() if not leads_somewhere(page, target)} == set()


def test_every_file_and_function_on_a_page_exists() -> None:
    assert {reference for reference in code_references() if not exists(*reference[1:])} == set()


def test_the_architecture_page_shows_the_layers_that_are_checked() -> None:
    text = sections(ROOT / "docs" / "explanation" / "architecture.md")
    shown = next(FENCE.finditer(text["Layers"]))["text"]

    assert [line.split() for line in shown.splitlines()] == [line.split() for line in LAYERS.strip().splitlines()]


def test_the_architecture_page_describes_every_package() -> None:
    rows = sections(ROOT / "docs" / "explanation" / "architecture.md")["Packages"]
    described = {name.removesuffix(".py") for row in rows.splitlines() for name in re.findall(r"`(\S+?)`", row[:30])}

    assert {*LAYERS.split(), APART} - described == set()


def test_every_json_key_on_the_page_is_in_the_source() -> None:
    assert json_keys() - names_in_source() == set()


def test_every_page_can_be_reached_from_the_readme() -> None:
    reached: set[Path] = set()
    new = {ROOT / "README.md"}
    while new:
        reached |= new
        new = {resolved(page, target) for page, target in links() if ROOT / page in new} - reached

    assert set(PAGES) - reached == set()


def test_every_command_on_a_page_exists() -> None:
    wrong = {(page, command): what_is_wrong(command) for page, command in shown_commands()}

    assert {place: found for place, found in wrong.items() if found} == {}


@pytest.mark.parametrize(
    "command",
    [
        "orderops upp",
        "orderops up --enviroment dev",
        "orderops restore --at",
        "orderops migrate new one two",
        "orderops status --watch --dry-run",
    ],
)
def test_a_command_that_does_not_exist_is_found(command: str) -> None:
    assert what_is_wrong(command) != ""


def test_every_picture_is_on_a_page() -> None:
    shown = {resolved(page, target) for page, target in links() if target.endswith(".svg")}

    assert set((ROOT / "docs" / "pictures").glob("*.svg")) == shown


def test_the_readme_holds_the_commands_that_ci_runs() -> None:
    text = (ROOT / "README.md").read_text()

    assert "<!-- up -->\n```sh\n" in text
    assert "<!-- tests -->\n```sh\n" in text
