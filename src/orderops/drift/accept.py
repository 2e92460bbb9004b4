"""Which keys of the environment file have to change for it to declare what the account has.

No table says which key sets which property: each key that could is tried, and what the changed file would declare is
compared with the account. A key that sets something else as well is so found out, too.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from orderops.config.edit import with_values
from orderops.config.environment import Environment
from orderops.config.loader import Key, check_text, valid
from orderops.drift.report import EXISTS, Drift, DriftReport
from orderops.errors import OrderopsError
from orderops.frozen import Frozen
from orderops.infra.stack import stack
from orderops.infra.workspace import Workspace

Declared = Mapping[tuple[str, str], Any]


class KeyChange(Frozen):
    """A key of the file, its values before and after, and the other properties that it also sets."""

    key: Key
    before: Any
    after: Any
    also: Sequence[str] = ()


class Acceptance(Frozen):
    """The text of the file before and after, and the keys that change."""

    before: str
    after: str
    keys: Sequence[KeyChange]


def accept(workspace: Workspace, report: DriftReport, addresses: Sequence[str]) -> Acceptance:
    """Return the file that declares what the account has at these addresses; nothing is written.

    Raises OrderopsError, naming each, for differences that no key of the file sets.
    """
    keys, without = [], []
    for drift in (drift for drift in report.differences if drift.address in addresses):
        if change := key_for(workspace, report, drift):
            keys.append(change)
        else:
            why = "a resource that does not exist" if drift.key == EXISTS else f"{drift.key} {drift.found!r}"
            without.append(f"{drift.address}: no key of {workspace.file.name} declares {why}")
    if without:
        name = workspace.environment.name
        raise OrderopsError(
            "\n".join(without),
            f"revert it: orderops infra drift --revert ADDRESS --env {name}; or leave it alone: "
            f"[drift.ignore] in {workspace.file.name}",
        )
    # As bytes: reading as text would change the ends of lines.
    before = workspace.file.read_bytes().decode("utf-8")
    after = with_values(before, {change.key: change.after for change in keys})
    check_text(workspace.file, after, Environment, workspace.environment.name)
    return Acceptance(before, after, keys)


def key_for(workspace: Workspace, report: DriftReport, drift: Drift) -> KeyChange | None:
    """The key that would make the file declare the found value, and sets the least beside it; None if none does."""
    if drift.key == EXISTS:
        return None
    now = _declared(workspace, workspace.environment, report)
    wanted = (drift.address, drift.key)
    document = tomllib.loads(workspace.file.read_bytes().decode("utf-8-sig"))
    found = []
    for key, value in _leaves(workspace.environment.model_dump()):
        if _form(value) != _form(drift.declared) or (after := _like(value, drift.found)) is None:
            continue
        environment = _with(document, key, after, workspace)
        then = environment and _declared(workspace, environment, report)
        if then and _form(then.get(wanted)) == _form(drift.found):
            also = [f"{address} {name}" for address, name in then if _differs((address, name), wanted, now, then)]
            found.append(KeyChange(key, value, after, sorted(also)))
    return min(found, key=lambda change: len(change.also), default=None)


def _differs(place: tuple[str, str], wanted: tuple[str, str], now: Declared, then: Declared) -> bool:
    return place != wanted and now.get(place) != then[place]


def _declared(workspace: Workspace, environment: Environment, report: DriftReport) -> Declared:
    """Every property that an environment declares, by address and name."""
    declared = stack(environment, workspace.aws.account, workspace.zones)
    resources = [*declared.infra, *declared.release({})]
    outputs = report.plan.outputs
    # The image of a release is not in the file.
    return {
        (resource.address, name): value
        for resource in resources
        for name, value in resource.desired(outputs).items()
        if name != "Image"
    }


def _with(document: Mapping[str, Any], key: Key, value: Any, workspace: Workspace) -> Environment | None:
    """The environment with one other value; None if the file would have a mistake."""
    changed = valid(Environment, _set(document, key, value), workspace.environment.name)
    return changed and changed.with_database_version(workspace.environment.database.engine_version)


def _set(table: Mapping[str, Any], key: Key, value: Any) -> dict[str, Any]:
    first, rest = str(key[0]), key[1:]
    return {**table, first: _set(table.get(first, {}), rest, value) if rest else value}


def _leaves(table: Mapping[str, Any], above: Key = ()) -> Iterator[tuple[Key, Any]]:
    """Every key of the file that has a value, also by default."""
    for name, value in table.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, (*above, name))
        elif (*above, name) != ("name",) and above[:1] != ("drift",):
            yield (*above, name), value


def _form(value: Any) -> str:
    """A value regardless of how AWS spells it: 60, 60.0 and "60" are one, and so are True and "true"."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value).lower()


def _like(value: Any, found: Any) -> Any:
    """The found value in the type of a key; None where it has no such form."""
    match value:
        case bool():
            return {"true": True, "false": False}.get(str(found).lower())
        case int() | None if _form(found).isdigit():
            return int(_form(found))
        case int():
            return None
        case list() | tuple():
            return list(found) if isinstance(found, list | tuple) else None
    return found if isinstance(found, str | float) else None
