"""The pace of calls to one vault: as fast as it lets us, whatever it allows, and no faster."""

from __future__ import annotations

from collections import deque

import pytest

from vaults.pace import CALLS, LONGEST_REST, Clock, Pace


class Time:
    """A clock that only pauses and calls move."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def pass_by(self, seconds: float) -> None:
        self.seconds += seconds


class Server:
    """Takes so many calls in any so many seconds, and does not count what it refuses."""

    def __init__(self, time: Time, calls: int, *, says_when: bool) -> None:
        self.time, self.calls, self.says_when = time, calls, says_when
        self.taken: deque[float] = deque()
        self.refusals = 0

    def takes(self) -> tuple[bool, float | None]:
        self.time.pass_by(0.01)  # a call's way there and back
        while self.taken and self.taken[0] <= self.time.seconds - 10:
            self.taken.popleft()
        if len(self.taken) < self.calls:
            self.taken.append(self.time.seconds)
            return True, None
        self.refusals += 1
        return False, self.taken[0] + 10 - self.time.seconds if self.says_when else None


def rate(server: Server, pace: Pace, calls: int) -> float:
    """Calls a second that the server took."""
    begun, taken = server.time.seconds, 0
    while taken < calls:
        server.time.pass_by(pace.pause())
        pace.began()
        let_through, retry_after = server.takes()
        taken += let_through
        pace.answered() if let_through else pace.refused(retry_after)
    return calls / (server.time.seconds - begun)


@pytest.fixture
def time() -> Time:
    return Time()


def pace_of(time: Time, most: int = CALLS) -> Pace:
    return Pace(most, clock=Clock(lambda: time.seconds, time.pass_by))


@pytest.mark.parametrize("allowed", [10, 100, 300])
@pytest.mark.parametrize("says_when", [True, False])
def test_nearly_all_that_a_vault_allows_is_used(time: Time, allowed: int, *, says_when: bool) -> None:
    server = Server(time, allowed, says_when=says_when)
    assert rate(server, pace_of(time), allowed * 20) >= 0.9 * allowed / 10


def test_a_window_that_begins_a_little_early_is_not_taken_for_a_smaller_allowance(time: Time) -> None:
    """Azure counted the last window's calls later than they were sent, so that it refuses this one's first."""
    pace = pace_of(time)
    for _ in range(31):
        pace.began()
    pace.refused(1)
    assert pace.most == 30
    time.pass_by(pace.pause() + pace.seconds)
    pace.began()
    pace.refused(1)
    assert pace.most == 27


def test_a_vault_is_seldom_asked_for_more_than_it_allows(time: Time) -> None:
    server = Server(time, 300, says_when=False)
    rate(server, pace_of(time), 6000)
    assert server.refusals <= 6000 * 0.01


def test_a_vault_that_allows_more_again_is_used_more_again(time: Time) -> None:
    server, pace = Server(time, 30, says_when=True), pace_of(time, 300)
    rate(server, pace, 60)
    server.calls = 300
    rate(server, pace, 5000)
    assert pace.most >= 200


def test_no_more_calls_than_its_own_bound_are_made_where_nothing_is_refused(time: Time) -> None:
    server = Server(time, 10_000, says_when=True)
    assert rate(server, pace_of(time, 50), 500) <= 5.6
    assert server.refusals == 0


def test_without_a_time_from_azure_each_refusal_doubles_the_rest(time: Time) -> None:
    pace = pace_of(time)
    rests = []
    for _ in range(6):
        pace.began()
        pace.refused(None)
        rests.append(pace.pause())
        time.pass_by(rests[-1])
    assert rests == [1, 2, 4, 8, 16, 16]


def test_azures_own_time_counts_but_never_for_more_than_a_minute(time: Time) -> None:
    pace = pace_of(time)
    pace.refused(7)
    assert pace.pause() == 7
    time.pass_by(7)
    pace.refused(3600)
    assert pace.pause() == LONGEST_REST


def test_refusals_of_calls_that_were_under_way_together_are_one_refusal(time: Time) -> None:
    pace = pace_of(time)
    for _ in range(4):
        pace.began()
    for _ in range(4):
        pace.refused(None)
    assert pace.pause() == 1
