"""A plan in a file: what was approved, so that exactly that is applied later, and nothing else."""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from orderops.aws.redaction import masked, without_secrets
from orderops.aws.validation import Malformed, Time, check_form, json_object, validated
from orderops.config.files import replace_file
from orderops.engine.resource import unknown_in
from orderops.engine.step import Action, Step
from orderops.errors import OrderopsError
from orderops.infra.plan import Plan
from orderops.text.durations import in_words
from orderops.text.outside import plain

GOOD_FOR = timedelta(hours=24)
CLOCKS = timedelta(minutes=5)
"""How far the clocks of two machines may be apart."""
SHOWN = 120
"""Characters of a value in a refusal."""
KNOWN_LATER = "(known after apply)"


@dataclass(frozen=True)
class SavedChange:
    """A property that changes, without secrets, and marks by which both values are known again."""

    live: Any
    desired: Any
    live_mark: str
    desired_mark: str


@dataclass(frozen=True)
class SavedStep:
    """What is done to one resource."""

    address: str
    action: str
    effect: str
    changes: Mapping[str, SavedChange] = field(default_factory=dict)


@dataclass(frozen=True)
class SavedPlan:
    """A plan, what it was made from, and by whom."""

    environment: str
    account: str
    region: str
    who: str
    host: str
    made: Time
    version: str
    """The version of orderops; another one may declare other properties."""
    files: Mapping[str, str]
    """SHA-256 of each file that the plan was made from."""
    images: Mapping[str, str] | None
    """The image of each service; None for a plan of the infrastructure alone."""
    adopt: Sequence[str]
    prune: bool
    salt: str
    steps: Sequence[SavedStep]
    form: int = 1

    def write(self, file: Path) -> None:
        """Write the file, readable by its owner alone. Raises OrderopsError if it cannot be written."""
        try:
            # Replaced as a whole: a half-written plan is none.
            replace_file(file, f"{json.dumps(asdict(self), indent=2, sort_keys=True)}\n", mode=0o600)
        except OSError as error:
            raise OrderopsError(f"{file}: {error.strerror}", "name another file: --out FILE") from None


def read_plan(file: Path) -> SavedPlan:
    """Read a saved plan. Raises OrderopsError for a file that is none."""
    again = "make it again: orderops infra plan --out FILE, or orderops up --out FILE"
    try:
        value = json_object(file.read_bytes())
        check_form(value)
        return validated(value, SavedPlan)
    except OSError as error:
        raise OrderopsError(f"{file}: {error.strerror}", again) from None
    except Malformed as error:
        raise OrderopsError(f"{file} is no plan: it {error}", again) from None


def saved_steps(steps: Iterable[Step], salt: str) -> list[SavedStep]:
    """The steps that change something, as they are saved."""
    return [
        SavedStep(
            step.address,
            str(step.action),
            str(step.effect),
            {key: _saved(key, live, desired, salt) for key, (live, desired) in step.changes.items()},
        )
        for step in sorted(steps, key=lambda step: step.address)
        if step.action not in (Action.NO_OP, Action.KEEP)
    ]


def new_salt() -> str:
    """What makes the marks of one plan unlike those of another, so that no value can be looked up by its mark."""
    return secrets.token_hex(16)


def digests(files: Iterable[Path]) -> dict[str, str]:
    """The SHA-256 of each file, by its name without folders: a pipeline unpacks them elsewhere."""
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in sorted(files)}


def check_made_here(
    saved: SavedPlan, *, environment: str, account: str, region: str, version: str, files: Mapping[str, str]
) -> None:
    """Raise OrderopsError for a plan of another place, of other files, by another orderops, or that is too old."""
    for what, planned, here in (
        ("environment", saved.environment, environment),
        ("account", saved.account, account),
        ("region", saved.region, region),
        ("orderops", saved.version, version),
    ):
        if planned != here:
            raise OrderopsError(
                f"the plan was made for {what} {plain(planned, SHOWN)}, and this is {here}", _again(environment)
            )
    for name in sorted({*saved.files, *files}):
        if saved.files.get(name) != files.get(name):
            raise OrderopsError(f"{plain(name, SHOWN)} is not the one that the plan was made from", _again(environment))
    age = datetime.now(UTC) - datetime.fromisoformat(saved.made)
    if age < -CLOCKS:
        raise OrderopsError(
            f"the plan was made at {saved.made}, which is still to come: one of the two clocks is wrong",
            f"set the clocks, then {_again(environment)}",
        )
    if age > GOOD_FOR:
        raise OrderopsError(
            f"the plan is {in_words(age)} old; it is good for {in_words(GOOD_FOR)}", _again(environment)
        )


def check_unmoved(saved: SavedPlan, plan: Plan) -> None:
    """Raise OrderopsError, naming the property, if the plan of now does anything that the saved one does not.

    What a run of the saved plan has done already is no difference, so that an interrupted one can be repeated.
    """
    approved = {step.address: step for step in saved.steps}
    for step in saved_steps([*plan.steps, *plan.pruned], saved.salt):
        moved = list(_moved(approved.get(step.address), step))
        if moved:
            raise OrderopsError(
                f"{step.address} moved since the plan was made: {moved[0]}; nothing was changed",
                _again(saved.environment),
            )


def _moved(approved: SavedStep | None, now: SavedStep) -> Iterator[str]:
    """How a step of now differs from the approved one, as ends of a sentence."""
    if approved is None:
        keys = f" ({', '.join(list(now.changes)[:3])})" if now.changes else ""
        yield f"it would be {_done(now.action)}{keys}, and the plan leaves it as it is"
        return
    if approved.action != now.action:
        yield f"it was to be {_done(approved.action)}, and would be {_done(now.action)}"
        return
    for key, change in now.changes.items():
        planned = approved.changes.get(key)
        if planned is None:
            yield f"{key} would change from {_shown(change.live)} to {_shown(change.desired)}, which the plan leaves"
        elif planned.live_mark != change.live_mark:
            yield f"{key} was {_shown(planned.live)}, and is {_shown(change.live)}"
        elif planned.desired_mark != change.desired_mark and KNOWN_LATER not in (planned.desired, change.desired):
            yield f"{key} was to become {_shown(planned.desired)}, and would become {_shown(change.desired)}"


def _saved(key: str, live: Any, desired: Any, salt: str) -> SavedChange:
    name = key.rpartition(".")[2]
    shown = [KNOWN_LATER if unknown_in(value) else masked(value, name=name) for value in (live, desired)]
    return SavedChange(shown[0], shown[1], _mark(live, salt), _mark(desired, salt))


def _mark(value: Any, salt: str) -> str:
    text = json.dumps(value, sort_keys=True, default=str)
    return hmac.new(salt.encode(), text.encode(), hashlib.sha256).hexdigest()[:24]


def _shown(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, sort_keys=True)
    return plain(without_secrets(text), SHOWN)


def _done(action: str) -> str:
    return {"create": "created", "update": "updated", "delete": "deleted", "adopt": "taken over"}.get(action, action)


def _again(environment: str) -> str:
    return f"make it again, and have it approved: orderops up --out FILE --env {environment}"
