import threading

import pytest

from streamavis.clock import ManualClock, MonotonicClock, PausableClock


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
    early.join(60)
    assert early_result == [True]
    assert clock.next_awaited_ns() == 20  # the other one still waits
    assert not late_result
    clock.advance(10)
    late.join(60)
    assert late_result == [True]


def test_next_awaited_says_when_nobody_waits():
    with pytest.raises(TimeoutError, match="no thread waited"):
        ManualClock().next_awaited_ns(timeout_s=0.001)


@pytest.mark.parametrize("clock", [ManualClock(), MonotonicClock()])
def test_waiting_ends_when_cancelled(clock):
    cancelled = threading.Event()
    thread, result = in_thread(lambda: clock.wait_until(clock.now_ns() + 10**15, cancelled))
    cancelled.set()
    thread.join(60)
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


def test_a_paused_clock_stands_still_and_nothing_is_late_afterwards():
    base = ManualClock(1000)
    clock = PausableClock(base)
    base.advance(50)
    clock.pause(True)
    clock.pause(True)
    base.advance(10_000)
    assert clock.now_ns() == 1050
    clock.pause(False)
    clock.pause(False)
    base.advance(5)
    assert clock.now_ns() == 1055


def test_who_waits_for_a_clock_waits_for_its_pause_too():
    base = ManualClock()
    clock = PausableClock(base)
    reached = threading.Event()

    def wait() -> None:
        assert clock.wait_until(100, threading.Event())
        reached.set()

    waiter = threading.Thread(target=wait)
    waiter.start()
    assert base.next_awaited_ns() == 100
    base.advance(40)
    clock.pause(True)
    base.advance(1000)  # the wait on the clock below ends within the pause
    clock.pause(False)
    assert base.next_awaited_ns() == 1100
    base.advance(59)
    assert not reached.is_set()
    base.advance(1)
    waiter.join(60)
    assert reached.is_set()
    assert clock.now_ns() == 100


def test_a_paused_wait_can_be_cancelled():
    clock = PausableClock(ManualClock())
    clock.pause(True)
    cancelled = threading.Event()
    cancelled.set()
    assert clock.wait_until(0, cancelled) is False
