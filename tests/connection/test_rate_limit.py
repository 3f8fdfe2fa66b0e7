"""Never more than allowed in any minute, and hardly less."""

import threading
from bisect import bisect_left
from concurrent.futures import CancelledError, ThreadPoolExecutor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pandas_kili.connection import rate_limit
from pandas_kili.connection.rate_limit import Clock, RateLimit, shared_rate_limit, showing_waits, wait_for_turn


class Simulated(Clock):
    def __init__(self):
        self.time = 0.0

    def now(self):
        return self.time

    def wait(self, seconds, stop=None):
        assert seconds > 0
        self.time += seconds


def called(limit, clock, calls_per_minute):
    limit.acquire(calls_per_minute, clock)
    return clock.now()


def busiest_minute(times):
    return max(bisect_left(times, start + 60) - index for index, start in enumerate(times))


@settings(deadline=None, max_examples=50)
@given(st.integers(1, 60), st.lists(st.floats(0, 20), min_size=1, max_size=300))
def test_no_minute_holds_more_than_allowed(calls_per_minute, pauses):
    limit, clock, times = RateLimit(), Simulated(), []
    for pause in pauses:
        clock.time += pause
        times.append(called(limit, clock, calls_per_minute))
    assert busiest_minute(times) <= calls_per_minute


@pytest.mark.parametrize("calls_per_minute", [1, 7, 250, 500])
def test_a_busy_client_gets_nearly_all_that_is_allowed(calls_per_minute):
    limit, clock = RateLimit(), Simulated()
    times = [called(limit, clock, calls_per_minute) for _ in range(20 * calls_per_minute + 1)]
    assert times[calls_per_minute - 1] == 0, "a burst comes first"
    assert busiest_minute(times) <= calls_per_minute
    assert 20 * 60 / times[-1] >= 0.97


def test_clients_with_different_limits_see_each_others_calls():
    limit, clock = RateLimit(), Simulated()
    times = [called(limit, clock, 5) for _ in range(5)]
    assert called(limit, clock, 10) == 0
    assert called(limit, clock, 5) > 60
    assert times == [0] * 5


def test_a_pause_holds_everyone_back():
    limit, clock = RateLimit(), Simulated()
    limit.pause(30, clock)
    limit.pause(10, clock)
    assert called(limit, clock, 500) == 30


def test_waiting_can_be_ended():
    limit, stop = RateLimit(), threading.Event()
    limit.acquire(1, Clock())
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(limit.acquire, 1, Clock(), stop)
        stop.set()
        with pytest.raises(CancelledError):
            waiting.result(10)


def test_threads_share_what_is_allowed():
    limit, clock = RateLimit(), Clock()
    stop = threading.Event()
    passed = threading.Semaphore(0)

    def call():
        try:
            limit.acquire(100, clock, stop)
        except CancelledError:
            return 0
        passed.release()
        return 1

    with ThreadPoolExecutor(16) as pool:
        calls = [pool.submit(call) for _ in range(150)]
        for _ in range(100):
            assert passed.acquire(timeout=10)
        stop.set()
    assert sum(call.result() for call in calls) == 100


def test_endpoint_and_key_share_one_limit_that_is_not_known_by_the_key():
    assert shared_rate_limit("e", "hidden") is shared_rate_limit("e", "hidden")
    assert shared_rate_limit("e", "hidden") is not shared_rate_limit("e", "other")
    assert "hidden" not in repr(rate_limit._LIMITS)


def test_a_wait_is_shown_from_the_first_call_to_the_last_and_logged_once(clock, caplog):
    limit, shown = RateLimit(), []
    with caplog.at_level("INFO", "pandas_kili"), showing_waits(shown.append):
        for _ in range(3):
            limit.acquire(2, clock)
    assert shown == ["waiting for the rate limit", ""]
    assert [record.message for record in caplog.records] == ["Calls wait for the rate limit, the first one for 61 s"]
    limit.acquire(2, clock)
    assert len(shown) == 2


def test_short_waits_are_not_shown(clock, caplog):
    with caplog.at_level("INFO", "pandas_kili"):
        wait_for_turn(0.5, clock)
    assert clock.waits == [0.5]
    assert not caplog.records
