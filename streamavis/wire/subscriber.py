"""The reading side: what a robot runs."""

from __future__ import annotations

import math
import time
from collections import deque
from typing import TYPE_CHECKING, Final, Self

import zmq

from streamavis.errors import SchemaError, SchemaVersionError, WireError
from streamavis.types import FrameResult
from streamavis.wire.address import to_connect
from streamavis.wire.ages import Age, AgeBook
from streamavis.wire.codec import MAX_MESSAGE, decode
from streamavis.wire.schema import (
    KINDS,
    MAJOR,
    EndOfStream,
    Kind,
    Message,
    check_stream_name,
    kind_of,
    topic,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable
    from types import TracebackType

__all__ = ["Subscriber"]

_MAX_ROUND: Final = 1_000  # messages read before the clock is looked at; ZeroMQ's receive mark
_FRAMES: Final[tuple[Kind, ...]] = ("frame",)
_RECONNECT_MS: Final = (100, 1_000)  # a restarted engine is heard again within a second


class Subscriber:
    """Yields one publisher's messages, and notices when there are none.

    A context manager and an iterator, which ends with the stream. It belongs to one thread;
    only `silent` may be read from others.

        with Subscriber("tcp://127.0.0.1:5555", on_silence=robot.stop) as results:
            for result in results:
                ...

    Attributes:
        refused: messages that did not follow the schema.
        missed: frames captured that this reader got no result for, by the gaps in `seq`: dropped
            by the engine, lost on the way or skipped by `latest_only`.
        end: the stream's last message; None while it lasts.
    """

    def __init__(
        self,
        address: str,
        *,
        stream: str | None = None,
        kinds: Collection[Kind] = _FRAMES,
        latest_only: bool = False,
        follow: bool = False,
        dead_man_s: float = 0.5,
        on_silence: Callable[[], None] | None = None,
        clock: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        """Connect; the publisher may be started later, or again.

        Args:
            address: the publisher's `endpoint`, such as `tcp://127.0.0.1:5555`.
            stream: the stream to read; None: whichever the address has.
            kinds: what is yielded; hello, status and eos are read in any case.
            latest_only: skip to the newest message of each kind, for readers slower than frames.
            follow: wait for the next engine when a stream ends.
            dead_man_s: how long nothing of `kinds` may arrive before the silence counts.
            on_silence: called once per silence, by the thread that reads, while it reads.
            clock: monotonic ns, of this machine if ages are to be exact.

        Raises:
            WireError: the address is malformed or not loopback, a name or a kind is unknown.
        """
        if not kinds or not set(kinds) <= KINDS.keys():
            raise WireError(f"kinds is {kinds!r}, expected some of {', '.join(KINDS)}")
        if not 0 < dead_man_s < math.inf:
            raise WireError(f"dead_man_s is {dead_man_s}, expected a positive number of seconds")
        endpoint = to_connect(address)
        if stream is not None:
            check_stream_name(stream)
        self.refused = 0
        self.missed = 0
        self.end: EndOfStream | None = None
        self._kinds = frozenset(kinds)
        self._latest_only = latest_only
        self._follow = follow
        self._dead_man_ns = round(dead_man_s * 1e9)
        self._on_silence = on_silence
        self._clock = clock
        self._heard_ns = clock()
        self._silence_told = False
        self._version_told = False
        self._last: FrameResult | None = None
        self._ages = AgeBook()
        self._pending: deque[bytes] = deque()
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._sockets = self._connect(endpoint, stream)
        self._poller = zmq.Poller()
        for socket in self._sockets:
            self._poller.register(socket, zmq.POLLIN)

    @property
    def silent(self) -> bool:
        """True when nothing of `kinds` has been received for `dead_man_s`, or ever."""
        return self._clock() - self._heard_ns >= self._dead_man_ns

    def age(self, result: FrameResult) -> Age:
        """Return how long ago the frame of `result` was taken."""
        return self._ages.age(result, self._clock())

    def receive(self, timeout_s: float | None = None) -> Message | None:
        """Return the next message, waiting for it.

        Args:
            timeout_s: how long to wait; 0 takes only what is there; None waits for ever.

        Returns:
            The message, or None when the time is up or the stream has ended.

        Raises:
            SchemaVersionError: the sender has another major version. Raised once.
            WireError: the subscriber is closed.
        """
        if self._context.closed:
            raise WireError("the subscriber is closed; open another one")
        deadline_s = None if timeout_s is None else time.monotonic() + timeout_s
        while not self._over:
            if (message := self._next(self._wait_ms(deadline_s))) is not None:
                return message
            if self.silent and not self._silence_told:
                self._silence_told = True
                if self._on_silence is not None:
                    self._on_silence()
            if deadline_s is not None and time.monotonic() >= deadline_s:
                break
        return None

    def close(self) -> None:
        """Disconnect."""
        if not self._context.closed:
            for socket in self._sockets:
                socket.close(0)
            self._context.term()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Message:
        if (message := self.receive()) is None:
            raise StopIteration
        return message

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _connect(self, endpoint: str, stream: str | None) -> list[zmq.Socket[bytes]]:
        # The next major version is asked for only to say that it cannot be read.
        later = b"avis%d." % (MAJOR + 1)
        if stream is None:
            return [self._socket(endpoint, [b"avis%d." % MAJOR, later])]
        if self._latest_only and len(self._kinds) == 1:
            # CONFLATE keeps one message whatever its kind, so the others have a socket of their
            # own. It is the second, to be read after the first: an eos ends what came before it.
            (kind,) = self._kinds
            others = [topic(stream, other) for other in KINDS if other != kind]
            return [
                self._socket(endpoint, [topic(stream, kind)], conflate=True),
                self._socket(endpoint, [*others, later]),
            ]
        return [self._socket(endpoint, [*(topic(stream, kind) for kind in KINDS), later])]

    def _socket(
        self, endpoint: str, prefixes: Iterable[bytes], *, conflate: bool = False
    ) -> zmq.Socket[bytes]:
        sub = self._context.socket(zmq.SUB)
        # Options count only for what is connected after them. RCVHWM stays at its default: with
        # a small one the backlog waits at the sender, where it cannot be skipped.
        sub.set(zmq.CONFLATE, int(conflate))
        sub.set(zmq.LINGER, 0)
        sub.set(zmq.HEARTBEAT_IVL, 500)
        sub.set(zmq.HEARTBEAT_TIMEOUT, 1_500)
        sub.set(zmq.RECONNECT_IVL, _RECONNECT_MS[0])
        sub.set(zmq.RECONNECT_IVL_MAX, _RECONNECT_MS[1])
        sub.set(zmq.MAXMSGSIZE, MAX_MESSAGE)
        sub.set(zmq.IPV6, int("[" in endpoint))
        for prefix in prefixes:
            sub.subscribe(prefix)
        sub.connect(endpoint)
        return sub

    def _wait_ms(self, deadline_s: float | None) -> int | None:
        waits_s = []
        if deadline_s is not None:
            waits_s.append(deadline_s - time.monotonic())
        if not self._silence_told:
            waits_s.append((self._heard_ns + self._dead_man_ns - self._clock()) / 1e9)
        return max(0, math.ceil(min(waits_s) * 1e3)) if waits_s else None

    @property
    def _over(self) -> bool:
        return self.end is not None and not self._follow

    def _next(self, wait_ms: int | None) -> Message | None:
        """Return the next message of `kinds`; None: there is none now, or too much else."""
        for _ in range(_MAX_ROUND):
            if not self._pending and not self._fill(wait_ms):
                return None
            wait_ms = 0
            message = self._accept(self._pending.popleft())
            if message is not None or self._over:
                return message
        return None

    def _fill(self, wait_ms: int | None) -> bool:
        """Read what has arrived within `wait_ms` into `_pending`; False: nothing has."""
        ready = dict(self._poller.poll(wait_ms))
        for socket in self._sockets:
            if socket not in ready:
                continue
            if self._latest_only:
                self._pending.extend(_newest(socket))
            else:
                self._pending.append(socket.recv())
        return bool(ready)

    def _accept(self, data: bytes) -> Message | None:
        try:
            message = decode(data)
        except SchemaVersionError:
            self.refused += 1
            if self._version_told:
                return None
            self._version_told = True
            raise
        except SchemaError:
            self.refused += 1
            return None
        now_ns = self._clock()
        self.end = message if isinstance(message, EndOfStream) else None
        if not isinstance(message, EndOfStream):
            self._ages.note(message, now_ns)
        if isinstance(message, FrameResult):
            self._count_missed(message)
        if kind_of(message) not in self._kinds:
            return None
        self._heard_ns = now_ns
        self._silence_told = False
        return message

    def _count_missed(self, result: FrameResult) -> None:
        last, self._last = self._last, result
        if last is not None and (last.stream, last.boot_id) == (result.stream, result.boot_id):
            self.missed += max(0, result.seq - last.seq - 1)


def _newest(socket: zmq.Socket[bytes]) -> list[bytes]:
    """Drain a socket and return the last message of each topic, in order of arrival."""
    newest: dict[bytes, bytes] = {}
    for _ in range(_MAX_ROUND):
        try:
            data = socket.recv(zmq.NOBLOCK)
        except zmq.Again:
            break
        head = data[: data.find(b"\0") + 1]
        newest.pop(head, None)
        newest[head] = data
    return list(newest.values())
