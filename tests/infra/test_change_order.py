"""A replica never takes fewer connections than its primary, whichever way the classes change."""

from __future__ import annotations

from itertools import product

from orderops.infra.change_order import ClassChange, in_order, too_small

SMALL, MEDIUM, LARGE = "db.t3.small", "db.t3.medium", "db.m6g.large"
PRIMARY, REPLICAS = "primary", ("one", "two")
# GiB: "Hardware specifications for DB instance classes" in the RDS user guide.
MEMORY = {SMALL: 2, MEDIUM: 4, LARGE: 8}


def test_replicas_grow_before_their_primary() -> None:
    changes = [ClassChange("one", SMALL, LARGE), ClassChange("two", SMALL, LARGE)]

    assert in_order(ClassChange("primary", SMALL, LARGE), changes) == ["one", "two", "primary"]


def test_replicas_shrink_after_their_primary() -> None:
    assert in_order(ClassChange("primary", LARGE, SMALL), [ClassChange("one", LARGE, SMALL)]) == ["primary", "one"]


def test_an_instance_that_keeps_its_class_is_left_alone() -> None:
    assert in_order(ClassChange("primary", SMALL, SMALL), [ClassChange("one", MEDIUM, MEDIUM)]) == []


def test_no_step_leaves_a_replica_smaller_than_its_primary() -> None:
    tried = 0
    for classes in product(MEMORY, repeat=6):
        now = dict(zip((PRIMARY, *REPLICAS), classes[:3], strict=True))
        then = dict(zip((PRIMARY, *REPLICAS), classes[3:], strict=True))
        if not (follow(now) and follow(then)):
            continue
        tried += 1
        changes = {name: ClassChange(name, now[name], then[name]) for name in now}
        for name in in_order(changes[PRIMARY], [changes[name] for name in REPLICAS]):
            now[name] = then[name]
            assert follow(now)
        assert now == then
    assert tried == 14 * 14


def follow(classes: dict[str, str]) -> bool:
    return all(MEMORY[classes[replica]] >= MEMORY[classes[PRIMARY]] for replica in REPLICAS)


def test_replicas_with_less_memory_than_a_class_are_named() -> None:
    assert too_small(MEDIUM, {"one": SMALL, "two": LARGE, "three": MEDIUM, "unknown": "db.z1d.large"}) == ["one"]
