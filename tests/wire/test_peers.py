"""What a peer of a publisher can cost: connections, subscriptions, changes of them."""

from __future__ import annotations

import logging
import socket
from collections import Counter

import pytest
import zmq
from wire_samples import WAIT_S, frame, hello

from streamavis.types import FrameResult
from streamavis.wire import Publisher, Subscriber, peers
from streamavis.wire.peers import MAX_PREFIX, MAX_READERS, MAX_SUBSCRIPTIONS, Peers


class Ticks:
    """A clock set by hand."""

    now_ns = 0

    def __call__(self) -> int:
        return self.now_ns


@pytest.fixture
def publisher():
    with Publisher("tcp://127.0.0.1:*", "cam-1", hello=hello()) as opened:
        yield opened


class Pairs:
    """Connections of which a publisher has one end."""

    def __init__(self):
        self.ends = []

    def __call__(self):
        ours, theirs = socket.socketpair()
        theirs.settimeout(WAIT_S)
        self.ends += [ours, theirs]
        return ours.fileno(), theirs

    def close(self):
        for end in self.ends:
            end.close()


@pytest.fixture
def pair():
    made = Pairs()
    yield made
    made.close()


@pytest.fixture
def told():
    return Counter()


@pytest.fixture
def clock():
    return Ticks()


@pytest.fixture
def guests(told, clock):
    return Peers(lambda kind, line, known=False: told.update([kind[0]]), clock)


def closed(connection: socket.socket) -> bool:
    connection.setblocking(False)
    try:
        return connection.recv(1) == b""
    except BlockingIOError:
        return False


def test_a_reader_has_a_number_of_subscriptions(guests, told, pair):
    descriptor, far = pair()
    guests.accepted(descriptor)
    assert all(guests.asked(descriptor, b"\1%d" % n) for n in range(MAX_SUBSCRIPTIONS))
    assert not closed(far)
    assert not guests.asked(descriptor, b"\1one more")
    assert closed(far)
    assert len(guests) == 0
    assert list(told) == ["it has more than 64 subscriptions"]
    assert not guests.asked(descriptor, b"\1what was on its way")


def test_a_reader_may_change_its_mind_but_not_for_ever(guests, clock, pair):
    descriptor, far = pair()
    guests.accepted(descriptor)
    for _ in range(200):
        clock.now_ns += 250_000_000
        assert guests.asked(descriptor, b"\1avis1.")
        assert guests.asked(descriptor, b"\0avis1.")
    changes = 0
    while guests.asked(descriptor, b"\1avis1.") and guests.asked(descriptor, b"\0avis1."):
        changes += 1
        assert changes < 200
    assert closed(far)


@pytest.mark.parametrize(
    "event", [b"\1" + b"x" * (MAX_PREFIX + 1), b"\2", b"", b"\2message", b"\0" + b"x" * 500]
)
def test_what_no_reader_sends_disconnects(guests, pair, event):
    descriptor, far = pair()
    guests.accepted(descriptor)
    assert not guests.asked(descriptor, event)
    assert closed(far)


def test_readers_have_a_number_in_all(guests, told, pair, monkeypatch):
    for _ in range(MAX_READERS):
        descriptor, _ = pair()
        monkeypatch.setattr(peers, "_remote", lambda d: (str(d), 1))
        guests.accepted(descriptor)
        assert guests.asked(descriptor, b"\1avis1.")
    descriptor, far = pair()
    guests.accepted(descriptor)
    assert not guests.asked(descriptor, b"\1avis1.")
    assert closed(far)
    assert len(guests) == MAX_READERS


def test_a_descriptor_that_means_another_connection_by_now_is_left_alone(guests, pair, monkeypatch):
    descriptor, far = pair()
    guests.accepted(descriptor)
    monkeypatch.setattr(peers, "_remote", lambda _: ("10.0.0.9", 1))
    assert not guests.asked(descriptor, b"\2")
    assert not closed(far)


def test_what_is_no_connection_is_left_alone(guests, tmp_path):
    with (tmp_path / "file").open("w") as file:
        guests.accepted(file.fileno())
        assert len(guests) == 0
        file.write("still open")
    guests.accepted(10**6)


def test_a_flood_of_prefixes_is_disconnected_and_others_read_on(publisher, caplog):
    with (
        caplog.at_level(logging.WARNING),
        zmq.Context() as context,
        context.socket(zmq.XSUB) as hostile,
        Subscriber(publisher.endpoint) as reader,
    ):
        reader.receive(0.01)
        hostile.set(zmq.SNDHWM, 0)
        hostile.set(zmq.LINGER, 0)
        hostile.set(zmq.RECONNECT_IVL, -1)
        monitor = hostile.get_monitor_socket(zmq.EVENT_DISCONNECTED)
        hostile.connect(publisher.endpoint)
        for number in range(50_000):
            hostile.send(b"\1avis1.cam-1.frame\0%d" % number)
        assert monitor.poll(WAIT_S * 1e3), "it is disconnected"
        hostile.disable_monitor()
        monitor.close(0)
        got = 0
        for seq in range(1_000):
            publisher.publish(frame(seq, "cam-1"))
            got += isinstance(reader.receive(0.05), FrameResult)
            if got == 5:
                break
        assert got == 5
    assert caplog.text.count("has more than 64 subscriptions") == 1


def test_silent_connections_leave_for_a_reader(publisher):
    host, port = publisher.endpoint.removeprefix("tcp://").split(":")
    silent = [socket.create_connection((host, int(port)), timeout=WAIT_S) for _ in range(80)]
    try:
        with Subscriber(publisher.endpoint, kinds=("hello",)) as reader:
            assert reader.receive(WAIT_S).model == "nano"
        for each in silent[:40]:
            while each.recv(100):  # libzmq's greeting, then the end
                pass
    finally:
        for each in silent:
            each.close()


def test_late_joiners_are_greeted_together(publisher, monkeypatch):
    repeated = []
    monkeypatch.setattr(publisher._outbox, "repeat", lambda kinds: repeated.append(set(kinds)))
    asked = iter([[b"avis1."], [b"avis1."] * 500, []])
    monkeypatch.setattr(publisher._outlet, "subscriptions", lambda most: next(asked, []))
    now_ns = [10**18]
    publisher._greeting.clock = lambda: now_ns[0]
    publisher._greeting.due_ns = 0
    publisher._wake()
    monkeypatch.setattr(publisher, "_run", lambda: None)
    while len(repeated) < 1:
        publisher._greet()
    for _ in range(3):
        publisher._greet()
    assert len(repeated) == 1
    assert 0 < publisher._wait_ms() <= 50
    now_ns[0] += 60_000_000
    publisher._greet()
    assert len(repeated) == 2
