"""The sending side: one socket and one thread per stream."""

from __future__ import annotations

import contextlib
import logging
import secrets
import socket
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

import zmq

from streamavis.errors import WireError
from streamavis.types import FrameResult, Stage
from streamavis.wire.address import host_boot_id, is_local, to_bind
from streamavis.wire.codec import encode
from streamavis.wire.guard import ConnectionGuard
from streamavis.wire.outbox import Outbox
from streamavis.wire.outlet import Outlet
from streamavis.wire.schema import (
    KINDS,
    EndOfStream,
    EndReason,
    Hello,
    Kind,
    Message,
    Status,
    kind_of,
    topic,
)
from streamavis.wire.ticker import Ticker

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import TracebackType

__all__ = ["STATUS_INTERVAL_S", "Publisher"]

STATUS_INTERVAL_S: Final = 0.1  # twice the promised 5 Hz, so that a late tick keeps the promise

_REPEATS: Final = 5  # of the end of stream, where a reader may have missed it
_REPEAT_S: Final = 0.1
_JOIN_S: Final = 1.0
_MAX_GREETED: Final = 1_000  # subscriptions a round, so that no reader can hold up the rest
# Late joiners are greeted together: greetings go to everybody, and one for each subscription
# would push frames out of the queues of healthy readers.
_GREET_S: Final = 0.05

_Signed = TypeVar("_Signed", Hello, Status, EndOfStream)

_log = logging.getLogger(__name__)


class Publisher:
    """Publishes one stream's results; nothing here ever waits for a reader.

    A context manager. All methods may be called from any thread.
    """

    def __init__(
        self,
        address: str,
        stream: str,
        *,
        hello: Hello,
        status: Callable[[], Status] | None = None,
        keys: Path | None = None,
        insecure: bool = False,
        clock: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        """Bind, and start answering readers.

        Args:
            address: `tcp://127.0.0.1:PORT`, `tcp://127.0.0.1:*` for any free port, or
                `ipc://PATH`; with keys, or insecurely, `tcp://ADDRESS:PORT` of this machine too.
            stream: 1 to 64 letters, digits, `_` or `-`.
            hello: what late joiners are told at once; its `boot_id` becomes that of every
                message, a random one if it is empty.
            status: called ten times a second by the publisher's own thread, so it must return at
                once and be safe to call there; None: send only what `status()` is given.
            keys: folder with the publisher's key and its clients', as `keys.KeyFolder` makes it:
                everything is encrypted, and only listed clients may read. It is watched: whoever
                is revoked is out within half a second.
            insecure: let whoever can reach the address read, in clear.
            clock: monotonic ns, of the engine's stamps.

        Raises:
            WireError: the address is malformed, beyond this machine without keys, in use or
                cannot be bound, or the stream name or `hello` is not allowed.
            KeyFileError: `keys` is damaged, open to others, or lists nobody.
        """
        self.stream = stream
        self._topics = {kind: topic(stream, kind) for kind in KINDS}
        self.boot_id = hello.boot_id or secrets.token_hex(8)
        self._clock = clock
        self._make_status = status
        self._status_failing = False
        self._ticker = Ticker(clock, STATUS_INTERVAL_S)
        self._greeting = Ticker(time.monotonic_ns, _GREET_S)  # paces the network, not the stream
        self._asked: set[Kind] = set()  # to be told again at the next greeting
        self._outbox = Outbox()
        self._last_status: Status | None = None
        self._last_seq: int | None = None
        self._joined = 0
        self._ended = self._closed = False
        self._put(self._sign(hello))
        self._outlet = _open(address, keys, insecure, clock)
        self.endpoint: str = self._outlet.endpoint
        self._ear, self._bell = socket.socketpair()
        self._ear.setblocking(False)
        self._bell.setblocking(False)
        self._thread = threading.Thread(target=self._run, name=f"publish-{stream}", daemon=True)
        self._thread.start()

    @property
    def dropped(self) -> int:
        """Frames dropped because the publisher's thread did not keep up."""
        return self._outbox.dropped

    @property
    def joined(self) -> int:
        """Subscriptions that readers have made so far; 0: nobody has come yet."""
        return self._joined

    def publish(self, result: FrameResult) -> None:
        """Send one frame's result, with the publisher's boot id, wall time and `publish` stamp.

        Raises:
            WireError: the result is of another stream or engine, or the stream has ended.
            SchemaError: a value is not allowed on the wire.
        """
        if result.stream != self.stream or result.boot_id not in ("", self.boot_id):
            raise WireError(
                f"a result of stream {result.stream!r}, boot {result.boot_id!r} was given to the "
                f"publisher of {self.stream!r}, boot {self.boot_id!r}"
            )
        signed = replace(
            result,
            boot_id=self.boot_id,
            wall_time=result.wall_time or time.time(),
            stamps={**result.stamps, Stage.PUBLISH: self._clock()},
        )
        self._send(signed)

    def hello(self, hello: Hello) -> None:
        """Replace what late joiners are told, and tell everybody."""
        self._send(self._sign(hello))

    def status(self, status: Status) -> None:
        """Send a status now."""
        self._send(self._sign(status))

    def end(self, end: EndOfStream) -> None:
        """Send the end of the stream; after it nothing more can be sent."""
        self._send(self._sign(end))
        self._ended = True

    def close(self, reason: EndReason = "stopped") -> None:
        """End the stream unless `end` has, let readers have it, and give the address back."""
        if self._closed:
            return
        if not self._ended:
            self.end(self._last_words(reason))
        self._closed = True
        self._ring()
        self._thread.join(_JOIN_S)
        if self._thread.is_alive():
            _log.warning("publisher of %s: status() does not return, socket left", self.stream)
            return
        self._outlet.term()
        self._ear.close()
        self._bell.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close("failed" if isinstance(error, Exception) else "stopped")

    def _sign(self, message: _Signed) -> _Signed:
        known: dict[str, Any] = {"stream": self.stream, "boot_id": self.boot_id}
        if not isinstance(message, EndOfStream):
            known["host_boot_id"] = host_boot_id()
        if isinstance(message, Status):
            known["monotonic_ns"] = self._clock()
        return replace(message, wall_time=time.time(), **known)

    def _last_words(self, reason: EndReason) -> EndOfStream:
        if (last := self._last_status) is None:
            return EndOfStream(reason=reason, seq=self._last_seq)
        return EndOfStream(
            reason=reason,
            epoch=last.epoch,
            seq=self._last_seq,
            captured=last.captured,
            processed=last.processed,
            dropped=last.dropped,
        )

    def _send(self, message: Message) -> None:
        if self._ended:
            raise WireError(f"stream {self.stream!r} has ended; open another Publisher")
        self._put(message)
        self._ring()

    def _put(self, message: Message) -> None:
        self._outbox.put(kind_of(message), encode(message))
        if isinstance(message, FrameResult):
            self._last_seq = message.seq
        elif isinstance(message, Status):
            self._last_status = message

    def _ring(self) -> None:
        # A full bell is a bell that rings already.
        with contextlib.suppress(BlockingIOError):
            self._bell.send(b"\0")

    # What follows runs in the publisher's thread, the only one that touches the socket.

    def _run(self) -> None:
        try:
            while not self._closed:
                self._outlet.wait(self._ear, self._wait_ms())
                with contextlib.suppress(BlockingIOError):
                    self._ear.recv(4_096)
                self._outlet.attend()
                self._greet()
                if self._make_status and self._ticker.tick():
                    self._report(self._make_status)
                self._flush()
            self._flush()  # what was handed over between the last round and the end
        finally:
            self._outlet.close()

    def _greet(self) -> None:
        """Tell new readers what they subscribed to and would otherwise have missed."""
        for prefix in self._outlet.subscriptions(_MAX_GREETED):
            self._joined += 1
            self._asked |= {kind for kind in KINDS if self._topics[kind].startswith(prefix)}
        if self._asked and self._greeting.tick():
            self._outbox.repeat(self._asked)
            self._asked = set()

    def _wait_ms(self) -> int | None:
        """How long nothing is due; None: until somebody asks."""
        waits = [self._ticker.wait_ms()] if self._make_status else []
        waits += [self._greeting.wait_ms()] if self._asked else []
        return min(waits, default=None)

    def _report(self, make_status: Callable[[], Status]) -> None:
        # A status that cannot be made must not take the results with it. Readers see it missing.
        try:
            self._put(self._sign(make_status()))
            self._status_failing = False
        except Exception:
            if not self._status_failing:
                _log.exception("publisher of %s: status() failed", self.stream)
            self._status_failing = True

    def _flush(self) -> None:
        for data in self._outbox.take():
            self._outlet.send(data)
            if data.startswith(self._topics["eos"]):
                self._repeat(data)

    def _repeat(self, data: bytes) -> None:
        """Say the last words again for a while if a reader may have missed them.

        A reader that has lost something gets nothing until it has made room, and ZeroMQ does not
        say when that is. The others hear them twice, as they do when somebody joins late.
        """
        for _ in range(_REPEATS if self._outlet.has_lost else 0):
            time.sleep(_REPEAT_S)
            self._outlet.send(data)


def _open(address: str, keys: Path | None, insecure: bool, clock: Callable[[], int]) -> Outlet:
    """Bind `address`, beyond this machine only with keys or where that was spelled out."""
    if keys is not None and insecure:
        raise WireError(f"keys ({keys}) and insecure exclude each other; leave one out")
    if keys is not None and not zmq.has("curve"):
        raise WireError("this pyzmq knows no CURVE; run: pip install --force-reinstall pyzmq")
    endpoint = to_bind(address, beyond=keys is not None or insecure)
    outlet = Outlet(endpoint, None if keys is None else ConnectionGuard(keys, clock), clock)
    if insecure and not is_local(endpoint):
        _log.warning(
            "INSECURE: %s is published without keys; whoever reaches this machine can read it, "
            "and whoever is on the way can change it",
            outlet.endpoint,
        )
    return outlet
