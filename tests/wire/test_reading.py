"""Other ways to read: in an asyncio loop, at a loop's own pace, by a function that is called."""

from __future__ import annotations

import asyncio
import threading

import pytest
from test_subscriber import HALF_S, Sender, Ticks, frames, reader_of
from wire_samples import EOS, FRAME, HELLO, STATUS, WAIT_S, frame, hello

from streamavis.errors import SchemaVersionError, WireError
from streamavis.types import FrameResult
from streamavis.wire import Hello, Listener, Publisher, Subscriber, encode


@pytest.fixture
def sender():
    opened = Sender()
    yield opened
    opened.context.destroy(0)


def test_an_event_loop_reads_until_the_end_and_runs_other_tasks_meanwhile(sender):
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async def read() -> list[int]:
        other = asyncio.create_task(others())
        async with Subscriber(sender.endpoint) as reader:
            await asyncio.to_thread(sender.wait_for, 2)
            sender.send(encode(HELLO), *frames(1, 2, 3), encode(EOS))
            seqs = [result.seq async for result in reader]
        other.cancel()
        assert reader.end == EOS
        with pytest.raises(WireError, match="closed"):
            await reader.receive_async()
        return seqs

    assert asyncio.run(read()) == [1, 2, 3]
    assert turns > 3


def test_an_event_loop_is_woken_by_what_comes_late(sender):
    async def read() -> FrameResult:
        with Subscriber(sender.endpoint) as reader:
            await asyncio.to_thread(sender.wait_for, 2)
            assert await reader.receive_async(0) is None
            waiting = asyncio.create_task(reader.receive_async(WAIT_S))
            await asyncio.sleep(0)
            sender.send(*frames(5))
            return await waiting

    assert asyncio.run(read()).seq == 5


def test_a_task_that_waits_can_be_cancelled_and_the_reader_used_again(sender):
    async def read() -> FrameResult:
        with Subscriber(sender.endpoint) as reader:
            await asyncio.to_thread(sender.wait_for, 2)
            waiting = asyncio.create_task(reader.receive_async())
            await asyncio.sleep(0)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
            sender.send(*frames(6))
            return await reader.receive_async(WAIT_S)

    assert asyncio.run(read()).seq == 6


def test_an_event_loop_is_told_of_silence_and_of_another_version(sender):
    clock, told = Ticks(), []
    later = encode(FRAME).replace(b"avis1.", b"avis2.")

    async def read() -> None:
        with reader_of(sender, clock=clock, on_silence=lambda: told.append(1)) as reader:
            clock.now_ns = HALF_S
            assert await reader.receive_async(0) is None
            sender.send(later)
            with pytest.raises(SchemaVersionError):
                await reader.receive_async(WAIT_S)

    asyncio.run(read())
    assert told == [1]


def test_a_control_loop_gets_the_newest_and_the_same_again_while_it_is_fresh(sender):
    clock, told = Ticks(), []
    with reader_of(sender, clock=clock, on_silence=lambda: told.append(1)) as reader:
        assert reader.latest() is None
        sender.send(encode(HELLO), *frames(*range(30)), encode(STATUS), *frames(30))
        while (got := reader.latest()) is None or got.seq < 30:
            pass
        assert reader.latest() is got
        clock.now_ns += HALF_S - 1
        assert reader.latest() is got
        assert reader.latest(max_age_s=0.4) is None
        assert not told
        clock.now_ns += 1
        assert reader.latest() is None
        assert told == [1]
        assert reader.latest(max_age_s=9.0) is got
        sender.send(encode(EOS))
        while reader.end is None:
            reader.latest()
        assert reader.latest(max_age_s=9.0) is None
        assert reader.missed <= 30


def test_the_newest_is_taken_of_what_waits_and_only_that_is_decoded(sender):
    with reader_of(sender) as reader:
        sender.send(*frames(*range(50)))
        while len(reader._pending) < 50:
            reader._fill(WAIT_S * 1e3)
        reader._pending.append(b"avis1.cam-1.frame\0junk")
        assert reader.latest() is None
        assert reader.refused == 1
        sender.send(*frames(50, 51))
        while len(reader._pending) < 2:
            reader._fill(WAIT_S * 1e3)
        assert reader.latest().seq == 51
        assert reader.receive(0) is None


def test_a_function_is_called_for_each_message_on_a_thread_of_its_own():
    got, threads, arrived = [], set(), threading.Event()

    def act(message) -> None:
        got.append(message)
        threads.add(threading.current_thread().name)
        arrived.set()

    with Publisher("tcp://127.0.0.1:*", "cam", hello=hello()) as publisher:
        with Listener(publisher.endpoint, act, kinds=("hello", "frame")) as listener:
            for seq in (0, 1):  # one at a time: a publisher drops what its socket has no room for
                while getattr(listener.latest, "seq", None) != seq:
                    publisher.publish(frame(seq, "cam"))
                    arrived.wait(0.1)
                    arrived.clear()
            publisher.close("ended")
            assert listener.join(WAIT_S)
            assert listener.end.reason == "ended"
            assert listener.silent
        assert isinstance(got[0], Hello)
        assert got[-1] is listener.latest
        assert got[-1].seq == 1
        (name,) = threads
        assert name.startswith("listen-tcp://")


def test_a_function_that_fails_stops_the_robot_and_is_not_hidden(caplog):
    stopped = threading.Event()

    def act(message) -> None:
        raise ZeroDivisionError

    with Publisher("tcp://127.0.0.1:*", "cam", hello=hello()) as publisher:
        options = {"kinds": ("hello",), "dead_man_s": WAIT_S, "on_silence": stopped.set}
        listener = Listener(publisher.endpoint, act, **options)
        assert stopped.wait(WAIT_S)
        with pytest.raises(ZeroDivisionError):
            listener.join(WAIT_S)
        assert listener.silent
        with pytest.raises(ZeroDivisionError):
            listener.close()
    assert "a reader's function failed" in caplog.text


def test_a_listener_can_be_closed_while_it_waits():
    with Listener("tcp://127.0.0.1:9", print) as listener:
        assert listener.silent is False
        assert listener.join(0) is False
    assert not listener._thread.is_alive()
