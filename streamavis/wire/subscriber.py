"""The reading side: what a robot runs."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from typing import TYPE_CHECKING, Final, Self, TypedDict

import zmq

from streamavis.errors import SchemaError, SchemaVersionError, WireError
from streamavis.limits import LogLimiter
from streamavis.types import FrameResult
from streamavis.wire.address import to_connect
from streamavis.wire.ages import Age, AgeBook
from streamavis.wire.backlog import MAX_BACKLOG, Backlog
from streamavis.wire.codec import decode
from streamavis.wire.keys import ClientKey
from streamavis.wire.link import Link
from streamavis.wire.readiness import Readiness
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
    from collections.abc import Callable, Collection, Iterable, Iterator
    from pathlib import Path
    from types import TracebackType

__all__ = ["Options", "Subscriber"]

_MAX_ROUND: Final = 1_000  # messages read from a socket in one go
_MAX_ROUND_S: Final = 0.05  # spent on messages that are refused before the clock is looked at
_FRAMES: Final[tuple[Kind, ...]] = ("frame",)

_log = logging.getLogger(__name__)


class Options(TypedDict, total=False):
    """Keyword arguments of `Subscriber`, for what opens one: `Subscriber.__init__` says more."""

    stream: str | None
    kinds: Collection[Kind]
    latest_only: bool
    follow: bool
    dead_man_s: float
    on_silence: Callable[[], None] | None
    key: str | Path | None
    insecure: bool
    clock: Callable[[], int]


class Subscriber:
    """Yields one publisher's messages, and notices when there are none.

    A context manager and an iterator, which ends with the stream; also with `async`. It belongs
    to one thread; only `silent` may be read from others.

        with Subscriber("tcp://127.0.0.1:5555", on_silence=robot.stop) as results:
            for result in results:
                ...

        async with Subscriber("tcp://127.0.0.1:5555", on_silence=robot.stop) as results:
            async for result in results:
                ...

    A control loop calls `latest`. `streamavis.wire.Listener` calls a function for each message.

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
        key: str | Path | None = None,
        insecure: bool = False,
        clock: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        """Connect; the publisher may be started later, or again.

        Args:
            address: the publisher's `endpoint`, such as `tcp://127.0.0.1:5555`; on another
                machine `tcp://HOST:PORT`, with a key, or insecurely.
            stream: the stream to read; None: whichever the address has.
            kinds: what is yielded; hello, status and eos are read in any case.
            latest_only: skip to the newest message of each kind, for readers slower than frames.
            follow: wait for the next engine when a stream ends.
            dead_man_s: how long nothing of `kinds` may arrive before the silence counts.
            on_silence: called once per silence, by the thread that reads, while it reads.
            key: this reader's key file, made by `streamavis keys add NAME` where the publisher
                runs. It is read once. With it nothing but that publisher is believed.
            insecure: believe whoever answers at the address, and read in clear.
            clock: monotonic ns, of this machine if ages are to be exact.

        Raises:
            WireError: the address is malformed, or beyond this machine without a key; a name or a
                kind is unknown.
            KeyFileError: the key file is absent, damaged, or others may read it.
        """
        if not kinds or not set(kinds) <= KINDS.keys():
            raise WireError(f"kinds is {kinds!r}, expected some of {', '.join(KINDS)}")
        if not 0 < dead_man_s < math.inf:
            raise WireError(f"dead_man_s is {dead_man_s}, expected a positive number of seconds")
        if key is not None and insecure:
            raise WireError(f"key ({key}) and insecure exclude each other; leave one out")
        endpoint = to_connect(address, beyond=key is not None or insecure)
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
        self._current: Message | None = None  # the newest of `kinds`
        self._ages = AgeBook()
        self._pending = Backlog()
        self._told: set[str] = set()  # refusals, since the last success
        self._lines = LogLimiter(_log.warning, clock)  # a publisher may refuse and accept in turns
        client = None if key is None else ClientKey.read(key)
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._links = self._connect(endpoint, stream, client)
        self._poller = zmq.Poller()
        for link in self._links:
            self._poller.register(link.socket, zmq.POLLIN)
            self._poller.register(link.monitor, zmq.POLLIN)

    @property
    def silent(self) -> bool:
        """True when nothing of `kinds` has been received for `dead_man_s`, or ever."""
        return self._clock() - self._heard_ns >= self._dead_man_ns

    @property
    def overflowed(self) -> int:
        """Messages that were dropped unread, oldest first: more than 32 MiB of them waited.

        A reader that is too slow for its stream has them. Frames among them count as missed, too.
        """
        return self._pending.dropped

    @property
    def refusal(self) -> str | None:
        """Why the publisher does not let this reader in, one sentence; None: it has not refused.

        A reader that is refused goes on trying, every 5 to 6 seconds in the end, whenever it
        reads. What it is refused for is logged, once.
        """
        return next((link.refusal for link in self._links if link.refusal), None)

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
        self._check_open()
        deadline_s = None if timeout_s is None else time.monotonic() + timeout_s
        while not self._over:
            if (message := self._next(self._wait_ms(deadline_s))) is not None:
                return message
            self._tell_silence()
            if deadline_s is not None and time.monotonic() >= deadline_s:
                break
        return None

    async def receive_async(self, timeout_s: float | None = None) -> Message | None:
        """Return the next message, as `receive` does; other tasks of the event loop run meanwhile.

        `on_silence` is called on the event loop, so it must return at once.

        Raises:
            SchemaVersionError: the sender has another major version. Raised once.
            WireError: the subscriber is closed.
        """
        self._check_open()
        deadline_s = None if timeout_s is None else time.monotonic() + timeout_s
        with Readiness(self._poll_fds()) as readiness:
            while True:
                message = self.receive(0)
                late = deadline_s is not None and time.monotonic() >= deadline_s
                if message is not None or self._over or late:
                    # A loop that always finds a message must let other tasks run nevertheless.
                    await asyncio.sleep(0)
                    return message
                await readiness.wait(self._wait_ms(deadline_s))

    def latest(self, max_age_s: float | None = None) -> Message | None:
        """Return the newest message of `kinds` without waiting, for a loop with its own pace.

        What came before it is skipped unread. Where nothing has come since the last call, the
        same message is returned again.

        Args:
            max_age_s: time since the last message of `kinds` was read; None: `dead_man_s`.

        Returns:
            The message, or None: none has come yet, the last one is older than `max_age_s`, or
            the stream has ended.

        Raises:
            SchemaVersionError: the sender has another major version. Raised once.
            WireError: the subscriber is closed.
        """
        self._check_open()
        if not self._over:
            self._fill(0)
            self._pending.keep(_newest(self._pending.drain()))
            while self._pending and not self._over:
                self._accept(self._pending.popleft())
            self._tell_silence()
        limit_ns = self._dead_man_ns if max_age_s is None else round(max_age_s * 1e9)
        is_old = self._clock() - self._heard_ns >= limit_ns
        return None if is_old or self._over else self._current

    def close(self) -> None:
        """Disconnect."""
        if not self._context.closed:
            for link in self._links:
                link.close()
            self._context.term()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Message:
        if (message := self.receive()) is None:
            raise StopIteration
        return message

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Message:
        if (message := await self.receive_async()) is None:
            raise StopAsyncIteration
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

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _check_open(self) -> None:
        if self._context.closed:
            raise WireError("the subscriber is closed; open another one")

    def _poll_fds(self) -> list[int]:
        return [each.FD for link in self._links for each in (link.socket, link.monitor)]

    def _tell_silence(self) -> None:
        if self.silent and not self._silence_told:
            self._silence_told = True
            if self._on_silence is not None:
                self._on_silence()

    def _connect(self, endpoint: str, stream: str | None, key: ClientKey | None) -> list[Link]:
        def link(*prefixes: bytes, conflate: bool = False) -> Link:
            return Link(
                self._context, endpoint, prefixes, key=key, conflate=conflate, clock=self._clock
            )

        # The next major version is asked for only to say that it cannot be read.
        later = b"avis%d." % (MAJOR + 1)
        if stream is None:
            return [link(b"avis%d." % MAJOR, later)]
        if self._latest_only and len(self._kinds) == 1:
            # CONFLATE keeps one message whatever its kind, so the others have a socket of their
            # own. It is the second, to be read after the first: an eos ends what came before it.
            (kind,) = self._kinds
            others = [topic(stream, other) for other in KINDS if other != kind]
            return [link(topic(stream, kind), conflate=True), link(*others, later)]
        return [link(*(topic(stream, kind) for kind in KINDS), later)]

    def _wait_ms(self, deadline_s: float | None) -> int | None:
        waits_s = []
        if deadline_s is not None:
            waits_s.append(deadline_s - time.monotonic())
        if not self._silence_told:
            waits_s.append((self._heard_ns + self._dead_man_ns - self._clock()) / 1e9)
        dues_ns = [link.due_ns for link in self._links if link.due_ns is not None]
        waits_s += [(due_ns - self._clock()) / 1e9 for due_ns in dues_ns]
        return max(0, math.ceil(min(waits_s) * 1e3)) if waits_s else None

    @property
    def _over(self) -> bool:
        return self.end is not None and not self._follow

    def _next(self, wait_ms: int | None) -> Message | None:
        """Return the next message of `kinds`; None: there is none now, or too much else."""
        until_s = math.inf
        if self._pending and not self._latest_only:
            self._fill(0)  # what waits at the sender cannot be dropped oldest first
        for _ in range(_MAX_ROUND):
            if not self._pending and not self._fill(wait_ms):
                return None
            wait_ms = 0
            if time.monotonic() > until_s:
                return None
            until_s = min(until_s, time.monotonic() + _MAX_ROUND_S)
            message = self._accept(self._pending.popleft())
            if message is not None or self._over:
                return message
        return None

    def _fill(self, wait_ms: int | None) -> bool:
        """Read what has arrived within `wait_ms` into `_pending`; False: nothing has."""
        ready = dict(self._poller.poll(wait_ms))
        for link in self._links:
            link.attend()
            if link.socket not in ready:
                continue
            arrived: Iterable[bytes] = _arrived(link.socket)
            for data in _newest(arrived) if self._latest_only else arrived:
                self._pending.append(data)
        self._tell_refusal()
        return bool(self._pending)

    def _tell_refusal(self) -> None:
        refusal = self.refusal
        if refusal is None:
            self._told.clear()
        elif refusal not in self._told:
            self._told.add(refusal)
            self._lines.tell(("refusal", refusal), refusal)

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
        self._current = message
        return message

    def _count_missed(self, result: FrameResult) -> None:
        last, self._last = self._last, result
        if last is not None and (last.stream, last.boot_id) == (result.stream, result.boot_id):
            self.missed += max(0, result.seq - last.seq - 1)


def _arrived(socket: zmq.Socket[bytes]) -> Iterator[bytes]:
    """Drain a socket."""
    for _ in range(_MAX_ROUND):
        try:
            yield socket.recv(zmq.NOBLOCK)
        except zmq.Again:
            return


def _newest(messages: Iterable[bytes]) -> list[bytes]:
    """Return the last message of each topic, in order of arrival."""
    newest: dict[bytes, bytes] = {}
    kept = 0  # bytes: a sender may use any number of topics
    for data in messages:
        head = data[: data.find(b"\0") + 1]
        kept += len(data) - len(newest.pop(head, b""))
        newest[head] = data
        if kept > MAX_BACKLOG:
            break
    return list(newest.values())
