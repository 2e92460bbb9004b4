"""orderops env new and env diff: a file like another one, and how two of them differ."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from difflib import unified_diff
from pathlib import Path
from typing import Any

from orderops.config.copy import mentions, text_like
from orderops.config.difference import Setting, SettingDifference, setting_differences
from orderops.config.environment import (
    Environment,
    environment_names,
    environments_folder,
    load_environment,
    packaged,
)
from orderops.config.files import create_file
from orderops.config.loader import check_text
from orderops.config.types import is_environment_name
from orderops.errors import OrderopsError, UsageError
from orderops.infra.limits import ANY_ACCOUNT, names_in
from orderops.infra.stack import stack
from orderops.resources.iam_service_linked_role import IamServiceLinkedRole
from orderops.text.lists import joined
from orderops.ui import console


def new(name: str, like: str, folder: Path | None, *, dry_run: bool) -> None:
    """Write the file of a new environment. Raises UsageError if it exists, or would have a mistake."""
    if not is_environment_name(name):
        raise UsageError(
            f"{name!r} is not the name of an environment",
            "write 1 to 14 lower-case letters, digits and single hyphens that begin with a letter",
        )
    source = load_environment(like, folder)
    where = _writable(folder)
    file = where / f"{name}.toml"
    if file.exists() or file.is_symlink():
        raise UsageError(f"{file} exists already; nothing was written", "choose another name, or edit the file")
    # Every file has to be readable: the range of one with mistakes would be taken for free.
    others = [load_environment(other, folder) for other in environment_names(folder)]
    # As bytes: reading as text would change the ends of lines.
    before = (where / f"{like}.toml").read_bytes().decode("utf-8")
    text = text_like(before, source, others)
    environment = check_text(file, text, Environment, name)
    _check_names(environment, others)
    if dry_run:
        for line in unified_diff(before.splitlines(), text.splitlines(), f"{like}.toml", f"{name}.toml", "", "", 0, ""):
            console.data(line)
        console.info(f"would write {file}; nothing was written")
        return
    try:
        create_file(file, text)
    except FileExistsError:
        raise UsageError(f"{file} exists already; nothing was written", "choose another name") from None
    except OSError as error:
        raise OrderopsError(f"{file}: {error.strerror}", "check the permissions of the folder") from None
    console.data(str(file))
    console.info(f"VPC {environment.network.cidr}, which no other environment has")
    if lines := mentions(text, like):
        console.info(f"{like} is named in line {joined(lines, max_names=10)}: check whether {name} is meant")
    console.info(f"next: orderops env diff {like} {name}, then orderops env cost --env {name}")


def _writable(folder: Path | None) -> Path:
    """The folder of the files. Raises UsageError for the one inside an installed orderops."""
    where = environments_folder(folder)
    if where == packaged(Path(__file__).parents[1]) and folder is None:
        raise UsageError(
            "the working directory has no folder environments/, and orderops's own files are not to be changed",
            "copy them first: mkdir environments, then name it: --environments environments",
        )
    return where


def _check_names(environment: Environment, others: Iterable[Environment]) -> None:
    """Raise UsageError if two environments would give the same name to a resource."""
    own = _names(environment)
    for other in others:
        if shared := sorted(own & _names(other)):
            raise UsageError(
                f"{environment.name} and {other.name} would both own {joined(shared)}; nothing was written",
                "choose a name that is not that of another environment and a service of it",
            )


def _names(environment: Environment) -> set[str]:
    declared = names_in(stack(environment, environment.account or ANY_ACCOUNT))
    # The environments of an account share the service-linked roles.
    return {name.address for name in declared if name.kind is not IamServiceLinkedRole}


def show_differences(first: str, second: str, folder: Path | None, *, as_json: bool) -> None:
    """Show how two environments differ, and which settings only one file writes with the value of the other."""
    found = setting_differences(load_environment(first, folder), load_environment(second, folder))
    if as_json:
        console.show_json([_document(item, first, second) for item in found])
        return
    differing = [item for item in found if item.differs]
    for item in differing:
        console.data(f"{item.key}: {_words(item.first)} in {first}, {_words(item.second)} in {second}")
    for line in _written_once([item for item in found if not item.differs], first, second):
        console.data(line)
    if not differing:
        console.info(f"{first} and {second} have the same settings")


def _document(item: SettingDifference, first: str, second: str) -> dict[str, Any]:
    sides = {first: item.first.to_dict(), second: item.second.to_dict()}
    return {"key": item.key, "differs": item.differs, "environments": sides}


def _words(setting: Setting) -> str:
    import json

    if not setting.exists:
        return "missing"
    text = "not set" if setting.value is None else json.dumps(setting.value, ensure_ascii=False)
    return text if setting.written else f"{text} (default)"


def _written_once(same: Iterable[SettingDifference], first: str, second: str) -> Iterator[str]:
    for item in same:
        writer, other = (first, second) if item.first.written else (second, first)
        value = item.first if item.first.written else item.second
        yield f"{item.key}: {_words(value)} in both; written in {writer}, the default in {other}"
