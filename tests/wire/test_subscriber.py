"""The subscriber: what a robot may rely on."""

from __future__ import annotations

from dataclasses import replace

import pytest
import zmq
from wire_samples import EOS, FRAME, HELLO, STATUS, WAIT_S, frame, hello

from streamavis.errors import SchemaVersionError, WireError
from streamavis.types import FrameResult, Stage
from streamavis.wire import Age, EndOfStream, Hello, Publisher, Subscriber, decode, encode
from streamavis.wire.address import host_boot_id
from streamavis.wire.schema import KINDS
from streamavis.wire.subscriber import _newest

HALF_S = 500_000_000


class Ticks:
    """A clock set by hand."""

    def __init__(self, now_ns: int = 0) -> None:
        self.now_ns = now_ns

    def __call__(self) -> int:
        return self.now_ns


class Sender:
    """A bare socket that sends what it is told, as a hostile or broken publisher may."""

    def __init__(self) -> None:
        self.context = zmq.Context()
        self.socket = self.context.socket(zmq.XPUB)
        self.socket.set(zmq.SNDHWM, 0)
        self.socket.bind("tcp://127.0.0.1:*")
        self.endpoint = self.socket.getsockopt_string(zmq.LAST_ENDPOINT)

    def wait_for(self, subscriptions: int) -> None:
        for _ in range(subscriptions):
            assert self.socket.poll(WAIT_S * 1e3), "no subscriber came"
            self.socket.recv()

    def send(self, *messages: bytes) -> None:
        for message in messages:
            self.socket.send(message)


@pytest.fixture
def sender():
    opened = Sender()
    yield opened
    opened.context.destroy(0)


def reader_of(sender: Sender, **options: object) -> Subscriber:
    """Return a subscriber whose subscriptions have reached the sender."""
    reader = Subscriber(sender.endpoint, **options)
    sender.wait_for(5 if options.get("stream") else 2)
    return reader


def frames(*seqs: int, **fields: object) -> list[bytes]:
    return [encode(replace(FRAME, seq=seq, **fields)) for seq in seqs]


def test_iteration_yields_results_and_ends_with_the_stream(sender):
    with reader_of(sender) as reader:
        sender.send(encode(HELLO), *frames(1, 2), encode(STATUS), *frames(3), encode(EOS))
        assert [result.seq for result in reader] == [1, 2, 3]
        assert reader.end == EOS
        assert list(reader) == []


def test_all_kinds_are_yielded_when_asked_for(sender):
    messages = [HELLO, replace(FRAME, seq=1), STATUS, EOS]
    with reader_of(sender, kinds=tuple(KINDS)) as reader:
        sender.send(*map(encode, messages))
        assert list(reader) == messages


def test_a_follower_reads_the_next_engine_too(sender):
    with reader_of(sender, follow=True) as reader:
        sender.send(*frames(7), encode(EOS), *frames(0, boot_id="b1"))
        assert reader.receive(WAIT_S).seq == 7
        assert reader.receive(WAIT_S).seq == 0
        assert reader.end is None
        assert reader.missed == 0


def test_only_the_stream_that_was_asked_for(sender):
    with reader_of(sender, stream="cam-1") as reader:
        others = [encode(replace(FRAME, stream=name)) for name in ("cam-10", "cam", "xcam-1")]
        sender.send(*others, *frames(5), encode(EOS))
        assert [result.stream for result in reader] == ["cam-1"]


@pytest.mark.parametrize("stream", [None, "cam-1"])
def test_the_latest_is_read_when_asked_for(sender, stream):
    with reader_of(sender, stream=stream, kinds=("frame", "status"), latest_only=True) as reader:
        sender.send(*frames(*range(100)), *[encode(replace(STATUS, seq=n)) for n in range(10)])
        sender.send(*frames(100))
        got = [reader.receive(WAIT_S)]
        while not (isinstance(got[-1], FrameResult) and got[-1].seq == 100):
            got.append(reader.receive(WAIT_S))
        seqs = [message.seq for message in got if isinstance(message, FrameResult)]
        assert seqs == sorted(seqs)
        assert reader.missed == seqs[-1] - seqs[0] + 1 - len(seqs)


def test_draining_keeps_the_order_in_which_the_newest_arrived():
    waiting = [*frames(7), encode(STATUS), encode(EOS), *frames(0, boot_id="b1")]
    assert [decode(data) for data in _newest(waiting)] == [
        STATUS,
        EOS,
        replace(FRAME, seq=0, boot_id="b1"),
    ]


def test_a_conflated_reader_gets_the_newest_and_still_hears_the_end(sender):
    with reader_of(sender, stream="cam-1", latest_only=True) as reader:
        sender.send(encode(HELLO), *frames(*range(500)))
        seqs = []
        while not seqs or seqs[-1] != 499:
            seqs.append(reader.receive(WAIT_S).seq)
        assert seqs == sorted(seqs)
        sender.send(encode(EOS))
        assert list(reader) == []
        assert reader.end == EOS


def test_gaps_are_counted_within_one_engine(sender):
    with reader_of(sender) as reader:
        sender.send(*frames(3, 4, 7, 7, 6, 8), *frames(50, 52, boot_id="b1"), encode(EOS))
        assert len(list(reader)) == 8
        assert reader.missed == 2 + 1 + 1


def test_bad_messages_are_counted_and_skipped(sender):
    with reader_of(sender) as reader:
        bad = [b"avis1.cam-1.frame\0junk", b"avis1.", encode(FRAME)[:-1], b"avis1.x.nope\0\x80"]
        sender.send(*bad, *frames(1), encode(EOS))
        assert [result.seq for result in reader] == [1]
        assert reader.refused == len(bad)


@pytest.mark.parametrize("stream", [None, "cam-1"])
def test_a_later_major_version_is_raised_once_and_then_counted(sender, stream):
    later = encode(FRAME).replace(b"avis1.", b"avis2.")
    with reader_of(sender, stream=stream) as reader:
        sender.send(later, later, later, *frames(1), encode(EOS))
        with pytest.raises(SchemaVersionError, match=r"version 2 .* knows 1\.2"):
            next(reader)
        assert [result.seq for result in reader] == [1]
        assert reader.refused == 3


def test_silence_is_told_once_and_ends_with_a_result(sender):
    clock, told = Ticks(), []
    with reader_of(sender, clock=clock, on_silence=lambda: told.append(clock.now_ns)) as reader:
        assert not reader.silent
        clock.now_ns = HALF_S - 1
        assert reader.receive(0) is None
        assert not told
        clock.now_ns = HALF_S
        assert reader.silent
        for _ in range(3):
            assert reader.receive(0) is None
        assert told == [HALF_S]
        sender.send(encode(STATUS), *frames(1))
        assert reader.receive(WAIT_S).seq == 1
        assert not reader.silent
        clock.now_ns += HALF_S
        assert reader.receive(0) is None
        assert told == [HALF_S, 2 * HALF_S]


def test_neither_noise_nor_other_kinds_break_a_silence(sender):
    clock, told = Ticks(), []
    with reader_of(sender, clock=clock, on_silence=lambda: told.append(1)) as reader:
        clock.now_ns = HALF_S
        sender.send(*[b"avis1.noise"] * 50, *[encode(STATUS)] * 50)
        while reader.refused < 50:
            assert reader.receive(0.01) is None
        assert reader.silent
        assert told == [1]


def test_what_waits_to_be_read_is_no_silence(sender):
    clock, told = Ticks(), []
    with reader_of(sender, clock=clock, on_silence=lambda: told.append(1)) as reader:
        sender.send(*frames(1))
        assert reader.receive(WAIT_S)
        sender.send(*[encode(STATUS)] * 20, *frames(2))
        while len(reader._pending) < 21:
            assert reader._fill(WAIT_S * 1e3)
        clock.now_ns = 4 * HALF_S
        assert reader.receive(WAIT_S).seq == 2
        assert not told


def test_statuses_do_not_keep_a_waiting_reader_from_being_told():
    alive = replace(STATUS, stream="", boot_id="")
    with (
        Publisher("tcp://127.0.0.1:*", "cam", hello=hello(), status=lambda: alive) as publisher,
        Subscriber(
            publisher.endpoint,
            dead_man_s=0.25,
            on_silence=lambda: publisher.end(EndOfStream(reason="stopped")),
        ) as reader,
    ):
        assert list(reader) == []


def test_a_reader_that_waits_is_told_while_it_waits(sender):
    told = []
    with reader_of(sender, dead_man_s=0.01, on_silence=lambda: told.append(1)) as reader:
        assert reader.receive(0.1) is None
    assert told == [1]


def test_ages_are_exact_on_the_sender_s_machine_and_a_bound_elsewhere(sender):
    clock = Ticks(10_000)
    stamps = {Stage.CAPTURE: 2_000, Stage.PUBLISH: 5_000}
    here = replace(HELLO, host_boot_id=host_boot_id() or "unknown")
    elsewhere = replace(HELLO, boot_id="b1", host_boot_id="another machine")
    with reader_of(sender, clock=clock) as reader:
        sender.send(*frames(1, stamps=stamps))
        before_hello = reader.receive(WAIT_S)
        assert reader.age(before_hello) == Age(3_000 / 1e9, exact=False)
        sender.send(encode(here), encode(elsewhere))
        sender.send(*frames(2, stamps=stamps), *frames(1, boot_id="b1", stamps=stamps))
        near, far = reader.receive(WAIT_S), reader.receive(WAIT_S)
        clock.now_ns = 11_000
        if host_boot_id() is not None:
            assert reader.age(near) == Age(9_000 / 1e9, exact=True)
            assert reader.age(before_hello) == Age(9_000 / 1e9, exact=True)
        assert reader.age(far) == Age((3_000 + 1_000) / 1e9, exact=False)
        assert reader.age(replace(far, stamps={})) == Age(1_000 / 1e9, exact=False)


def test_a_restarted_publisher_is_heard_again():
    with Publisher("tcp://127.0.0.1:*", "cam", hello=hello()) as first:
        endpoint, told = first.endpoint, first.boot_id
        reader = Subscriber(endpoint, kinds=("hello",), follow=True)
        assert reader.receive(WAIT_S).boot_id == told
    with reader, Publisher(endpoint, "cam", hello=hello()) as second:
        while (got := reader.receive(WAIT_S)).boot_id == told:
            pass
        assert got.boot_id == second.boot_id


def test_a_subscriber_may_come_first():
    with Publisher("tcp://127.0.0.1:*", "cam", hello=hello()) as probe:
        endpoint = probe.endpoint
    with Subscriber(endpoint, kinds=("hello",)) as reader:
        assert reader.receive(0) is None
        with Publisher(endpoint, "cam", hello=hello()):
            assert reader.receive(WAIT_S).stream == "cam"


@pytest.mark.parametrize(
    "options",
    [{"kinds": ()}, {"kinds": ("image",)}, {"dead_man_s": 0.0}, {"dead_man_s": float("nan")},
     {"stream": "a.b"}, {"stream": ""}],
)  # fmt: skip
def test_options_that_mean_nothing_are_refused(options):
    with pytest.raises(WireError):
        Subscriber("tcp://127.0.0.1:5555", **options)


def test_a_closed_subscriber_says_so():
    reader = Subscriber("tcp://127.0.0.1:5555")
    reader.close()
    reader.close()
    with pytest.raises(WireError, match="closed"):
        reader.receive(0)


def test_frames_of_the_publisher_fill_no_gap_of_its_own():
    with (
        Publisher("tcp://127.0.0.1:*", "cam", hello=hello()) as publisher,
        Subscriber(publisher.endpoint, kinds=("hello", "frame")) as reader,
    ):
        assert reader.receive(WAIT_S)
        for seq in range(200):
            publisher.publish(frame(seq, "cam"))
            while isinstance(got := reader.receive(WAIT_S), Hello):  # may be told twice
                pass
            assert got.seq == seq
        assert (reader.missed, reader.refused) == (0, 0)
