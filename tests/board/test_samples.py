"""Samples of the health: one document a day, written by several at once, and kept for 90 days."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

from orderops.aws.client import Aws
from orderops.aws.documents import BrokenDocument, Bucket
from orderops.board.samples import HealthSample, delete_older, keep_sample, kept_samples

NOON = datetime(2026, 11, 29, 12, 0, tzinfo=UTC)
WELL = HealthSample(NOON, "healthy", {"orders": "ok", "pages": "ok"}, {"database": "ok", "balancer": "ok"})
FOLDER = "dev/board/samples"


@pytest.fixture
def bucket(aws: Aws) -> Bucket:
    return Bucket(aws)


def at(minutes: float, sample: HealthSample = WELL) -> HealthSample:
    return replace(sample, at=NOON + timedelta(minutes=minutes))


def test_a_sample_is_read_as_it_was_written(bucket: Bucket) -> None:
    down = HealthSample(
        NOON + timedelta(minutes=5),
        "down",
        {"orders": "delayed", "pages": "down"},
        {"database": "down", "balancer": "degraded", "queue orders": "starting", "alarms": "unknown"},
    )
    keep_sample(bucket, "dev", WELL)
    keep_sample(bucket, "dev", down)

    assert kept_samples(bucket, "dev", NOON + timedelta(hours=1)).samples == (WELL, down)


def test_a_day_is_one_small_document(bucket: Bucket) -> None:
    for minute in range(0, 60, 5):
        keep_sample(bucket, "dev", at(minute))

    [key] = bucket.keys(f"{FOLDER}/")
    document = bucket.read(key)

    assert key == f"{FOLDER}/2026-11-29.json"
    assert document is not None
    assert document.value["samples"][0] == "12:00:00 h oo oo"
    # A day of samples every five minutes, with ten components.
    assert 288 * (len("12:00:00 h oo oo") + 8 + 4) < 10_000


def test_samples_of_writers_at_the_same_time_are_all_kept(bucket: Bucket) -> None:
    keep_sample(bucket, "dev", at(-5))
    samples = [at(2 * number) for number in range(6)]
    threads = [threading.Thread(target=keep_sample, args=(bucket, "dev", sample)) for sample in samples]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert kept_samples(bucket, "dev", NOON + timedelta(hours=1)).samples == (at(-5), *samples)


def test_a_sample_that_says_nothing_new_within_a_minute_is_not_kept(bucket: Bucket) -> None:
    changed = replace(WELL, verdict="degraded")
    for sample in (at(0), at(0.5), at(0.7, changed), at(1.0)):
        keep_sample(bucket, "dev", sample)

    kept = kept_samples(bucket, "dev", NOON + timedelta(hours=1)).samples

    assert [sample.at - NOON for sample in kept] == [timedelta(minutes=minutes) for minutes in (0, 0.7, 1.0)]


def test_a_component_that_appears_later_is_not_seen_before(bucket: Bucket) -> None:
    more = replace(WELL, components={**WELL.components, "queue orders": "ok"})
    keep_sample(bucket, "dev", at(0))
    keep_sample(bucket, "dev", at(5, more))

    first, second = kept_samples(bucket, "dev", NOON + timedelta(hours=1)).samples

    assert (set(second.components) - set(first.components), first.components) == ({"queue orders"}, WELL.components)


def test_days_older_than_90_are_deleted(bucket: Bucket) -> None:
    days = [date(2026, 8, 31), date(2026, 9, 1), date(2026, 11, 28)]
    for day in days:
        document = {"form": 1, "day": day.isoformat(), "components": [], "samples": ["12:00:00 h oo "]}
        bucket.put(f"{FOLDER}/{day}.json", document)

    assert keep_sample(bucket, "dev", WELL)
    assert not keep_sample(bucket, "dev", at(5))
    delete_older(bucket, "dev", NOON.date())

    left = [f"{FOLDER}/{day}.json" for day in ("2026-09-01", "2026-11-28", "2026-11-29")]
    assert bucket.keys(f"{FOLDER}/") == left
    assert len(kept_samples(bucket, "dev", NOON + timedelta(hours=1)).samples) == 4


@pytest.mark.parametrize(
    "content",
    [
        {"day": "2026-11-28", "components": ["database"], "samples": ["no sample"]},
        {"day": "2026-11-28", "components": ["database"], "samples": ["12:00:00 h oo oo"]},
        {"day": "yesterday", "components": [], "samples": ["12:00:00 h oo "]},
        {"day": "2026-11-28", "samples": "12:00:00 h oo o"},
        {"form": 2, "day": "2026-11-28", "components": [], "samples": []},
    ],
)
def test_a_broken_day_is_named_and_hides_no_other(bucket: Bucket, content: dict[str, object]) -> None:
    bucket.put(f"{FOLDER}/2026-11-28.json", content)
    keep_sample(bucket, "dev", WELL)

    kept = kept_samples(bucket, "dev", NOON + timedelta(hours=1))

    assert kept.samples == (WELL,)
    [broken] = kept.unreadable
    assert "2026-11-28.json" in broken.message


def test_a_broken_document_of_today_is_not_written_over(bucket: Bucket) -> None:
    bucket.put(f"{FOLDER}/2026-11-29.json", {"by": "hand"})

    with pytest.raises(BrokenDocument):
        keep_sample(bucket, "dev", WELL)

    document = bucket.read(f"{FOLDER}/2026-11-29.json")
    assert document and document.value == {"by": "hand"}


def test_days_that_are_over_are_read_once(bucket: Bucket) -> None:
    early = replace(WELL, at=NOON - timedelta(days=5))
    keep_sample(bucket, "dev", early)
    keep_sample(bucket, "dev", WELL)
    known: dict[str, tuple[HealthSample, ...]] = {}
    kept_samples(bucket, "dev", NOON, known)
    keep_sample(bucket, "dev", replace(early, at=early.at + timedelta(hours=1)))
    keep_sample(bucket, "dev", at(5))

    again = kept_samples(bucket, "dev", NOON + timedelta(hours=1), known).samples

    assert again == (early, WELL, at(5))
