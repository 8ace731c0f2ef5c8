"""Hostile peers of `streamavis bench attack`. Nothing but 127.0.0.1 is ever connected to."""

from __future__ import annotations

import socket
import struct
import threading
import time
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

import zmq

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "HERE",
    "TOKEN",
    "Attack",
    "Lender",
    "Site",
    "connecting",
    "requesting",
    "setting",
    "subscribing",
    "wrong_keys",
]

HERE: Final = "127.0.0.1"
TOKEN: Final = "only-for-this-benchmark"
_MANY: Final = 400  # connections that an attack keeps open
_BATCH: Final = 50  # messages handed to the system at once
_TEXT, _BINARY = 0x81, 0x82
_USUAL_HZ: Final = 15.0  # pictures of a page that lends its camera
_RECEIVED: Final = 1 << 16


@dataclass(frozen=True, slots=True)
class Site:
    """What is attacked: ports on this machine, and keys where results are encrypted."""

    pid: int
    wire: int
    web: int = 0
    server_key: str = ""  # public
    reader_key: str = ""  # the healthy reader's key file
    lender: Lender | None = None  # lends its camera to the site, at the usual rate so far


Attack: TypeAlias = "Callable[[Site, float], int]"  # returns how much it sent in those seconds


def subscribing(make: Callable[[int], list[bytes]]) -> Attack:
    """One connection that sends subscriptions; `make` gives the next ones by number."""

    def attack(site: Site, seconds: float) -> int:
        sent, end = 0, time.monotonic() + seconds
        with zmq.Context() as context, context.socket(zmq.XSUB) as hostile:
            hostile.set(zmq.LINGER, 0)
            hostile.connect(f"tcp://{HERE}:{site.wire}")
            while time.monotonic() < end:
                for message in make(sent):
                    try:
                        hostile.send(message, zmq.NOBLOCK)
                        sent += 1
                    except zmq.Again:  # it is being disconnected
                        time.sleep(0.001)
        return sent

    return attack


def wrong_keys(site: Site, seconds: float) -> int:
    """Readers that come one after another, each with a new key that is not listed."""
    sent, end = 0, time.monotonic() + seconds
    open_ones: list[zmq.Socket[bytes]] = []
    with zmq.Context() as context:
        while time.monotonic() < end:
            public, secret = zmq.curve_keypair()
            hostile = context.socket(zmq.SUB)
            open_ones.append(hostile)
            hostile.set(zmq.RECONNECT_IVL, -1)
            hostile.set(zmq.CURVE_PUBLICKEY, public)
            hostile.set(zmq.CURVE_SECRETKEY, secret)
            hostile.set(zmq.CURVE_SERVERKEY, site.server_key.encode())
            hostile.connect(f"tcp://{HERE}:{site.wire}")
            hostile.subscribe(b"")
            sent += 1
            if len(open_ones) > _BATCH:
                open_ones.pop(0).close(0)
            time.sleep(0.0005)
        for each in open_ones:
            each.close(0)
    return sent


def connecting(words: bytes, *, keep: bool, wire: bool = False) -> Attack:
    """Connection after connection, each with the same words; `keep`: many stay open."""

    def attack(site: Site, seconds: float) -> int:
        kept: list[socket.socket] = []
        sent, end = 0, time.monotonic() + seconds
        while time.monotonic() < end:
            try:
                connection = socket.create_connection(
                    (HERE, site.wire if wire else site.web), timeout=1
                )
                kept.append(connection)
                connection.sendall(words)
            except OSError:
                continue
            sent += 1
            if not keep or len(kept) > _MANY:
                kept.pop(0).close()
        for connection in kept:
            connection.close()
        return sent

    return attack


def requesting(head: str) -> Attack:
    """Requests without a pause on a few connections that stay open."""
    request = (
        f"{head} HTTP/1.1\r\nHost: {HERE}\r\nAuthorization: Bearer {TOKEN}\r\n"
        "Content-Length: 0\r\n\r\n"
    ).encode()

    def attack(site: Site, seconds: float) -> int:
        end = time.monotonic() + seconds
        with ExitStack() as stack:
            pipes = [stack.enter_context(_Pipe(site.web)) for _ in range(4)]
            while time.monotonic() < end:
                if not sum(pipe.push(request) for pipe in pipes):
                    time.sleep(0.002)
            return sum(pipe.sent for pipe in pipes)

    return attack


def setting(viewers: int) -> Attack:
    """Viewers who change a setting without a pause."""
    batch = b"".join(
        _message(_TEXT, b'{"kind":"settings","settings":{"score_from":0.%02d}}' % number)
        + _message(_TEXT, b'{"kind":"drawn"}')
        for number in range(_BATCH)
    )

    def attack(site: Site, seconds: float) -> int:
        end = time.monotonic() + seconds
        with ExitStack() as stack:
            pipes = [stack.enter_context(_Pipe(site.web, "/view")) for _ in range(viewers)]
            while time.monotonic() < end:
                if not sum(pipe.push(batch) for pipe in pipes):
                    time.sleep(0.002)
            return _BATCH * sum(pipe.sent for pipe in pipes)

    return attack


class _Pipe:
    """A connection to the web port whose answers are thrown away; a context manager."""

    def __init__(self, port: int, path: str = "") -> None:
        """Connect; with `path` as a WebSocket.

        Raises:
            OSError: nobody listens.
        """
        self.sent = 0  # what `push` took
        self._left = memoryview(b"")
        self._socket = socket.create_connection((HERE, port), timeout=5)
        if path:
            self._socket.sendall(
                f"GET {path} HTTP/1.1\r\nHost: {HERE}:{port}\r\nOrigin: http://{HERE}:{port}\r\n"
                f"Authorization: Bearer {TOKEN}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                "Sec-WebSocket-Version: 13\r\n"
                "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode()
            )
            self._socket.recv(_RECEIVED)
        self._socket.setblocking(False)

    def __enter__(self) -> _Pipe:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def push(self, data: bytes) -> bool:
        """Hand `data` over, or the rest of the one before; False: there is no room."""
        with suppress(OSError):
            while self._socket.recv(_RECEIVED):
                pass
        if not self._left:
            self._left = memoryview(data)
            self.sent += 1
        try:
            self._left = self._left[self._socket.send(self._left) :]
        except OSError:
            return False
        return True


class Lender:
    """A visitor who lends a camera, on a thread of its own; a context manager.

    Attributes:
        hz: pictures a second; may be changed at any time.
        sent: pictures so far.
    """

    def __init__(self, port: int, jpeg: bytes) -> None:
        """Connect and begin.

        Raises:
            OSError: nobody listens.
        """
        self.hz = _USUAL_HZ
        self.sent = 0
        self._jpeg = jpeg
        self._pipe = _Pipe(port, "/feed")
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="lender", daemon=True)
        self._thread.start()

    def __enter__(self) -> Lender:
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        self._pipe.__exit__()

    def flood(self, site: Site, seconds: float) -> int:
        """Send as fast as the server takes it, for so long."""
        before, usual = self.sent, self.hz
        self.hz = 1e6
        time.sleep(seconds)
        self.hz = usual
        return self.sent - before

    def _run(self) -> None:
        self._pipe.push(_message(_TEXT, b'{"kind":"begin","camera":"c","microphone":null}'))
        while not self._over.wait(1 / self.hz):
            now_ms = time.monotonic() * 1e3
            picture = struct.pack("<BBdd", 1, 1, now_ms, now_ms) + self._jpeg
            self._pipe.push(_message(_BINARY, picture))
            self.sent = self._pipe.sent


def _message(kind: int, payload: bytes) -> bytes:
    """A client's WebSocket frame; masked with zeros, which leaves the payload as it is."""
    size = len(payload)
    if size < 126:
        return bytes((kind, 0x80 | size)) + bytes(4) + payload
    if size < 1 << 16:
        return bytes((kind, 0x80 | 126)) + struct.pack("!H", size) + bytes(4) + payload
    return bytes((kind, 0x80 | 127)) + struct.pack("!Q", size) + bytes(4) + payload
