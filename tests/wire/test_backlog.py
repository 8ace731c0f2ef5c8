"""A slow reader's memory is bounded in bytes; the oldest messages go first and are counted."""

import time

from wire_samples import WAIT_S, frame

from streamavis.wire import Subscriber, encode
from streamavis.wire.backlog import Backlog


def test_the_oldest_are_dropped_and_counted():
    backlog = Backlog(limit=10)
    for letter in b"abcdef":
        backlog.append(bytes([letter]) * 3)
    assert (len(backlog), backlog.dropped) == (3, 3)
    assert [backlog.popleft() for _ in range(3)] == [b"ddd", b"eee", b"fff"]
    backlog.append(b"x" * 11)  # larger than the limit alone: it is kept
    backlog.append(b"y")
    assert (backlog.popleft(), backlog.dropped) == (b"y", 4)


def test_a_reader_that_is_too_slow_skips_the_oldest_and_says_so(monkeypatch):
    """At a limit of 10 messages, the first results read after a pause are the newest ones."""
    import zmq

    size = len(encode(frame(0, boot_id="b")))
    monkeypatch.setattr("streamavis.wire.subscriber.Backlog", lambda: Backlog(12 * size))
    with zmq.Context() as context, context.socket(zmq.XPUB) as sender:
        sender.set(zmq.LINGER, 0)
        port = sender.bind_to_random_port("tcp://127.0.0.1")
        with Subscriber(f"tcp://127.0.0.1:{port}", dead_man_s=WAIT_S) as reader:
            for _ in range(2):
                assert sender.poll(WAIT_S * 1_000)
                sender.recv()
            for seq in range(100):
                sender.send(encode(frame(seq, boot_id="b")))
            read = [reader.receive(WAIT_S).seq]
            until_s = time.monotonic() + WAIT_S
            while read[-1] < 99 and time.monotonic() < until_s:
                read.append(reader.receive(WAIT_S).seq)
            assert read == sorted(read)
            assert read[-1] == 99
            assert len(read) + reader.overflowed == 100
            assert reader.overflowed == reader.missed + read[0] > 0
