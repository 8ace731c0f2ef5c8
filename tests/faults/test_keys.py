"""Wrong keys, no keys, revoked keys, a broken authenticator: nobody gets a byte."""

from __future__ import annotations

import logging
import socket

import pytest
import zmq
from runtime_fakes import until
from zmq.utils import z85

from streamavis.errors import KeyFileError, WireError
from streamavis.limits import LogLimiter
from streamavis.wire import ClientKey, Hello, KeyFolder, Publisher, Status, Subscriber
from streamavis.wire.schema import KINDS
from streamavis.wire.zap import Authenticator

DEADLINE_S = 60.0
ADDRESS = "tcp://127.0.0.1:*"
HELLO = Hello(model="fake", classes=("dog",), size=(6, 8))
ALL = tuple(KINDS)
SECRET = b"avis1."  # begins every message


def status() -> Status:
    return Status(source="running", audio="ok", video="ok")


@pytest.fixture
def folder(tmp_path):
    made = KeyFolder(tmp_path / "keys")
    made.init()
    made.add("robot1", tmp_path / "robot1.key")
    made.add("robot2", tmp_path / "robot2.key")
    return made


@pytest.fixture
def publisher(folder):
    with Publisher(ADDRESS, "cam", hello=HELLO, status=status, keys=folder.path) as opened:
        yield opened


def stranger(folder, tmp_path):
    """A key file with the right server key, whose client is not listed."""
    ClientKey.new("stranger", folder.server()[0]).write(tmp_path / "stranger.key")
    return tmp_path / "stranger.key"


def of_another_publisher(folder, tmp_path):
    other = KeyFolder(tmp_path / "other")
    other.init()
    return other.add("robot1")


def refused(reader: Subscriber) -> str:
    """Read until the publisher has refused; not one message may have come."""
    got = []
    until(lambda: got.append(reader.receive(0.02)) or reader.refusal is not None)
    assert [message for message in got if message is not None] == []
    return reader.refusal


def hears(reader: Subscriber) -> None:
    until(lambda: reader.receive(0.05) is not None)


def test_the_right_key_reads(publisher, tmp_path):
    with Subscriber(publisher.endpoint, kinds=ALL, key=tmp_path / "robot1.key") as reader:
        hears(reader)
        assert reader.refusal is None


@pytest.mark.parametrize(
    ("key_of", "told", "logged"),
    [
        (stranger, "it is not listed there", "is not listed; see"),
        (of_another_publisher, "broke off the handshake", "expects another publisher"),
        (lambda *_: None, "asks for a key", "without a key"),
    ],
    ids=["wrong client key", "wrong server key", "no key"],
)
def test_a_wrong_or_absent_key_gets_nothing_and_both_sides_say_why(
    publisher, folder, tmp_path, caplog, key_of, told, logged
):
    key = key_of(folder, tmp_path)
    with Subscriber(publisher.endpoint, kinds=ALL, key=key) as reader:
        assert told in refused(reader).replace("it asks", "asks")
        until(lambda: logged in caplog.text)
        reader.receive(0.05)
    warned = [r for r in caplog.records if r.levelno == logging.WARNING]
    assert {r.name for r in warned} == {"streamavis.wire.outlet", "streamavis.wire.subscriber"}
    for path in (tmp_path / "keys/server.key", *tmp_path.rglob("*.key")):
        for line in path.read_text().splitlines():
            if '"secret"' in line:
                assert line.split('"')[3] not in caplog.text


def test_a_reader_with_a_key_believes_no_clear_publisher(tmp_path, folder):
    with (
        Publisher(ADDRESS, "cam", hello=HELLO, status=status) as clear,
        Subscriber(clear.endpoint, kinds=ALL, key=tmp_path / "robot1.key") as reader,
    ):
        assert "without keys" in refused(reader) or "has no keys" in refused(reader)


@pytest.mark.parametrize(
    "words",
    [
        b"\x01\x00",
        b"\xff" + bytes(8) + b"\x7f\x01\x02\x00\x00",
        b"\xff" + bytes(8) + b"\x7f\x03\x00NULL" + bytes(48) + b"\x04\x05READY",
        b"\xff" + bytes(8) + b"\x7f\x03\x00CURVE" + bytes(47) + b"\x04\x05READY",
        b"GET / HTTP/1.1\r\n\r\n",
    ],
    ids=["ZMTP 1", "ZMTP 2", "ZMTP 3 NULL", "CURVE skipped", "HTTP"],
)
def test_older_protocols_are_no_way_around(publisher, words):
    host, port = publisher.endpoint.removeprefix("tcp://").split(":")
    got = b""
    with socket.create_connection((host, int(port)), DEADLINE_S) as raw:
        try:
            raw.sendall(words)
            while data := raw.recv(4_096):
                got += data
        except ConnectionError:
            pass
    assert SECRET not in got


def test_whoever_is_revoked_is_out_and_the_others_are_back(publisher, folder, tmp_path):
    with (
        Subscriber(publisher.endpoint, kinds=ALL, key=tmp_path / "robot1.key") as one,
        Subscriber(publisher.endpoint, kinds=ALL, key=tmp_path / "robot2.key") as two,
    ):
        hears(one)
        hears(two)
        folder.revoke("robot1")
        until(lambda: [one.receive(0.02), two.receive(0)] and one.refusal is not None)
        assert one.receive(0) is None
        hears(two)
        assert two.refusal is None
        folder.add("robot1", tmp_path / "robot1-again.key")
        with Subscriber(publisher.endpoint, key=tmp_path / "robot1-again.key", kinds=ALL) as again:
            hears(again)


@pytest.mark.parametrize("fault", ["raises", "closed", "mute", "folder open", "folder gone"])
def test_a_fault_of_the_authenticator_lets_nobody_in(folder, tmp_path, monkeypatch, fault):
    def broken(*_):
        raise RuntimeError("authenticator down")

    if fault == "raises":
        monkeypatch.setattr(Authenticator, "_judge", broken)
    elif fault == "mute":
        monkeypatch.setattr(Authenticator, "answer", lambda self: None)
    elif fault == "closed":
        monkeypatch.setattr(Authenticator, "answer", lambda self: self.socket.close(0))
    made = []

    def counted() -> Status:
        made.append(1)
        return status()

    with Publisher(ADDRESS, "cam", hello=HELLO, status=counted, keys=folder.path) as publisher:
        if fault == "folder open":
            folder.path.chmod(0o755)
        elif fault == "folder gone":
            folder.path.rename(tmp_path / "gone")
        if fault.startswith("folder"):
            until(lambda: publisher._outlet._socket is None)
        with Subscriber(publisher.endpoint, kinds=ALL, key=tmp_path / "robot1.key") as reader:
            begun, got = len(made), []
            until(lambda: got.append(reader.receive(0.02)) or len(made) > begun + 8)
            assert {*got} == {None}
        if fault == "folder open":
            folder.path.chmod(0o700)
            with Subscriber(publisher.endpoint, kinds=ALL, key=tmp_path / "robot1.key") as reader:
                hears(reader)


def test_without_an_authenticator_libzmq_lets_nobody_in(publisher, tmp_path):
    """The domain is enforced: a handler that is gone is no open door."""
    outlet = publisher._outlet
    assert outlet._socket.get(zmq.ZAP_ENFORCE_DOMAIN) == 1
    assert outlet._socket.get(zmq.ZAP_DOMAIN).rstrip(b"\0") == b"streamavis"
    assert outlet._socket.get(zmq.MECHANISM) == zmq.CURVE


def test_a_refused_reader_comes_back_more_and_more_slowly(publisher, folder, tmp_path):
    class Ticks:
        now_ns = 0

        def __call__(self) -> int:
            return self.now_ns

    clock = Ticks()
    key = stranger(folder, tmp_path)
    waits_s = []
    with Subscriber(publisher.endpoint, kinds=ALL, key=key, clock=clock) as reader:
        (link,) = reader._links
        for _ in range(8):
            until(lambda: reader.receive(0.01) is None and link.due_ns is not None)
            waits_s.append((link.due_ns - clock.now_ns) / 1e9)
            clock.now_ns = link.due_ns
    assert 0.25 <= waits_s[0] <= 0.3
    assert all(5.0 <= wait_s <= 6.0 for wait_s in waits_s[5:])
    assert waits_s[:6] == sorted(waits_s[:6])


def test_a_flood_of_wrong_keys_hides_no_refusal_that_matters():
    now_ns, lines = [0], []
    log = LogLimiter(lines.append, lambda: now_ns[0])
    with zmq.Context() as context:
        authenticator = Authenticator(context, log.tell)
        authenticator.revoked = {b"r" * 32: "robot1"}

        def comes(key, address=b"10.0.0.9"):
            asked = [b"", b"", b"1.0", b"1", b"streamavis", address, b"", b"CURVE", key]
            assert authenticator._judge(asked)[0] == b"400"

        def flood(first, count):
            for number in range(first, first + count):
                comes(number.to_bytes(4, "big") * 8, b"10.0.0.%d" % (number % 200))

        flood(0, 20_000)
        assert len(lines) <= 70, "by address, and the rest together"
        comes(b"r" * 32)
        assert "the key of robot1 is revoked" in lines[-1]
        now_ns[0] = 61_000_000_000
        for again in range(3):
            flood(50_000 * (again + 1), 1_000)
            comes(b"w" * 32, b"10.0.0.7")
        assert sum(z85.encode(b"w" * 32).decode() in line for line in lines) == 1
        authenticator.socket.close()


def test_beyond_this_machine_only_with_keys_and_somebody_listed(tmp_path):
    beyond = "tcp://0.0.0.0:*"
    with pytest.raises(WireError, match="without keys nothing leaves"):
        Publisher(beyond, "cam", hello=HELLO)
    with pytest.raises(KeyFileError, match="streamavis keys init"):
        Publisher(beyond, "cam", hello=HELLO, keys=tmp_path / "none")
    empty = KeyFolder(tmp_path / "empty")
    empty.init()
    with pytest.raises(KeyFileError, match="lists no client"):
        Publisher(beyond, "cam", hello=HELLO, keys=empty.path)
    with pytest.raises(WireError, match="exclude each other"):
        Publisher(beyond, "cam", hello=HELLO, keys=empty.path, insecure=True)
    with pytest.raises(WireError, match="without a key anybody could answer"):
        Subscriber("tcp://10.0.0.5:5555")


def test_insecure_is_spelled_out_once_and_loudly(caplog):
    with Publisher("tcp://0.0.0.0:*", "cam", hello=HELLO, insecure=True):
        pass
    (record,) = caplog.records
    assert record.getMessage().startswith("INSECURE: tcp://0.0.0.0:")
