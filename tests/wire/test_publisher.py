"""The publisher: never blocks an engine, tells late joiners, says goodbye."""

from __future__ import annotations

import logging
import threading

import msgpack
import pytest
import zmq
from wire_samples import WAIT_S, frame, hello

from streamavis.errors import SchemaError, WireError
from streamavis.types import FrameResult, Stage
from streamavis.wire import (
    EndOfStream,
    Hello,
    Message,
    Publisher,
    Status,
    Subscriber,
    decode,
)
from streamavis.wire.address import host_boot_id
from streamavis.wire.outbox import MAX_FRAMES, Outbox
from streamavis.wire.publisher import STATUS_INTERVAL_S
from streamavis.wire.schema import KINDS
from streamavis.wire.ticker import Ticker

ADDRESS = "tcp://127.0.0.1:*"
RUNNING = Status(source="running", audio="ok", video="ok", captured=5, processed=3)


@pytest.fixture
def publisher():
    with Publisher(ADDRESS, "cam-1", hello=hello(boot_id="b0")) as opened:
        yield opened


def joined(publisher: Publisher, **options: object) -> Subscriber:
    """Return a subscriber that the publisher knows of, as it has been told hello."""
    reader = Subscriber(publisher.endpoint, kinds=tuple(KINDS), **options)
    assert reader.receive(WAIT_S).model == "nano"
    return reader


def read(reader: Subscriber) -> Message:
    """Return the next message that is no hello: that may be told twice."""
    while isinstance(message := reader.receive(WAIT_S), Hello):
        pass
    return message


class Ticks:
    """A clock set by hand."""

    now_ns = 0

    def __call__(self) -> int:
        return self.now_ns


def test_a_result_arrives_signed_and_stamped(publisher):
    with joined(publisher) as reader:
        sent = frame(3, "cam-1", stamps={Stage.CAPTURE: 7})
        publisher.publish(sent)
        got = read(reader)
    assert got.boot_id == "b0"
    assert got.wall_time > 0
    assert got.stamps[Stage.CAPTURE] == 7 < got.stamps[Stage.PUBLISH]
    assert sent.stamps == {Stage.CAPTURE: 7}, "the caller's result is left as it was"


def test_hello_and_status_are_told_to_every_late_joiner(publisher):
    publisher.status(RUNNING)
    for _ in range(3):
        with Subscriber(publisher.endpoint, kinds=("hello", "status")) as reader:
            first, second = reader.receive(WAIT_S), read(reader)
        assert first.host_boot_id == second.host_boot_id == host_boot_id()
        assert (first.stream, second.processed) == ("cam-1", 3)


def test_the_latest_hello_counts(publisher):
    publisher.hello(hello(model="swin_l"))
    with Subscriber(publisher.endpoint, kinds=("hello",)) as reader:
        assert reader.receive(WAIT_S).model == "swin_l"
        publisher.hello(hello(model="r50"))
        while (got := reader.receive(WAIT_S)).model == "swin_l":
            pass
        assert got.model == "r50"


def test_every_stream_has_its_own_prefix():
    with (
        Publisher(ADDRESS, "ab", hello=hello()) as publisher,
        zmq.Context() as context,
        context.socket(zmq.SUB) as plain,
    ):
        for prefix in (b"avis1.a.", b"avis1.ab.eos\0"):
            plain.subscribe(prefix)
        plain.connect(publisher.endpoint)
        with joined(publisher):
            publisher.publish(frame(0, "ab"))
            publisher.close()
            assert plain.poll(WAIT_S * 1e3)
            assert plain.recv().startswith(b"avis1.ab.eos\0"), "stream a is not ab"


def test_status_ticks_without_results_by_the_clock_it_is_given():
    clock = Ticks()
    made = []

    def status() -> Status:
        made.append(clock.now_ns)
        return RUNNING

    with (
        Publisher(ADDRESS, "cam", hello=hello(), status=status, clock=clock) as publisher,
        Subscriber(publisher.endpoint, kinds=("status",)) as reader,
    ):
        for now_ns in (0, 200_000_000, 400_000_000):
            clock.now_ns = now_ns
            while (got := reader.receive(WAIT_S)).monotonic_ns < now_ns:
                pass
            assert got.monotonic_ns == now_ns
    assert made == [0, 200_000_000, 400_000_000]


def test_the_ticker_keeps_five_hertz_and_makes_up_for_nothing():
    clock = Ticks()
    ticker = Ticker(clock, STATUS_INTERVAL_S)
    ticks = 0
    for clock.now_ns in range(0, 2_000_000_000, 7_000_000):
        ticks += ticker.tick()
        assert 0 <= ticker.wait_ms() <= 100
    assert 10 <= ticks <= 20
    clock.now_ns += 60_000_000_000
    assert ticker.wait_ms() == 0
    assert [ticker.tick(), ticker.tick()] == [True, False]


def test_a_status_that_fails_is_logged_once_and_takes_no_result_with_it(caplog):
    clock = Ticks()
    tries = []

    def broken() -> Status:
        tries.append(1)
        raise RuntimeError("no status today")

    with (
        caplog.at_level(logging.ERROR),
        Publisher(ADDRESS, "cam-1", hello=hello(), status=broken, clock=clock) as publisher,
        joined(publisher) as reader,
    ):
        for seq in range(3):
            clock.now_ns = (seq + 1) * 1_000_000_000
            publisher.publish(frame(seq))
            assert isinstance(read(reader), FrameResult)
    assert len(tries) >= 3
    assert [record.getMessage() for record in caplog.records] == [
        "publisher of cam-1: status() failed"
    ]


def test_a_stalled_socket_thread_costs_old_frames_and_no_time():
    entered, go_on = threading.Event(), threading.Event()

    def stall() -> Status:
        entered.set()
        assert go_on.wait(WAIT_S)
        return RUNNING

    with Publisher(ADDRESS, "cam-1", hello=hello(), status=stall) as publisher:
        assert entered.wait(WAIT_S)
        for seq in range(50):
            publisher.publish(frame(seq))
        assert publisher.dropped == 50 - MAX_FRAMES
        go_on.set()


def test_a_reader_that_never_reads_slows_nobody(publisher):
    with zmq.Context() as context, context.socket(zmq.SUB) as stuck:
        stuck.set(zmq.RCVHWM, 1)
        stuck.set(zmq.RCVBUF, 4_096)
        stuck.subscribe(b"avis1.")
        stuck.connect(publisher.endpoint)
        assert stuck.poll(WAIT_S * 1e3), "the hello is there"
        with joined(publisher) as reader:
            big = {"x" * 250 + str(n): n for n in range(60)}
            for seq in range(1_000):
                publisher.publish(frame(seq, stamps=big))
                while read(reader).seq != seq:
                    pass
        waiting = 0
        while stuck.poll(100):
            stuck.recv()
            waiting += 1
        assert waiting < 1_000, "it lost messages instead"
    assert publisher.dropped == 0


def test_a_reader_at_its_mark_hears_the_end():
    publisher = Publisher(ADDRESS, "cam-1", hello=hello())
    with zmq.Context() as context, context.socket(zmq.SUB) as full:
        full.set(zmq.RCVHWM, 1)
        full.set(zmq.RCVBUF, 4_096)
        full.subscribe(b"avis1.")
        full.connect(publisher.endpoint)
        assert full.poll(WAIT_S * 1e3), "the hello is there"
        big = {"x" * 250 + str(n): n for n in range(60)}
        for seq in range(1_000):
            publisher.publish(frame(seq, stamps=big))
        take, taken = publisher._outbox.take, threading.Event()

        def watched() -> list[bytes]:
            messages = take()
            if any(b".eos\0" in message[:80] for message in messages):
                taken.set()
            return messages

        publisher._outbox.take = watched
        closer = threading.Thread(target=publisher.close)
        closer.start()
        assert taken.wait(WAIT_S)
        kinds = []
        while not kinds or kinds[-1] != b"eos":
            assert full.poll(WAIT_S * 1e3), "the end was lost"
            kinds.append(full.recv().split(b"\0")[0].rpartition(b".")[2])
        closer.join(60)
    assert len(kinds) < 1_000, "it was at its mark"


def test_the_end_closes_the_stream_for_good(publisher):
    with joined(publisher) as reader:
        publisher.publish(frame(8))
        publisher.end(EndOfStream(reason="ended", captured=9, processed=9))
        assert read(reader).seq == 8
        assert read(reader).captured == 9
    for late in (lambda: publisher.publish(frame(9)), lambda: publisher.status(RUNNING)):
        with pytest.raises(WireError, match="has ended"):
            late()
    with Subscriber(publisher.endpoint) as latecomer:
        assert list(latecomer) == []
        assert latecomer.end.captured == 9


@pytest.mark.parametrize(("error", "reason"), [(None, "stopped"), (OSError("!"), "failed")])
def test_leaving_says_why(error, reason):
    publisher = Publisher(ADDRESS, "cam-1", hello=hello())
    with joined(publisher) as reader:
        publisher.status(RUNNING)
        publisher.publish(frame(4))
        publisher.__exit__(type(error), error, None)
        *_, end = reader
    assert (end.reason, end.seq, end.captured, end.processed) == (reason, 4, 5, 3)


def test_close_may_be_repeated():
    publisher = Publisher(ADDRESS, "cam-1", hello=hello())
    publisher.close()
    publisher.close()
    assert publisher.endpoint.startswith("tcp://127.0.0.1:")


@pytest.mark.parametrize("stream", ["", "a.b", "a/b", "ä", "a" * 65, "a\n"])
def test_a_stream_name_that_is_no_topic_is_refused(stream):
    with pytest.raises(SchemaError, match="stream name"):
        Publisher(ADDRESS, stream, hello=hello())


@pytest.mark.parametrize("stranger", [frame(0, "cam-2"), frame(0, boot_id="b1")])
def test_a_result_of_another_stream_or_engine_is_refused(publisher, stranger):
    with pytest.raises(WireError, match="was given to the publisher of 'cam-1'"):
        publisher.publish(stranger)


def test_noise_on_the_port_is_survived(publisher):
    with zmq.Context() as context, context.socket(zmq.STREAM) as noise:
        noise.connect(publisher.endpoint)
        identity = noise.recv()
        noise.recv()
        noise.send_multipart([identity, b"GET / HTTP/1.1\r\n\r\n" + bytes(range(256)) * 100])
        with joined(publisher) as reader:
            publisher.publish(frame(0))
            assert read(reader).seq == 0


def test_the_outbox_sends_in_order():
    outbox = Outbox()
    outbox.put("frame", b"f0")
    outbox.put("status", b"s0")
    outbox.put("status", b"s1")
    outbox.put("hello", b"h")
    assert outbox.take() == [b"h", b"s1", b"f0"]
    assert outbox.take() == []
    outbox.repeat(["eos", "status", "frame"])
    assert outbox.take() == [b"s1"]
    outbox.put("frame", b"f1")
    outbox.put("eos", b"e")
    outbox.put("frame", b"too late")
    outbox.repeat(["hello"])
    assert outbox.take() == [b"h", b"f1", b"e"]


def test_a_plain_msgpack_reader_understands(publisher):
    with zmq.Context() as context, context.socket(zmq.SUB) as plain:
        plain.subscribe(b"avis1.cam-1.hello\0")
        plain.connect(publisher.endpoint)
        assert plain.poll(WAIT_S * 1e3)
        data = plain.recv()
    assert msgpack.unpackb(data.split(b"\0", 1)[1])["classes"] == ["dog"]
    assert decode(data).classes == ("dog",)
