"""The limiter lets so many in at once, and so many in a time; the others wait. Its clock is the test's own."""

from __future__ import annotations

import threading

import pytest

from kvadmin.gateway.limits import LONGEST_HOLD, Limiter


class Clock:
    """Time that passes only while somebody sleeps."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


def limiter(clock: Clock, at_once: int = 5, calls: int = 3) -> Limiter:
    return Limiter(at_once, calls, 30.0, clock=clock, sleep=clock.sleep)


def test_as_many_as_are_allowed_wait_for_nothing_and_the_next_waits_for_the_first_to_be_forgotten(clock: Clock) -> None:
    limit = limiter(clock)
    for pause in (0, 10, 10, 0):
        clock.now += pause
        with limit.turn():
            pass

    assert clock.slept == [10.0]  # 30 s after the first one, which was 20 s ago


def test_a_call_that_fails_counts_and_gives_its_place_back(clock: Clock) -> None:
    limit = limiter(clock, at_once=1)
    for _ in range(2):
        with pytest.raises(ValueError, match="broken"), limit.turn():
            raise ValueError("broken")
    with limit.turn():
        pass

    with limit.turn():
        assert clock.slept == [30.0]


def test_nobody_is_let_in_while_the_service_wants_a_rest(clock: Clock) -> None:
    limit = limiter(clock)
    limit.hold(7)
    limit.hold(3)
    with limit.turn():
        assert clock.slept == [7.0]


def test_a_rest_without_an_end_has_one(clock: Clock) -> None:
    limit = limiter(clock)
    limit.hold(86_400)
    with limit.turn():
        assert clock.slept == [LONGEST_HOLD]


def test_no_more_than_the_places_are_inside_at_once() -> None:
    limit, lock, inside, most = Limiter(2, 1000, 30.0), threading.Lock(), [0], [0]
    gate = threading.Barrier(6)

    def work() -> None:
        gate.wait()
        for _ in range(20):
            with limit.turn():
                with lock:
                    inside[0] += 1
                    most[0] = max(most[0], inside[0])
                with lock:
                    inside[0] -= 1

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 1 <= most[0] <= 2
    assert inside == [0]
