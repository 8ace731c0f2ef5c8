"""A forwarder: reads publishers and publishes what they send to any number of readers."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final, Self

import zmq

from streamavis.errors import SchemaError, WireError
from streamavis.wire.address import to_connect
from streamavis.wire.codec import MAX_MESSAGE
from streamavis.wire.keys import ClientKey
from streamavis.wire.link import Link
from streamavis.wire.outlet import open_outlet
from streamavis.wire.schema import MAJOR, check_stream_name, parse_topic
from streamavis.wire.ticker import Ticker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path
    from types import TracebackType

__all__ = ["Relay"]

_MAX_STREAMS: Final = 64
_MAX_ROUND: Final = 200  # messages of one publisher before readers are attended to
_MAX_GREETED: Final = 1_000  # subscriptions a round
_GREET_S: Final = 0.05  # late joiners are greeted together, as by a publisher
_FRESH_NS: Final = 1_000_000_000  # a status that is older says nothing of now
_TICK_MS: Final = 100


class Relay:
    """Forwards every message as it came. A context manager; it belongs to one thread.

    A publisher sends to the relay once, and the relay to each reader: the publisher's machine and
    its network carry one connection. Late joiners get at once the hello, the end of a stream that
    has ended, and a status of the last second. Messages are forwarded unopened, with their stamps:
    readers check them as they check a publisher's. Readers that do not keep up lose messages, as
    they do at a publisher, and delay nobody.

    Attributes:
        endpoint: where readers connect, with the port that was bound.
        forwarded: messages.
        refused: messages that were not forwarded: too long, not of this schema, too many streams.
    """

    def __init__(
        self,
        sources: Sequence[str],
        address: str,
        *,
        stream: str | None = None,
        key: str | Path | None = None,
        insecure_source: bool = False,
        keys: Path | None = None,
        insecure: bool = False,
        clock: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        """Bind, and connect to the publishers; they may be started later, or again.

        Args:
            sources: addresses of publishers with different streams.
            address: where to publish, as of `Publisher`.
            stream: forward this one alone.
            key: the relay's key file, made where the publishers run.
            insecure_source: believe whoever answers at the addresses, and read in clear.
            keys: folder with the relay's own key and its readers'. With a copy of the publisher's
                folder readers keep their key files.
            insecure: publish in clear to other machines.
            clock: monotonic ns.

        Raises:
            WireError: an address is malformed, in use, or beyond this machine without keys.
            KeyFileError: the key file or the folder cannot be used.
        """
        if not sources:
            raise WireError("sources is empty, expected the address of a publisher")
        if key is not None and insecure_source:
            raise WireError(f"key ({key}) and insecure_source exclude each other; leave one out")
        beyond = key is not None or insecure_source
        endpoints = [to_connect(one, beyond=beyond) for one in dict.fromkeys(sources)]
        prefix = b"avis%d." % MAJOR
        if stream is not None:
            prefix += check_stream_name(stream).encode() + b"."
        client = None if key is None else ClientKey.read(key)
        self.forwarded = 0
        self.refused = 0
        self._clock = clock
        self._outlet = open_outlet(address, keys, insecure, clock)
        self.endpoint = self._outlet.endpoint
        if self.endpoint in endpoints:
            self._outlet.close(0)
            self._outlet.term()
            raise WireError(f"{self.endpoint} is both source and target of the relay")
        self._kept: dict[str, dict[str, tuple[int, bytes]]] = {}  # stream -> kind -> when, what
        self._asked: set[bytes] = set()  # prefixes of subscriptions to be greeted
        self._greeting = Ticker(clock, _GREET_S)
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._links = [
            Link(self._context, endpoint, [prefix], key=client, conflate=False, clock=clock)
            for endpoint in endpoints
        ]

    @property
    def streams(self) -> list[str]:
        """Names of the streams that have come."""
        return sorted(self._kept)

    @property
    def refusals(self) -> list[str]:
        """Why publishers do not let the relay in, a sentence each."""
        return [link.refusal for link in self._links if link.refusal]

    def step(self) -> None:
        """Wait for messages or readers, 0.1 s at most, and forward what there is."""
        bells = [each for link in self._links for each in (link.socket, link.monitor)]
        wait_ms = min(_TICK_MS, self._greeting.wait_ms()) if self._asked else _TICK_MS
        self._outlet.wait(bells, wait_ms)
        self._outlet.attend()
        for link in self._links:
            link.attend()
            for data in _arrived(link.socket):
                self._forward(data)
        self._asked |= set(self._outlet.subscriptions(_MAX_GREETED))
        if self._asked and self._greeting.tick():
            self._greet()

    def close(self) -> None:
        """Disconnect and give the address back; safe to call twice."""
        if self._context.closed:
            return
        for link in self._links:
            link.close()
        self._context.term()
        self._outlet.close()
        self._outlet.term()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _forward(self, data: bytes) -> None:
        try:
            stream, kind, _ = parse_topic(data)
        except SchemaError:
            self.refused += 1
            return
        if len(data) > MAX_MESSAGE or (
            stream not in self._kept and len(self._kept) >= _MAX_STREAMS
        ):
            self.refused += 1
            return
        kept = self._kept.setdefault(stream, {})
        if kind != "eos":
            kept.pop("eos", None)  # the next engine
        if kind != "frame":
            kept[kind] = self._clock(), data
        self._outlet.send(data)
        self.forwarded += 1

    def _greet(self) -> None:
        """Send the last values again that new readers have missed; known ones get them twice."""
        oldest_ns = self._clock() - _FRESH_NS
        for kept in self._kept.values():
            for kind in ("hello", "status", "eos"):
                at_ns, data = kept.get(kind, (0, b""))
                wanted = any(data.startswith(prefix) for prefix in self._asked)
                if data and wanted and (kind != "status" or at_ns >= oldest_ns):
                    self._outlet.send(data)
        self._asked.clear()


def _arrived(socket: zmq.Socket[bytes]) -> Iterator[bytes]:
    for _ in range(_MAX_ROUND):
        try:
            yield socket.recv(zmq.NOBLOCK)
        except zmq.Again:
            return
