"""The one sentence: what a migration does to those who use the database meanwhile."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from orderops.rehearsal.recorder import MODES
from orderops.rehearsal.report import BrokenQuery, HeldLock, Impact, MigrationReport, Stall, Verdict
from orderops.rehearsal.workload import QueryGroup

UNNOTICED = 0.05
"""Seconds that nobody minds, beyond what the slowest call takes in calm."""
BUSY = 0.25
"""The same for a wait that is for no lock: the machine was busy, perhaps with something else."""
PARTLY = 0.5
"""Reads that were held up for less than this part of the time that writes were, are not stopped with them."""
LONGER = 1.5
"""Times as long is worth another word."""
FEW = 2


@dataclass(frozen=True)
class Evaluator:
    """What went on, and how that fares in calm."""

    families: Sequence[QueryGroup]
    calm: Mapping[str, float]
    """The slowest call of each family while nothing was done."""

    def counts(self, stall: Stall) -> bool:
        """Whether somebody notices."""
        return stall.seconds > self.calm.get(stall.family, 0.0) + (UNNOTICED if stall.for_lock else BUSY)

    def of(self, stalls: Iterable[Stall], broken: Sequence[BrokenQuery] = (), *, where: str = "") -> Verdict:
        """The verdict on what these families waited; `where` is said behind it."""
        every = list(stalls)
        longest: dict[str, float] = {}
        for stall in filter(self.counts, every):
            longest[stall.family] = max(stall.seconds, longest.get(stall.family, 0.0))
        held_up = self._held_up(longest, where) if longest else None
        if broken:
            named = ", ".join(f"{each.query!r} ({each.error})" for each in broken[:FEW])
            more = f" and {len(broken) - FEW} more" if len(broken) > FEW else ""
            also = f"; and {held_up.sentence}" if held_up else ""
            sentence = f"BREAKS {named}{more}{also}"
            return Verdict(Impact.BREAKS, sentence, held_up.seconds if held_up else 0.0)
        if held_up:
            return held_up
        unnoticed = [each.seconds for each in every if each.for_lock]
        most = max([UNNOTICED, *unnoticed])
        return Verdict(Impact.SAFE, f"SAFE: nobody waits more than {math.ceil(100 * most) * 10} ms", most)

    def _held_up(self, longest: Mapping[str, float], where: str) -> Verdict:
        seconds = max(longest.values())
        least = PARTLY * seconds
        stopped = [group for group in self.families if longest.get(group.name, 0.0) >= least]
        kinds = _by_table(stopped)
        both = [table for table, verbs in kinds.items() if len(verbs) > 1]
        tail = f"for {span(seconds)}{where}"
        if len(stopped) == len(self.families) and len(_kinds(self.families)) > 1:
            return Verdict(Impact.STOPS, f"STOPS everything {tail}", seconds)
        if both:
            others = [kind for kind in kinds if kind not in both]
            more = f", and {_named(kinds, others)}" if others else ""
            return Verdict(Impact.STOPS, f"STOPS reads and writes of {_listed(both)}{more} {tail}", seconds)
        return Verdict(Impact.BLOCKS, f"BLOCKS {_named(kinds, list(kinds))} {tail}", seconds)


def failing(why: str) -> Verdict:
    """The verdict on what does not get to its end."""
    return Verdict(Impact.FAILS, f"FAILS: {why.splitlines()[0] if why else 'nobody knows why'}")


def unseen(locks: Iterable[HeldLock]) -> Verdict | None:
    """The verdict on locks beside which nobody asked; None where nobody could have waited for long."""
    long = [lock for lock in locks if lock.seconds >= UNNOTICED]
    if not long:
        return None
    seconds = max(each.seconds for each in long)
    what = "query" if any(each.mode == MODES[-1] for each in long) else "write"
    named = _listed(sorted({each.relation for each in long}))
    return Verdict(Impact.UNSEEN, f"UNSEEN: no {what} went on {named}, which it locks for {span(seconds)}", seconds)


def worse(plain: Verdict, behind: Verdict) -> Verdict:
    """The one that weighs more; where both say the same, the plain one."""
    if behind.impact.badness == plain.impact.badness:
        return behind if behind.seconds > LONGER * plain.seconds else plain
    return behind if behind.impact.badness > plain.impact.badness else plain


def overall(migrations: Sequence[MigrationReport]) -> Verdict:
    """The verdict on all: that on the worst, with its name where there is more than one."""
    worst = max(migrations, key=lambda each: (each.verdict.impact.badness, each.verdict.seconds))
    if len(migrations) == 1 or worst.verdict.impact is Impact.SAFE:
        return worst.verdict
    return Verdict(worst.verdict.impact, f"{worst.verdict.sentence} ({worst.file})", worst.verdict.seconds)


def span(seconds: float) -> str:
    """A time as an operator reads it."""
    if seconds < 1:
        return f"{max(10, round(seconds * 100) * 10)} ms"
    return f"{seconds:.1f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def _by_table(families: Iterable[QueryGroup]) -> dict[str, set[str]]:
    """What of each table is stopped."""
    kinds: dict[str, set[str]] = {}
    for group in families:
        for table in group.names:
            kinds.setdefault(table, set()).add(group.query.kind)
    return kinds


def _kinds(families: Iterable[QueryGroup]) -> Collection[str]:
    return {group.query.kind for group in families}


def _named(kinds: Mapping[str, Collection[str]], tables: Sequence[str]) -> str:
    """As `writes to orders, users`."""
    told = []
    for kind, word in (("reads", "reads of"), ("writes", "writes to")):
        of_kind = [table for table in tables if kind in kinds[table]]
        told += [f"{word} {_listed(of_kind)}"] if of_kind else []
    return " and ".join(told)


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
