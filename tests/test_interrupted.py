"""Runs that are killed, cut off, throttled and stopped: the same command again ends where an undisturbed run does."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest

from orderops.aws import Aws
from orderops.engine import Action
from orderops.environment import load_environment
from orderops.local.wire import Refusal
from orderops.site import Apply, Site

from command import Orderops
from conftest import MODELS
from inventory import Inventory, take_inventory
from proxy import Fate, Proxy, Request, Rule, from_change, served, trouble

ENVIRONMENTS = Path(__file__).parents[1] / "environments"
WORDS = ("--env", "dev", "--environments", str(ENVIRONMENTS))
APPLY = ("infra", "apply", *WORDS, "--yes")
DESTROY = ("infra", "destroy", *WORDS, "--yes")
IMAGE = "123456789012.dkr.ecr.ap-southeast-2.amazonaws.com/orderops-dev-order-processor:1"
CREATING = ("Allocate", "Create", "Put", "Register", "Associate", "Authorize", "Attach")
MOMENTS = 10
pytestmark = pytest.mark.slow

Look = Callable[[], Inventory]


@dataclass(frozen=True)
class Undisturbed:
    """What an apply and a destroy leave when nothing goes wrong, and the calls by which they change things."""

    made: Inventory
    making: Sequence[str]
    left: Inventory
    removing: Sequence[str]


class Victim:
    """`orderops` in a process and a process group of its own."""

    def __init__(self, *words: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "orderops", *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def kill(self) -> None:
        """End it without a word, and see it dead."""
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def interrupt(self) -> None:
        """Ctrl+C."""
        os.killpg(self._process.pid, signal.SIGINT)

    def says(self, words: str) -> bool:
        """Whether these words are among those it says before it ends."""
        assert self._process.stderr
        return any(words in line for line in self._process.stderr)

    def ended(self) -> tuple[int, str]:
        """Its exit code, and what it said."""
        _, said = self._process.communicate(timeout=300)
        return self._process.returncode, said


@pytest.fixture(scope="module")
def account() -> Iterator[Proxy]:
    with served() as proxy:
        yield proxy


@pytest.fixture
def proxy(account: Proxy, monkeypatch: pytest.MonkeyPatch) -> Proxy:
    """An empty account, which every command of the test reaches."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", account.url)
    monkeypatch.setenv("MOTO_ECS_SERVICE_RUNNING", "1")
    monkeypatch.setattr("botocore.session.create_loader", lambda *_: MODELS)
    monkeypatch.setattr("botocore.retries.standard.ExponentialBackoff._BASE", 0.1)  # as often as ever, less pause
    account.reset()
    return account


@pytest.fixture(scope="module")
def look(account: Proxy) -> Look:
    """What the account holds; these calls are not counted."""
    session = boto3.Session("testing", "testing", region_name="ap-southeast-2")
    clients: dict[str, Any] = {}

    def client(service: str) -> Any:
        if service not in clients:
            clients[service] = session.client(service, endpoint_url=account.url)
        return clients[service]

    def take() -> Inventory:
        counted = list(account.requests)
        found = take_inventory(client)
        account.requests[:] = counted
        return found

    return take


@pytest.fixture
def orderops(capsys: pytest.CaptureFixture[str], proxy: Proxy) -> Orderops:
    return Orderops(capsys)


@pytest.fixture(scope="module")
def known() -> list[Undisturbed]:
    return []


@pytest.fixture
def undisturbed(known: list[Undisturbed], orderops: Orderops, proxy: Proxy, look: Look) -> Undisturbed:
    """Found out once, by the first test that asks; the account is empty again."""
    if not known:
        assert orderops(*APPLY).code == 0
        made, making = look(), proxy.changing
        proxy.forget()
        assert orderops(*DESTROY).code == 0
        known.append(Undisturbed(made, making, look(), proxy.changing))
        proxy.reset()
    return known[0]


@pytest.fixture
def ends_as(orderops: Orderops, proxy: Proxy, look: Look) -> Callable[[Sequence[str], Inventory], None]:
    """The command ends well and leaves just that; once more, it has nothing to do and changes nothing."""

    def check(command: Sequence[str], inventory: Inventory) -> None:
        said = orderops(*command)
        assert said.code == 0, said.err
        assert look() == inventory
        proxy.forget()
        again = orderops(*command)
        assert again.code == 0, again.err
        assert proxy.changing == []
        assert "0 changes" in again.err or "nothing to remove" in again.err

    return check


EndsAs = Callable[[Sequence[str], Inventory], None]


def moment(place: int, of: int, calls: Sequence[str]) -> int:
    """The number of one call, when so many are spread evenly from the first to the last."""
    return 1 + place * (len(calls) - 1) // (of - 1)


@pytest.mark.parametrize("place", range(MOMENTS))
def test_an_apply_that_is_killed_is_finished_by_the_next(
    proxy: Proxy, undisturbed: Undisturbed, ends_as: EndsAs, place: int
) -> None:
    fate = Fate.UNANSWERED if place % 2 else Fate.UNDONE
    victim = Victim(*APPLY)
    proxy.rule = from_change(moment(place, MOMENTS, undisturbed.making), fate, then=victim.kill)
    assert victim.ended()[0] == -signal.SIGKILL
    proxy.settle()
    proxy.later(60)
    proxy.forget()

    ends_as(APPLY, undisturbed.made)


@pytest.mark.parametrize("place", [2, 5])
def test_a_destroy_that_is_killed_is_finished_by_the_next(
    orderops: Orderops, proxy: Proxy, undisturbed: Undisturbed, ends_as: EndsAs, place: int
) -> None:
    assert orderops(*APPLY).code == 0
    proxy.forget()
    fate = Fate.UNANSWERED if place % 2 else Fate.UNDONE
    victim = Victim(*DESTROY)
    proxy.rule = from_change(moment(place, MOMENTS, undisturbed.removing), fate, then=victim.kill)
    assert victim.ended()[0] == -signal.SIGKILL
    proxy.settle()
    proxy.later(60)
    proxy.forget()

    assert "orderops-dev-database" in undisturbed.left["database"]
    ends_as(DESTROY, undisturbed.left)


def test_ctrl_c_says_what_is_left_and_the_same_command_goes_on(
    proxy: Proxy, undisturbed: Undisturbed, ends_as: EndsAs
) -> None:
    victim = Victim(*APPLY)
    proxy.rule = from_change(moment(3, MOMENTS, undisturbed.making), None, then=victim.interrupt)
    code, said = victim.ended()

    assert code == 130, said
    assert "error: interrupted; left: " in said
    assert "hint: the same command goes on from here" in said
    assert "Traceback" not in said
    proxy.settle()
    proxy.forget()
    ends_as(APPLY, undisturbed.made)


def test_ctrl_c_before_anything_was_changed_is_told_in_one_line(proxy: Proxy) -> None:
    victim = Victim(*APPLY)
    proxy.rule = lambda request: victim.interrupt() if request.service == "sts" else None
    code, said = victim.ended()

    assert code == 130, said
    assert said.splitlines()[0].startswith("error: interrupted")
    assert "Traceback" not in said
    assert proxy.changing == []


def every_create_unanswered(request: Request) -> Fate | None:
    return Fate.UNANSWERED if request.action.startswith(CREATING) else None


def every_other_change_unanswered() -> Rule:
    seen = Counter[str]()

    def rule(request: Request) -> Fate | None:
        seen[str(request)] += request.changes
        return Fate.UNANSWERED if request.changes and seen[str(request)] % 2 else None

    return rule


@pytest.mark.parametrize(
    "rule",
    [
        pytest.param(every_create_unanswered, id="every create takes effect and loses its answer"),
        pytest.param(every_other_change_unanswered(), id="every other change loses its answer"),
        pytest.param(trouble(1, throttled=0.2, broken=0.1), id="a fifth is throttled, a tenth answered with HTTP 500"),
    ],
)
def test_trouble_on_the_way_changes_nothing_about_the_end(
    orderops: Orderops, proxy: Proxy, undisturbed: Undisturbed, look: Look, ends_as: EndsAs, rule: Rule
) -> None:
    proxy.rule = rule

    said = orderops(*APPLY)

    assert said.code == 0, said.err
    assert look() == undisturbed.made
    proxy.forget()
    ends_as(APPLY, undisturbed.made)


def test_an_unchanged_release_makes_no_call_that_changes_anything(proxy: Proxy) -> None:
    site = Site(load_environment("dev", ENVIRONMENTS), Aws("ap-southeast-2", endpoint_url=proxy.url))
    first = Apply(site, {"order-processor": IMAGE})
    assert {step.action for step in [*first.infra(), *first.release()]} == {Action.CREATE}
    proxy.forget()

    again = Apply(site, {"order-processor": IMAGE})

    assert {step.action for step in [*again.infra(), *again.release()]} == {Action.NO_OP}
    assert proxy.changing == []
    assert len(proxy.requests) < 80


def test_a_plan_that_waits_says_what_for(proxy: Proxy) -> None:
    planning = Victim(*APPLY)
    aborted = Refusal("OperationAborted", "someone else is at it", 409)
    proxy.rule = lambda request: aborted if request.service == "monitoring" else None

    assert planning.says("AWS to be less busy (OperationAborted)")

    planning.interrupt()
    code, said = planning.ended()
    assert code == 130
    assert "Traceback" not in said
    assert proxy.changing == []
