"""The relay: what a publisher sends reaches readers as it was, late joiners and keys included."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest
import zmq
from wire_samples import FRAME, HELLO, STATUS, WAIT_S, frame, hello

from streamavis.errors import WireError
from streamavis.wire import (
    EndOfStream,
    Hello,
    KeyFolder,
    Publisher,
    Relay,
    Status,
    Subscriber,
    encode,
)

ALL = ("hello", "frame", "status", "eos")


@pytest.fixture
def run():
    """Runs relays on threads of their own until the test is over."""
    stop, threads = threading.Event(), []

    def start(relay: Relay) -> Relay:
        def work() -> None:
            with relay:
                while not stop.is_set():
                    relay.step()

        threads.append(threading.Thread(target=work))
        threads[-1].start()
        return relay

    yield start
    stop.set()
    for thread in threads:
        thread.join()


def wait_for(reader: Subscriber, kind: type, **fields: object):
    while True:
        message = reader.receive(WAIT_S)
        assert message is not None, f"no {kind.__name__} with {fields} came"
        if isinstance(message, kind) and all(
            getattr(message, name) == value for name, value in fields.items()
        ):
            return message


def test_messages_go_on_as_they_came_and_late_joiners_are_greeted(run):
    boot = hello(boot_id="b0")
    with Publisher("tcp://127.0.0.1:*", "cam-1", hello=boot) as publisher:
        relay = run(Relay([publisher.endpoint], "tcp://127.0.0.1:*"))
        with Subscriber(relay.endpoint, kinds=ALL) as first:
            assert wait_for(first, Hello).boot_id == "b0"
            publisher.status(replace(STATUS, stream="", boot_id=""))
            publisher.publish(FRAME)
            got = wait_for(first, type(FRAME))
            assert (got.seq, got.tracks, got.boot_id) == (FRAME.seq, FRAME.tracks, "b0")
            with Subscriber(relay.endpoint, kinds=("hello",)) as late:
                assert wait_for(late, Hello).classes == boot.classes
            publisher.end(EndOfStream(reason="ended", detail="the file is over"))
            wait_for(first, EndOfStream, detail="the file is over")
        with Subscriber(relay.endpoint, kinds=("hello",)) as last:
            while last.end is None:
                last.receive(0.1)
        assert relay.streams == ["cam-1"]


def test_a_restarted_engine_takes_its_end_back(run):
    with Publisher("tcp://127.0.0.1:*", "cam-1", hello=hello()) as publisher:
        endpoint = publisher.endpoint
        relay = run(Relay([endpoint], "tcp://127.0.0.1:*"))
        with Subscriber(relay.endpoint, kinds=ALL) as reader:
            wait_for(reader, Hello)
            publisher.close("stopped")
            wait_for(reader, EndOfStream)
    with Publisher(endpoint, "cam-1", hello=hello(model="next")):
        with Subscriber(relay.endpoint, kinds=("hello",), follow=True) as reader:
            wait_for(reader, Hello, model="next")
        with Subscriber(relay.endpoint, kinds=("hello",)) as reader:
            assert wait_for(reader, Hello).model == "next"
            assert reader.receive(0) is None
            assert reader.end is None


def test_streams_of_several_publishers_come_at_one_address(run):
    with (
        Publisher("tcp://127.0.0.1:*", "a", hello=hello()) as one,
        Publisher("tcp://127.0.0.1:*", "b", hello=hello()) as two,
    ):
        relay = run(Relay([one.endpoint, two.endpoint], "tcp://127.0.0.1:*"))
        with Subscriber(relay.endpoint, stream="b", kinds=("hello", "frame")) as reader:
            assert wait_for(reader, Hello).stream == "b"
            one.publish(frame(1, "a"))
            two.publish(frame(2, "b"))
            assert wait_for(reader, type(FRAME)).seq == 2


def test_readers_keep_their_keys_behind_a_relay_with_the_publisher_s_folder(run, tmp_path):
    folder = KeyFolder(tmp_path / "keys")
    folder.init()
    for name in ("relay", "robot1"):
        folder.add(name, tmp_path / f"{name}.key")
    with Publisher("tcp://127.0.0.1:*", "cam-1", hello=hello(), keys=folder.path) as publisher:
        source, key = [publisher.endpoint], tmp_path / "relay.key"
        relay = run(Relay(source, "tcp://127.0.0.1:*", key=key, keys=folder.path))
        robot = tmp_path / "robot1.key"
        for endpoint in (publisher.endpoint, relay.endpoint):
            with Subscriber(endpoint, kinds=("hello",), key=robot) as reader:
                assert wait_for(reader, Hello).stream == "cam-1"
        with Subscriber(relay.endpoint, kinds=("hello",)) as stranger:
            while stranger.refusal is None:
                assert stranger.receive(0.05) is None


def test_what_is_no_message_is_not_forwarded(run):
    context = zmq.Context()
    sender = context.socket(zmq.XPUB)
    sender.bind("tcp://127.0.0.1:*")
    relay = Relay([sender.getsockopt_string(zmq.LAST_ENDPOINT)], "tcp://127.0.0.1:*")
    with relay:
        while not sender.poll(0):
            relay.step()
        sender.recv()
        for data in (b"avis1.", b"avis1.cam.junk\0x", encode(HELLO)):
            sender.send(data)
        sender.send_multipart([encode(HELLO)])
        for number in range(70):
            sender.send(encode(replace(HELLO, stream=f"s{number}")))
        while relay.forwarded + relay.refused < 74:
            relay.step()
        assert len(relay.streams) == 64
        assert relay.refused == 2 + 7
    context.destroy(0)


def test_an_old_status_is_not_told_to_late_joiners():
    now_ns = [10**9]
    with Publisher("tcp://127.0.0.1:*", "cam-1", hello=hello()) as publisher:
        relay = Relay([publisher.endpoint], "tcp://127.0.0.1:*", clock=lambda: now_ns[0])
        with relay:
            publisher.status(replace(STATUS, stream="", boot_id=""))
            while "status" not in relay._kept.get("cam-1", {}):
                relay.step()
            assert told(relay, now_ns) == {Hello, Status}
            now_ns[0] += 2 * 10**9
            assert told(relay, now_ns) == {Hello}


def told(relay: Relay, now_ns: list[int]) -> set[type]:
    """What somebody who joins now is told."""
    with Subscriber(relay.endpoint, kinds=("hello", "status")) as reader:
        got = set()
        while Hello not in got:
            now_ns[0] += 60_000_000  # greetings are paced
            relay.step()
            while (message := reader.receive(0.01)) is not None:
                got.add(type(message))
        return got


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"sources": []}, "expected the address of a publisher"),
        ({"sources": ["tcp://10.0.0.5:5555"]}, "another machine"),
        ({"address": "tcp://0.0.0.0:5999"}, "without keys nothing leaves"),
        ({"key": "x.key", "insecure_source": True}, "exclude each other"),
    ],
)
def test_what_is_refused(options, sentence):
    given = {"sources": ["tcp://127.0.0.1:9"], "address": "tcp://127.0.0.1:*"} | options
    with pytest.raises(WireError, match=sentence):
        Relay(given.pop("sources"), given.pop("address"), **given)


def test_a_relay_does_not_read_itself():
    with Publisher("tcp://127.0.0.1:*", "cam", hello=hello()) as free:
        endpoint = free.endpoint
    with pytest.raises(WireError, match="both source and target"):
        Relay([endpoint], endpoint)
