"""Samples of the health: one document a day, written by several at once, and kept for 90 days."""

from __future__ import annotations

import threading
from datetime import UTC, date, datetime, timedelta

import pytest

from orderops.aws.client import Aws
from orderops.aws.documents import BrokenDocument, Bucket
from orderops.board.samples import HealthSample, keep_sample, kept_samples, key_of
from orderops.frozen import replace

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

    assert document is not None
    assert document.value["day"] == "2026-11-29"
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


def test_what_is_older_than_90_days_is_not_read_and_then_replaced(bucket: Bucket) -> None:
    # 31 August is 90 days before 29 November, and 30 August is 91 days before it.
    for month, day in ((8, 30), (8, 31), (9, 1), (11, 28)):
        keep_sample(bucket, "dev", replace(WELL, at=datetime(2026, month, day, 12, tzinfo=UTC)))
    assert len(bucket.keys(f"{FOLDER}/")) == 4

    before = kept_samples(bucket, "dev", NOON).samples
    keep_sample(bucket, "dev", WELL)
    after = kept_samples(bucket, "dev", NOON).samples

    assert [f"{sample.at:%m-%d}" for sample in before] == ["09-01", "11-28"]
    assert [f"{sample.at:%m-%d}" for sample in after] == ["09-01", "11-28", "11-29"]
    assert len(bucket.keys(f"{FOLDER}/")) == 4


def test_a_year_of_samples_is_at_most_91_documents(bucket: Bucket) -> None:
    keys = {key_of("dev", NOON.date() + timedelta(days=day)) for day in range(365)}

    assert len(keys) == 91
    assert all(key.startswith(f"{FOLDER}/") for key in keys)


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
    yesterday = key_of("dev", NOON.date() - timedelta(days=1))
    bucket.put(yesterday, content)
    keep_sample(bucket, "dev", WELL)

    kept = kept_samples(bucket, "dev", NOON + timedelta(hours=1))

    assert kept.samples == (WELL,)
    [broken] = kept.unreadable
    assert yesterday in broken.message


def test_a_broken_document_of_today_is_not_written_over(bucket: Bucket) -> None:
    key = key_of("dev", NOON.date())
    bucket.put(key, {"by": "hand"})

    with pytest.raises(BrokenDocument):
        keep_sample(bucket, "dev", WELL)

    document = bucket.read(key)
    assert document and document.value == {"by": "hand"}


def test_days_that_are_over_are_read_once(bucket: Bucket) -> None:
    early = replace(WELL, at=NOON - timedelta(days=5))
    keep_sample(bucket, "dev", early)
    keep_sample(bucket, "dev", WELL)
    known: dict[date, tuple[HealthSample, ...]] = {}
    kept_samples(bucket, "dev", NOON, known)
    keep_sample(bucket, "dev", replace(early, at=early.at + timedelta(hours=1)))
    keep_sample(bucket, "dev", at(5))

    again = kept_samples(bucket, "dev", NOON + timedelta(hours=1), known).samples

    assert again == (early, WELL, at(5))
