import threading

import pytest

from streamavis.runtime.clock import ManualClock, MonotonicClock


def in_thread(call):
    """Run `call` in a thread; returns the thread and the list its result goes to."""
    results = []
    thread = threading.Thread(target=lambda: results.append(call()))
    thread.start()
    return thread, results


def test_manual_clock_stands_still_until_advanced():
    clock = ManualClock(5)
    assert [clock.now_ns(), clock.now_ns()] == [5, 5]
    clock.advance(10)
    assert clock.now_ns() == 15
    with pytest.raises(ValueError, match="-1"):
        clock.advance(-1)


def test_manual_clock_wakes_who_has_waited_long_enough():
    clock, never = ManualClock(), threading.Event()
    early, early_result = in_thread(lambda: clock.wait_until(10, never))
    assert clock.next_awaited_ns() == 10
    late, late_result = in_thread(lambda: clock.wait_until(20, never))
    clock.advance(10)
    early.join()
    assert early_result == [True]
    assert clock.next_awaited_ns() == 20  # the other one still waits
    assert not late_result
    clock.advance(10)
    late.join()
    assert late_result == [True]


def test_next_awaited_says_when_nobody_waits():
    with pytest.raises(TimeoutError, match="no thread waited"):
        ManualClock().next_awaited_ns(timeout_s=0.001)


@pytest.mark.parametrize("clock", [ManualClock(), MonotonicClock()])
def test_waiting_ends_when_cancelled(clock):
    cancelled = threading.Event()
    thread, result = in_thread(lambda: clock.wait_until(clock.now_ns() + 10**15, cancelled))
    cancelled.set()
    thread.join()
    assert result == [False]


@pytest.mark.parametrize("clock", [ManualClock(1), MonotonicClock()])
def test_a_time_that_has_passed_is_reached_unless_cancelled(clock):
    cancelled = threading.Event()
    assert clock.wait_until(0, cancelled)
    cancelled.set()
    assert not clock.wait_until(0, cancelled)


def test_monotonic_clock_waits_until_the_time_has_come():
    clock = MonotonicClock()
    due = clock.now_ns() + 2_000_000
    assert clock.wait_until(due, threading.Event())
    assert clock.now_ns() >= due
