from __future__ import annotations

from collections.abc import Callable

import pytest

from orderops.service.circuit import Away, Circuit, Unavailable


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def circuit(clock: Clock) -> Circuit:
    return Circuit("database", failures_allowed=2, memory_seconds=2.0, clock=clock)


def failing(reason: str = "nobody there") -> Callable[[], None]:
    def work() -> None:
        raise Away(reason)

    return work


def never() -> None:
    raise AssertionError("was asked although it is known to be away")


def open_it(circuit: Circuit) -> None:
    for _ in range(2):
        with pytest.raises(Away):
            circuit.call(failing())


def test_a_closed_circuit_returns_the_result(circuit: Circuit) -> None:
    assert circuit.call(lambda: 7) == 7


def test_an_open_circuit_fails_with_the_reason_and_no_call(circuit: Circuit) -> None:
    open_it(circuit)

    with pytest.raises(Away, match="nobody there"):
        circuit.call(never)


def test_a_single_failure_does_not_open_the_circuit(circuit: Circuit) -> None:
    with pytest.raises(Away):
        circuit.call(failing())

    assert circuit.call(lambda: 7) == 7
    with pytest.raises(Away):
        circuit.call(failing())
    assert circuit.call(lambda: 7) == 7


def test_an_open_circuit_tries_again_soon(circuit: Circuit, clock: Clock) -> None:
    open_it(circuit)
    clock.now += 2.0

    assert circuit.call(lambda: 7) == 7
    assert circuit.call(lambda: 8) == 8


def test_one_caller_probes_for_all(circuit: Circuit, clock: Clock) -> None:
    open_it(circuit)
    clock.now += 2.0

    def work() -> str:
        with pytest.raises(Away, match="nobody there"):
            circuit.call(never)
        return "back"

    assert circuit.call(work) == "back"


def test_a_failed_probe_keeps_the_circuit_open(circuit: Circuit, clock: Clock) -> None:
    open_it(circuit)
    clock.now += 2.0
    with pytest.raises(Away, match="still starting"):
        circuit.call(failing("still starting"))
    clock.now += 1.9

    with pytest.raises(Away, match="still starting"):
        circuit.call(never)


def test_a_rejected_request_does_not_open_the_circuit(circuit: Circuit) -> None:
    def refuse() -> None:
        raise Unavailable("the table is missing")

    for _ in range(5):
        with pytest.raises(Unavailable, match="the table is missing"):
            circuit.call(refuse)

    assert circuit.call(lambda: 7) == 7


def test_a_probe_that_raises_lets_the_next_caller_probe(circuit: Circuit, clock: Clock) -> None:
    open_it(circuit)
    clock.now += 2.0
    with pytest.raises(ZeroDivisionError):
        circuit.call(lambda: 1 / 0)
    clock.now += 2.0

    assert circuit.call(lambda: 7) == 7
