"""The verdict: one sentence about what a migration does to the clients of the database."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence

from orderops.frozen import Frozen
from orderops.rehearsal.recorder import MODES
from orderops.rehearsal.report import BrokenQuery, HeldLock, Impact, MigrationReport, Stall, Verdict
from orderops.rehearsal.workload import QueryGroup
from orderops.text.durations import measured
from orderops.text.lists import joined

# Seconds beyond the slowest query without a migration; users do not notice less.
NOTICED_FROM = 0.05
# The same for a wait without a lock: the machine was busy, perhaps with something else.
BUSY_NOTICED_FROM = 0.25
# Groups that waited for less than this share of the longest wait are not named with the ones that waited longest.
STOPPED_SHARE = 0.5
# A wait behind an open transaction is mentioned only if it is this many times as long as the plain one.
CLEARLY_LONGER = 1.5
MAX_BROKEN_QUERIES = 2


class Evaluator(Frozen):
    """Turns the waits of query groups into a verdict."""

    families: Sequence[QueryGroup]
    baseline: Mapping[str, float]
    """The slowest query of each group without a migration, in seconds."""

    def is_noticed(self, stall: Stall) -> bool:
        """Whether a client notices the wait."""
        return stall.seconds > self.baseline.get(stall.family, 0.0) + (
            NOTICED_FROM if stall.for_lock else BUSY_NOTICED_FROM
        )

    def verdict_on(self, stalls: Iterable[Stall], broken: Sequence[BrokenQuery] = (), *, where: str = "") -> Verdict:
        """The verdict on these waits and broken queries; `where` is appended to the sentence."""
        stalls = list(stalls)
        longest: dict[str, float] = {}
        for stall in filter(self.is_noticed, stalls):
            longest[stall.family] = max(stall.seconds, longest.get(stall.family, 0.0))
        held_up = self._held_up(longest, where) if longest else None
        if broken:
            names = joined([f"{query.query!r} ({query.error})" for query in broken], MAX_BROKEN_QUERIES)
            also = f"; {held_up.sentence}" if held_up else ""
            sentence = f"BREAKS {names}{also}"
            return Verdict(Impact.BREAKS, sentence, held_up.seconds if held_up else 0.0)
        if held_up:
            return held_up
        unnoticed = [stall.seconds for stall in stalls if stall.for_lock]
        most = max([NOTICED_FROM, *unnoticed])
        return Verdict(Impact.SAFE, f"SAFE: no query waits more than {math.ceil(100 * most) * 10} ms", most)

    def _held_up(self, longest: Mapping[str, float], where: str) -> Verdict:
        seconds = max(longest.values())
        least = STOPPED_SHARE * seconds
        stopped = [group for group in self.families if longest.get(group.name, 0.0) >= least]
        kinds = _by_table(stopped)
        both = [table for table, verbs in kinds.items() if len(verbs) > 1]
        tail = f"for {measured(seconds)}{where}"
        if len(stopped) == len(self.families) and len(_kinds(self.families)) > 1:
            return Verdict(Impact.STOPS, f"STOPS everything {tail}", seconds)
        if both:
            others = [kind for kind in kinds if kind not in both]
            more = f", and {_named(kinds, others)}" if others else ""
            return Verdict(Impact.STOPS, f"STOPS reads and writes of {joined(both)}{more} {tail}", seconds)
        return Verdict(Impact.BLOCKS, f"BLOCKS {_named(kinds, list(kinds))} {tail}", seconds)


def failed_verdict(why: str) -> Verdict:
    """The verdict on a migration that fails."""
    return Verdict(Impact.FAILS, f"FAILS: {why.splitlines()[0] if why else 'the reason is unknown'}")


def unseen_verdict(locks: Iterable[HeldLock]) -> Verdict | None:
    """The verdict on strong locks on tables without load; None if all were too short to notice."""
    long = [lock for lock in locks if lock.seconds >= NOTICED_FROM]
    if not long:
        return None
    seconds = max(lock.seconds for lock in long)
    what = "query" if any(lock.mode == MODES[-1] for lock in long) else "write"
    names = joined(sorted({lock.relation for lock in long}))
    return Verdict(Impact.UNSEEN, f"UNSEEN: no {what} ran on {names}, which it locks for {measured(seconds)}", seconds)


def worse_of(plain: Verdict, behind: Verdict) -> Verdict:
    """The worse verdict; of two alike the plain one, unless the other waits clearly longer."""
    if behind.impact.badness == plain.impact.badness:
        return behind if behind.seconds > CLEARLY_LONGER * plain.seconds else plain
    return behind if behind.impact.badness > plain.impact.badness else plain


def overall_verdict(migrations: Sequence[MigrationReport]) -> Verdict:
    """The worst verdict of all, with its file if there are several migrations."""
    worst = max(migrations, key=lambda report: (report.verdict.impact.badness, report.verdict.seconds))
    if len(migrations) == 1 or worst.verdict.impact is Impact.SAFE:
        return worst.verdict
    return Verdict(worst.verdict.impact, f"{worst.verdict.sentence} ({worst.file})", worst.verdict.seconds)


def _by_table(families: Iterable[QueryGroup]) -> dict[str, set[str]]:
    """For each table, whether reads, writes or both are stopped."""
    kinds: dict[str, set[str]] = {}
    for group in families:
        for table in group.names:
            kinds.setdefault(table, set()).add(group.query.kind)
    return kinds


def _kinds(families: Iterable[QueryGroup]) -> Collection[str]:
    return {group.query.kind for group in families}


def _named(kinds: Mapping[str, Collection[str]], tables: Sequence[str]) -> str:
    """Such as "writes to orders, users"."""
    parts = []
    for kind, word in (("reads", "reads of"), ("writes", "writes to")):
        of_kind = [table for table in tables if kind in kinds[table]]
        parts += [f"{word} {joined(of_kind)}"] if of_kind else []
    return " and ".join(parts)
