"""Proof of resilience: disturb a workflow once, repeat its command until it succeeds, and compare the result.

`undisturbed` records what a workflow leaves and which requests it sends; `tried` disturbs it once, repeats the
command, and reports differences. benchmarks/prove.py tries every request, the test suite a sample.
"""

from __future__ import annotations

import random
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import chain
from pathlib import Path
from typing import Any

import boto3

from support.account_snapshot import AccountSnapshot, take_snapshot
from support.faulty_proxy import Fate, FaultRule, Proxy, SeenRequest, trouble
from support.killable_process import Victim
from support.repository import ENVIRONMENTS

FIRST, SECOND = (f"registry.example.com/order-processor@sha256:{letter * 64}" for letter in "ab")
TEN_CHANGES = {
    "backup_days = 7": "backup_days = 14",
    "storage_gb = 20": "storage_gb = 30",
    "flow_log_days = 7": "flow_log_days = 14",
    "max_tasks = 5": "max_tasks = 6",
    "log_days = 7": "log_days = 14",
    "visibility_timeout = 30": "visibility_timeout = 45",
    "cpu_percent = 90": "cpu_percent = 80",
    "memory_percent = 90": "memory_percent = 85",
    "queue_depth = 1000": "queue_depth = 500",
    "dead_letters = 0": "dead_letters = 5",
}
REPLICA = "orderops-dev-database-replica-1"
NOW = "{now}"
"""Placeholder in a workflow's arguments: the whole second at which its initial state was complete."""
LATER = 60.0
"""Seconds after which the lease of a killed holder is free."""
GONE_WITHIN = 3.0
"""Seconds, more than a deleted queue is listed for."""


@dataclass(frozen=True)
class Workflow:
    """Command, and the commands that create its initial state."""

    name: str
    argv: Sequence[str]
    before: Sequence[Sequence[str]] = ()
    writes: Path | None = None
    """Environment file that the command changes."""
    zone: str = ""
    """Hosted zone that the account has from the start."""


@dataclass(frozen=True)
class Undisturbed:
    """Initial state of a workflow, its result without disturbance, and its changing requests."""

    begin: bytes
    left: AccountSnapshot
    calls: Sequence[str]
    now: str
    texts: tuple[str, str] = ("", "")
    """What the environment file has before and after."""


@dataclass(frozen=True)
class Verdict:
    """Result of a disturbed workflow."""

    workflow: str
    disturbance: str
    reached: bool
    doubled: Sequence[str] = ()
    orphaned: Sequence[str] = ()
    differs: str = ""

    @property
    def right(self) -> bool:
        """True when the result equals the undisturbed one."""
        return not (self.doubled or self.orphaned or self.differs)


def workflows(folder: Path) -> dict[str, Workflow]:
    """Return the commands that change an environment or its instances; `folder` receives a changed environment file."""
    shutil.copytree(ENVIRONMENTS, folder, dirs_exist_ok=True)
    file = folder / "dev.toml"
    text = file.read_text()
    for old, new in TEN_CHANGES.items():
        assert text.count(old) >= 1, old
        text = text.replace(old, new, 1)
    file.write_text(text)
    moved = ("--env", "dev", "--environments", str(_with_other_ports(folder / "ports")), "--yes")
    dev = ("--env", "dev", "--environments", str(ENVIRONMENTS), "--yes")
    changed = ("--env", "dev", "--environments", str(folder), "--yes")
    up = ("up", *dev, "--image", FIRST)
    deploy = ("service", "deploy", *dev, "--image", SECOND)
    banded = ("--env", "dev", "--environments", str(_with_bands(folder / "bands")), "--yes")
    bands = ("infra", "apply", *banded)
    own, replicated = (_with_replicas(folder / f"replicas-{count}", count) for count in (0, 1))
    own_up, replicate = ("up", *own, "--image", FIRST), ("infra", "apply", *replicated)
    guarded, blocking = (_with_a_firewall(folder / f"firewall-{mode}", mode) for mode in ("count", "block"))
    guard = ("infra", "apply", *guarded)
    both, alone = (("up", *_with_api(folder / f"api-{to}", to), "--image", FIRST) for to in ("both", "internal"))
    rest = ("up", *_with_a_rest_api(folder / "rest-api"), "--image", FIRST)
    on_rest, behind_rest = (
        ("up", *_with_a_rest_api(folder / f"rest-waf-{on}", waf=on), "--image", FIRST) for on in (True, False)
    )
    named = ("up", "--env", "dev", "--environments", str(_with_a_name(folder / "https")), "--yes", "--image", FIRST)
    named_api = ("up", *_with_a_name_of_an_api(folder / "api-name"), "--image", FIRST)
    restore = ("restore", "--at", NOW, *dev)
    promote = ("restore", "promote", *dev)
    former = ("orderops-dev-database", *dev[:-1])
    return {
        "scale": _of_the_class(folder / "scale"),
        "upgrade": _of_the_version("upgrade", folder / "upgrade"),
        "switchover": _of_the_version("switchover", folder / "switchover", "--blue-green"),
        "abandon": _of_the_version("abandon", folder / "abandon", "--blue-green", "--abandon"),
        "up": Workflow("up", up),
        "apply": Workflow("apply", ("infra", "apply", *changed), [up]),
        "deploy": Workflow("deploy", deploy, [up]),
        "blue-green": _by_strategy("blue-green", folder / "blue-green"),
        "canary": _by_strategy("canary", folder / "canary"),
        "rollback": Workflow("rollback", ("service", "rollback", *dev), [up, deploy]),
        "ports": Workflow("ports", ("up", *moved, "--image", FIRST, "--prune"), [up]),
        "api": Workflow("api", both, [up]),
        "api alone": Workflow("api alone", (*alone, "--prune"), [up, both]),
        "api off": Workflow("api off", (*up, "--prune"), [up, both]),
        "rest": Workflow("rest", rest, [up]),
        "rest off": Workflow("rest off", (*up, "--prune"), [up, rest]),
        "rest waf": Workflow("rest waf", on_rest, [up]),
        "rest waf moved": Workflow("rest waf moved", (*on_rest, "--prune"), [up, behind_rest]),
        "rest waf off": Workflow("rest waf off", (*rest, "--prune"), [up, on_rest]),
        "api name": Workflow("api name", named_api, [up], zone="example.com"),
        "api name moved": Workflow("api name moved", named_api, [up, named], zone="example.com"),
        "api name off": Workflow("api name off", (*up, "--prune"), [up, named_api], zone="example.com"),
        "bands": Workflow("bands", bands, [up]),
        "bands off": Workflow("bands off", ("infra", "apply", *dev, "--prune"), [up, bands]),
        "https": Workflow("https", named, [up], zone="example.com"),
        "https off": Workflow("https off", (*up, "--prune"), [up, named], zone="example.com"),
        "replicas": Workflow("replicas", replicate, [own_up]),
        "replicas off": Workflow("replicas off", ("infra", "apply", *own, "--prune"), [own_up, replicate]),
        "waf": Workflow("waf", guard, [up]),
        "waf change": Workflow("waf change", ("infra", "apply", *blocking, "--prune"), [up, guard]),
        "waf off": Workflow("waf off", ("infra", "apply", *dev, "--prune"), [up, guard]),
        "promote replica": Workflow(
            "promote replica",
            ("restore", "promote", REPLICA, *replicated),
            [own_up, replicate],
        ),
        "down": Workflow("down", ("down", *dev, "--confirm", "orderops-dev-database"), [up]),
        "destroy": Workflow("destroy", ("service", "destroy", "order-processor", *dev), [up]),
        "restore": Workflow("restore", restore, [up]),
        "promote": Workflow("promote", promote, [up, restore]),
        "back": Workflow("back", ("restore", "back", *dev), [up, restore, promote]),
        "discard": Workflow("discard", ("restore", "discard", *former, "--confirm", former[0]), [up, restore, promote]),
    }


def _by_strategy(strategy: str, folder: Path) -> Workflow:
    """A release of dev by this strategy."""
    shutil.copytree(ENVIRONMENTS, folder)
    file, service = folder / "dev.toml", "[services.order-processor]\n"
    text = file.read_text()
    assert text.count(service) == 1
    file.write_text(text.replace(service, f'{service}strategy = "{strategy}"\n'))
    where = ("--env", "dev", "--environments", str(folder), "--yes")
    return Workflow(strategy, ("service", "deploy", *where, "--image", SECOND), [("up", *where, "--image", FIRST)])


def _of_the_class(folder: Path) -> Workflow:
    """Another class for the database of dev, which the command writes into its file."""
    shutil.copytree(ENVIRONMENTS, folder)
    where = ("--env", "dev", "--environments", str(folder), "--yes")
    up = ("up", *where, "--image", FIRST)
    return Workflow("scale", ("database", "scale", "--class", "db.t3.small", *where), [up], folder / "dev.toml")


def _of_the_version(name: str, folder: Path, *how: str) -> Workflow:
    """Another version for the database of dev, in place or by a green instance; or that instance given up."""
    shutil.copytree(ENVIRONMENTS, folder)
    file, table = folder / "dev.toml", "[database]\n"
    text = file.read_text()
    assert text.count(table) == 1
    assert text.count('access = "task"') == 1
    # Nothing answers at the address of an emulated instance, which a task would take longer to find out.
    text = text.replace('access = "task"', 'access = "direct"')
    file.write_text(text.replace(table, f'{table}master = "own"\nlogical_replication = true\n'))
    where = ("--env", "dev", "--environments", str(folder), "--yes")
    upgrade = ("database", "upgrade", "--to", "17", *where)
    green = [(*upgrade, "--blue-green", "--no-switch")] if "--abandon" in how else []
    return Workflow(name, (*upgrade, *how), [("up", *where, "--image", FIRST), *green], file)


def _with_other_ports(folder: Path) -> Path:
    """Copy the environments; in dev, clients and tasks move to other ports."""
    shutil.copytree(ENVIRONMENTS, folder)
    file = folder / "dev.toml"
    text = file.read_text()
    service = "[services.order-processor]\n"
    assert text.count(service) == 1
    assert "[balancer]" not in text
    file.write_text(text.replace(service, f"{service}port = 9090\n") + "\n[balancer]\nport = 8080\n")
    return folder


def _with_bands(folder: Path) -> Path:
    """Copy the environments; dev also watches for what is unusual."""
    shutil.copytree(ENVIRONMENTS, folder)
    file = folder / "dev.toml"
    text = file.read_text()
    assert "[alerts]" not in text
    file.write_text(f"{text}\n[alerts]\nanomaly_detection = true\n")
    return folder


def _with_a_firewall(folder: Path, mode: str) -> tuple[str, ...]:
    """Copy the environments; dev has a web ACL in this mode, with ranges that differ between the modes."""
    shutil.copytree(ENVIRONMENTS, folder)
    file = folder / "dev.toml"
    ranges = {"count": '"203.0.113.0/24", "2001:db8::/32"', "block": '"198.51.100.0/24"'}[mode]
    file.write_text(f'{file.read_text()}\n[waf]\nenabled = true\nmode = "{mode}"\nblocked_cidrs = [{ranges}]\n')
    return ("--env", "dev", "--environments", str(folder), "--yes")


def _with_a_name(folder: Path) -> Path:
    """Copy the environments; dev is served by HTTPS under a name."""
    shutil.copytree(ENVIRONMENTS, folder)
    file = folder / "dev.toml"
    file.write_text(f'{file.read_text()}\n[domain]\nname = "orders.example.com"\nzone = "example.com"\n')
    return folder


def _with_replicas(folder: Path, count: int) -> tuple[str, ...]:
    """Copy the environments; dev keeps the master password itself, and has so many read replicas."""
    shutil.copytree(ENVIRONMENTS, folder)
    file, table = folder / "dev.toml", "[database]\n"
    text = file.read_text()
    assert text.count(table) == 1
    file.write_text(text.replace(table, f'{table}master = "own"\nreplicas = {count}\n'))
    return ("--env", "dev", "--environments", str(folder), "--yes")


def _with_api(folder: Path, balancer: str) -> tuple[str, ...]:
    """Copy the environments; dev has an API with tokens, and behind it this load balancer."""
    shutil.copytree(ENVIRONMENTS, folder)
    file = folder / "dev.toml"
    table = f'type = "http"\nbalancer = "{balancer}"\nauthorization = "jwt"\n'
    jwt = 'issuer = "https://login.example.com/"\naudience = ["orders"]\n'
    limits = "requests_per_second = 5\nburst = 10\n"
    file.write_text(f'{file.read_text()}\n[api]\n{table}[api.jwt]\n{jwt}[api.routes."POST /orders"]\n{limits}')
    return ("--env", "dev", "--environments", str(folder), "--yes")


def _with_a_name_of_an_api(folder: Path) -> tuple[str, ...]:
    """Copy the environments; dev has an HTTP API beside its public load balancer, to which the name leads."""
    file = _with_a_name(folder) / "dev.toml"
    file.write_text(f'{file.read_text()}\n[api]\ntype = "http"\nbalancer = "both"\n')
    return ("--env", "dev", "--environments", str(folder), "--yes")


def _with_a_rest_api(folder: Path, *, waf: bool | None = None) -> tuple[str, ...]:
    """Copy the environments; dev has a REST API beside its public load balancer, with keys, a plan and validation.

    With `waf`, there is a web ACL, on the API or not.
    """
    shutil.copytree(ENVIRONMENTS, folder)
    file = folder / "dev.toml"
    table = 'balancer = "both"\napi_keys = true\nvalidate_requests = true\n[api.plan]\nquota = 1000\n'
    firewall = "" if waf is None else f"[waf]\nenabled = true\n[api]\nwaf = {str(waf).lower()}\n"
    file.write_text(f"{file.read_text()}\n{firewall or '[api]'}\n{table}")
    return ("--env", "dev", "--environments", str(folder), "--yes")


class Proof:
    """Tries workflows on one emulated account."""

    def __init__(self, proxy: Proxy, logs: Path) -> None:
        self.proxy = proxy
        self._environ = {
            "AWS_ENDPOINT_URL": proxy.url,
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "AWS_EC2_METADATA_DISABLED": "true",
            "ORDEROPS_LOG_DIRECTORY": str(logs),
            "ORDEROPS_BAKE": "0",
        }
        self._clients: dict[str, Any] = {}
        self._known: dict[str, Undisturbed] = {}
        self._now = ""

    def undisturbed(self, workflow: Workflow) -> Undisturbed:
        """Return the undisturbed run of a workflow, recorded once."""
        if workflow.name not in self._known:
            self.proxy.reset()
            self._now = ""
            if workflow.zone:
                self.client("route53").create_hosted_zone(Name=workflow.zone, CallerReference=workflow.name)
            for argv in workflow.before:
                self._in_peace(argv)
                if NOW in " ".join((*workflow.argv, *chain(*workflow.before))):
                    self._await_backup()
            begin, text = self.proxy.keep(), _text(workflow)
            self.proxy.forget()
            self._in_peace(workflow.argv)
            calls = list(self.proxy.changing)
            texts = text, _text(workflow)
            self._known[workflow.name] = Undisturbed(begin, self._look(), calls, self._now, texts)
        return self._known[workflow.name]

    def tried(self, workflow: Workflow, name: str, disturb: Callable[[Proof, Workflow], bool]) -> Verdict:
        """Restore the initial state, disturb the command, then run it twice without disturbance."""
        undisturbed = self.undisturbed(workflow)
        self.proxy.bring_back(undisturbed.begin)
        self._now = undisturbed.now
        if workflow.writes:
            workflow.writes.write_text(undisturbed.texts[0])
        reached = True
        try:
            reached = disturb(self, workflow)
            self.proxy.settle()
            self.proxy.lag, self.proxy.latency = 0.0, 0.0
            self.proxy.later(LATER)
            self.proxy.forget()
            self._in_peace(workflow.argv)
            result = self._look_without_gone(undisturbed.left)
            self.proxy.forget()
            self._in_peace(workflow.argv)
        except AssertionError as error:
            return Verdict(workflow.name, name, reached, differs=str(error))
        more = [item for kind in result for item in _more(kind, result, undisturbed.left)]
        doubled = [
            item for item in more if item.partition(": ")[2] in undisturbed.left.get(item.partition(": ")[0], ())
        ]
        orphaned = [item for item in more if item not in doubled]
        missing = [item for kind in undisturbed.left for item in _more(kind, undisturbed.left, result)]
        repeated = f"once more, it changed: {', '.join(self.proxy.changing)}" if self.proxy.changing else ""
        file = "" if _text(workflow) == undisturbed.texts[1] else f"{workflow.writes} has another text"
        differs = "; ".join(filter(None, [f"missing: {', '.join(missing)}" if missing else "", repeated, file]))
        return Verdict(workflow.name, name, reached, doubled, orphaned, differs)

    def begin(self, argv: Sequence[str]) -> Victim:
        """Start a run on this account in a process of its own."""
        return Victim(*(word.replace(NOW, self._now) for word in argv), **self._environ)

    def _await_backup(self) -> None:
        """Wait for a time to which the database can be restored, also after the account is brought back."""
        if not self._now:
            time.sleep(2.5)
            self._now = (datetime.now(UTC) - timedelta(seconds=1)).strftime("%Y-%m-%dT%H:%M:%SZ")

    def _in_peace(self, argv: Sequence[str]) -> None:
        run = self.begin(argv)
        code = run.ended()
        assert code == 0, f"{' '.join(argv[:2])} ended with {code}: {run.said[-2000:]}"

    def _look(self) -> AccountSnapshot:
        counted = list(self.proxy.requests)
        result = take_snapshot(self.client)
        self.proxy.requests[:] = counted
        return result

    def _look_without_gone(self, left: AccountSnapshot) -> AccountSnapshot:
        """Look until nothing is listed any more that is gone, such as a deleted queue; for some seconds at most."""
        deadline = time.monotonic() + GONE_WITHIN
        result = self._look()
        while any(_more(kind, result, left) for kind in result) and time.monotonic() < deadline:
            time.sleep(0.2)
            result = self._look()
        return result

    def client(self, service: str) -> Any:
        """Return a boto3 client of this account."""
        if service not in self._clients:
            session = boto3.Session("testing", "testing", region_name="ap-southeast-2")
            self._clients[service] = session.client(service, endpoint_url=self.proxy.url)
        return self._clients[service]


def _text(workflow: Workflow) -> str:
    return workflow.writes.read_text() if workflow.writes else ""


def crash_points(calls: Sequence[str]) -> Iterator[tuple[str, int, Fate]]:
    """Yield each changing request with its count, once cut before and once after it takes effect."""
    times = Counter[str]()
    for call in calls:
        times[call] += 1
        yield call, times[call], Fate.UNDONE
        yield call, times[call], Fate.UNANSWERED


def killed_at(action: str, nth: int, fate: Fate) -> Callable[[Proof, Workflow], bool]:
    """Return a disturbance that kills the process at the nth request of an action, and cuts it and concurrent ones."""

    def disturb(proof: Proof, workflow: Workflow) -> bool:
        seen = Counter[str]()
        dead: list[str] = []
        runs: list[Victim] = []

        def rule(request: SeenRequest) -> Fate | None:
            seen[str(request)] += request.changes
            if not dead and request.changes and str(request) == action and seen[action] == nth:
                dead.append(action)
                runs[0].kill()
            return fate if dead else None

        proof.proxy.rule = rule
        with proof.proxy.held():
            runs.append(proof.begin(workflow.argv))
        runs[0].ended()
        return bool(dead)

    return disturb


def disturbed_by(rule: FaultRule, *, lag: float = 0.0) -> Callable[[Proof, Workflow], bool]:
    """Return a disturbance that runs the command to its end under this rule."""

    def disturb(proof: Proof, workflow: Workflow) -> bool:
        proof.proxy.rule, proof.proxy.lag = rule, lag
        proof.begin(workflow.argv).ended()
        return True

    return disturb


def every_answer_lost() -> FaultRule:
    """Return a rule that drops the first response to every changing request after it takes effect."""
    seen = Counter[str]()

    def rule(request: SeenRequest) -> Fate | None:
        seen[str(request)] += request.changes
        return Fate.UNANSWERED if request.changes and seen[str(request)] % 2 else None

    return rule


def two_at_once(proof: Proof, workflow: Workflow) -> bool:
    """Run the same command twice at the same time."""
    both = [proof.begin(workflow.argv), proof.begin(workflow.argv)]
    codes = [item.ended() for item in both]
    assert codes == [0, 0], "\n".join(item.said[-1500:] for item in both)
    return True


def schedule(seed: int, calls: int) -> Callable[[Proof, Workflow], bool]:
    """Return a random mix of lost responses, throttling, errors, lagging reads, operators and kills."""
    dice = random.Random(seed)
    lost, throttled, broken = dice.choice([0, 0.05, 0.2]), dice.choice([0, 0.1, 0.2]), dice.choice([0, 0.05, 0.1])
    lag = dice.choice([0, 0, 2.0])
    operators = dice.choice([1, 2])
    kills = sorted(dice.randrange(1, calls + 1) for _ in range(operators)) if dice.random() < 0.7 else []

    def disturb(proof: Proof, workflow: Workflow) -> bool:
        going_wrong = trouble(seed, throttled=throttled, broken=broken, lost=lost)
        seen = Counter[str]()
        victims: list[Victim] = []
        left = list(kills)

        def rule(request: SeenRequest) -> Any:
            seen["changes"] += request.changes
            if left and seen["changes"] >= left[0]:
                left.pop(0)
                alive = [item for item in victims if item.alive]
                if alive:
                    dice.choice(alive).kill()
                    return dice.choice([Fate.UNDONE, Fate.UNANSWERED])
            return going_wrong(request)

        proof.proxy.rule, proof.proxy.lag = rule, lag
        with proof.proxy.held():
            victims.extend(proof.begin(workflow.argv) for _ in range(operators))
        for victim in victims:
            while victim.alive:
                victim.wait(2)
                if not any(item.alive for item in victims if item is not victim):
                    proof.proxy.later(LATER) if victim.said.count(" is held by ") else None
        return True

    return disturb


def _more(kind: str, here: AccountSnapshot, other: AccountSnapshot) -> list[str]:
    """Return what is in `here` but not in `there`, as `kind: name`."""
    more = Counter(here.get(kind, ())) - Counter(other.get(kind, ()))
    return [f"{kind}: {name}" for name in more.elements()]
