import random
import threading

import numpy as np
import pytest

from streamavis.clock import ManualClock
from streamavis.runtime.ledger import DropCause
from streamavis.runtime.queues import LiveQueue, ReplayQueue
from streamavis.types import AudioChunk, VideoFrame

S = 1_000_000_000
IMAGE = np.zeros((2, 2, 3), np.uint8)


def frame(index, time_ns=0):
    return VideoFrame(IMAGE, time_ns, index, "pts")


def sound():
    return AudioChunk(np.zeros(1, np.float32), 0)


def started(target):
    thread = threading.Thread(target=target)
    thread.start()
    return thread


def drain(queue):
    items = []
    while (item := queue.get()) is not None:
        items.append(item)
    return items


def assert_accounted(queue, taken):
    """Every frame was taken, was dropped or waits."""
    counts = queue.ledger.counts
    assert counts.unfinished == taken + queue.waiting
    return counts


def test_replay_keeps_everything_in_order():
    queue = ReplayQueue(capacity=3)
    items = [frame(n // 2) if n % 2 else sound() for n in range(400)]
    producer = started(lambda: [queue.put(item) for item in items] and queue.close())
    assert all(a is b for a, b in zip(drain(queue), items, strict=True))
    producer.join(60)
    assert assert_accounted(queue, 200).captured == 200
    assert queue.waiting == 0
    assert queue.ended


def test_a_full_replay_queue_blocks_its_producer_until_there_is_room():
    queue, clock = ReplayQueue(capacity=1), ManualClock()
    queue.put(frame(0))

    def produce():
        queue.put(frame(1))
        clock.advance(1)

    producer = started(produce)
    assert clock.now_ns() == 0  # not a race: with room for one, `put` cannot have returned
    assert queue.get().index == 0
    producer.join(60)
    assert clock.now_ns() == 1
    assert queue.get().index == 1


@pytest.mark.parametrize("queue", [ReplayQueue(), LiveQueue(ManualClock())])
def test_get_gives_up_after_its_timeout(queue):
    assert queue.get(timeout_s=0.001) is None
    assert not queue.ended
    queue.put(frame(0))
    assert queue.get(timeout_s=60).index == 0


@pytest.mark.parametrize("queue", [ReplayQueue(), LiveQueue(ManualClock())])
def test_what_waits_is_delivered_before_the_end_and_before_the_error(queue):
    queue.put(frame(0))
    queue.fail(OSError("broke off"))
    queue.close()
    assert queue.get().index == 0
    for _ in range(2):
        with pytest.raises(OSError, match="broke off"):
            queue.get()
    assert not queue.put(frame(1))
    assert assert_accounted(queue, 1).dropped == {DropCause.CANCELLED: 1}


@pytest.mark.parametrize("end", [lambda q: q.close(), lambda q: q.cancel()])
@pytest.mark.parametrize("make", [ReplayQueue, lambda: LiveQueue(ManualClock())])
def test_a_waiting_consumer_wakes_at_the_end(make, end):
    queue, results = make(), []
    consumer = started(lambda: results.append(queue.get()))
    end(queue)
    consumer.join(60)
    assert results == [None]
    assert queue.ended


def test_a_waiting_consumer_wakes_with_the_error():
    queue, caught = ReplayQueue(), []

    def consume():
        try:
            queue.get()
        except OSError as error:
            caught.append(error)

    consumer = started(consume)
    error = OSError("unplugged")
    queue.fail(error)
    consumer.join(60)
    assert caught == [error]


def test_a_blocked_producer_wakes_when_the_consumer_leaves():
    queue, results = ReplayQueue(capacity=1), []
    queue.put(frame(0))
    producer = started(lambda: results.append(queue.put(frame(1))))
    queue.cancel()
    producer.join(60)
    assert results == [False]
    assert queue.get() is None
    assert assert_accounted(queue, 0).dropped == {DropCause.CANCELLED: 2}


def test_live_gives_the_freshest_frame():
    queue = LiveQueue(ManualClock())
    for index in range(5):
        assert queue.put(frame(index))
    assert queue.get().index == 4
    counts = assert_accounted(queue, 1)
    assert counts.captured == 5
    assert counts.dropped == {DropCause.SUPERSEDED: 4}


def test_live_looks_at_one_frame_in_so_many():
    stride = [3]
    queue = LiveQueue(ManualClock(), stride=lambda: stride[0])
    got = []
    for index in range(12):
        queue.put(frame(index))
        if queue.ready:
            got.append(queue.get().index)
        if index == 5:
            stride[0] = 1
    assert got == [2, 5, 6, 7, 8, 9, 10, 11]
    assert assert_accounted(queue, len(got)).dropped == {DropCause.SKIPPED: 4}


def test_live_drops_a_frame_that_is_older_than_its_budget():
    clock = ManualClock(10 * S)
    queue = LiveQueue(clock, staleness_s=0.5)
    queue.put(frame(0, clock.now_ns()))
    clock.advance(S // 2)
    assert queue.get().index == 0  # exactly its budget
    queue.put(frame(1, clock.now_ns()))
    clock.advance(S // 2 + 1)
    assert queue.get(timeout_s=0.001) is None
    assert assert_accounted(queue, 1).dropped == {DropCause.STALE: 1}


def test_a_stale_frame_does_not_hide_the_next_one():
    clock = ManualClock(10 * S)
    queue, results = LiveQueue(clock), []
    queue.put(frame(0, 0))
    consumer = started(lambda: results.append(queue.get()))
    while not queue.ledger.counts.dropped[DropCause.STALE]:
        assert consumer.is_alive()
    queue.put(frame(1, clock.now_ns()))
    consumer.join(60)
    assert [f.index for f in results] == [1]


@pytest.mark.parametrize("seed", range(5))
def test_every_frame_is_accounted_for_whatever_happens(seed):
    """Producer, consumer, a clock that jumps and an end at any moment."""
    rng = random.Random(seed)
    clock = ManualClock(10 * S)
    queue = LiveQueue(clock)
    got = []

    def consume():
        while (item := queue.get()) is not None:
            got.append(item.index)
            clock.advance(rng.choice([0, S // 10, S]))

    def watch():
        while not queue.ended:
            assert queue.ledger.counts.unfinished >= 0

    threads = [started(consume), started(watch)]
    for index in range(3000):
        queue.put(frame(index, clock.now_ns()))
    (queue.cancel if seed % 2 else queue.close)()
    queue.put(frame(3000))
    for thread in threads:
        thread.join(60)
    assert assert_accounted(queue, len(got)).captured == 3001
    assert queue.waiting == 0
    assert got == sorted(set(got))


def test_a_queue_without_room_is_refused():
    with pytest.raises(ValueError, match="capacity=0"):
        ReplayQueue(capacity=0)
