"""Limits of requests."""

from __future__ import annotations

from orderops.local.apigateway.throttle import Throttle


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_so_many_at_once_and_then_so_many_a_second() -> None:
    clock = Clock()
    throttle = Throttle(clock)

    def admitted(count: int, route: str = "a") -> int:
        return sum(throttle.admits(route, 2.0, 3) for _ in range(count))

    assert admitted(5) == 3
    clock.now += 0.4
    assert admitted(2) == 0
    clock.now += 0.6
    assert admitted(5) == 2
    clock.now += 1000
    assert admitted(9) == 3
    assert admitted(9, "b") == 3


def test_a_route_without_limits_admits_all_and_one_with_a_burst_of_nothing_none() -> None:
    throttle = Throttle()

    assert all(throttle.admits("a", None, None) for _ in range(99))
    assert not throttle.admits("b", 100.0, 0)
