"""The connections of a publisher's socket: how many, and what each may ask for.

libzmq tells its monitor of every connection by its descriptor, and each subscription says from
which descriptor it came. A peer that asks for more than a reader does is disconnected, and libzmq
frees what it kept for it.
"""

from __future__ import annotations

import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from streamavis.limits import Places, RateLimit, scarce

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

__all__ = ["MAX_NEW", "MAX_PREFIX", "MAX_READERS", "MAX_SUBSCRIPTIONS", "Peers", "Tell"]

# Connections that have not subscribed yet. A handshake takes milliseconds, with keys too.
MAX_NEW: Final = 64
_MAX_NEW_EACH: Final = 32  # of one address
MAX_READERS: Final = 128  # each may have 4 messages of 1 MiB waiting
_MAX_READERS_EACH: Final = 64  # of one address
# Prefixes of one reader. A socket that is connected to several publishers sends each of them all
# its prefixes, so unknown ones are normal: 16 streams of 4 kinds.
MAX_SUBSCRIPTIONS: Final = 64
MAX_PREFIX: Final = 128  # bytes; the longest topic has 78, and libzmq keeps 40 bytes for each
# Subscriptions and cancellations of one reader, at once and a second: twice all its prefixes.
_CHANGES_AT_ONCE: Final = 2 * MAX_SUBSCRIPTIONS
_CHANGES_PER_S: Final = 16


class Tell(Protocol):
    """Logs a line, or counts it: `limits.LogLimiter.tell`."""

    def __call__(self, kind: Hashable, line: str, *, known: bool = False) -> None: ...


@dataclass(slots=True)
class _Peer:
    remote: object  # its address and port, as the system tells it
    address: str
    pace: RateLimit
    subscriptions: int = 0


class Peers:
    """Connections by descriptor; used by the thread that owns the socket.

    A descriptor may be closed by libzmq's thread at any time, and be used for another connection.
    So what is to be disconnected is compared with what was accepted first.
    """

    def __init__(self, tell: Tell, clock: Callable[[], int]) -> None:
        """Prepare for one socket; `clock` is monotonic, ns."""
        self._tell = tell
        self._clock = clock
        self._peers: dict[int, _Peer] = {}
        self._places = Places(
            new=MAX_NEW,
            new_each=_MAX_NEW_EACH,
            proven=MAX_READERS,
            proven_each=_MAX_READERS_EACH,
        )

    def __len__(self) -> int:
        return len(self._peers)

    def accepted(self, descriptor: int) -> None:
        """A peer has connected."""
        remote = _remote(descriptor)
        if remote is None:  # gone already
            return
        address = str(remote[0]) if isinstance(remote, tuple) and remote else "this machine"
        pace = RateLimit(_CHANGES_PER_S, _CHANGES_AT_ONCE, self._clock)
        self._peers[descriptor] = _Peer(remote, address, pace)
        if scarce(descriptor):
            self._disconnect(descriptor, "too few descriptors are left (ulimit -n)")
            return
        for key in self._places.take(descriptor, address):
            assert isinstance(key, int), "only descriptors are kept"
            self._disconnect(key, "it connects and does not subscribe")

    def disconnected(self, descriptor: int) -> None:
        """A peer is gone, whoever closed the connection."""
        self._peers.pop(descriptor, None)
        self._places.leave(descriptor)

    def asked(self, descriptor: int, event: bytes) -> bool:
        """A peer sent `event`: 1 and a prefix to subscribe to, 0 and one to cancel.

        Returns:
            False: it is disconnected for it.
        """
        peer = self._peers.get(descriptor)
        if peer is None:  # left before its subscription was read
            return False
        kind, length = event[:1], len(event) - 1
        peer.subscriptions += {b"\1": 1, b"\0": -1}.get(kind, 0)
        if kind not in {b"\0", b"\1"}:
            cause = "it sends messages, expected subscriptions"
        elif length > MAX_PREFIX:
            cause = f"it subscribes to {length} bytes, expected at most {MAX_PREFIX}"
        elif peer.subscriptions > MAX_SUBSCRIPTIONS:
            cause = f"it has more than {MAX_SUBSCRIPTIONS} subscriptions"
        elif not peer.pace.take():
            cause = f"it changes its subscriptions more than {_CHANGES_PER_S} times a second"
        elif not self._places.prove(descriptor):
            cause = f"{MAX_READERS} readers, or {_MAX_READERS_EACH} of its address, read already"
        else:
            return True
        self._disconnect(descriptor, cause)
        return False

    def clear(self) -> None:
        """The socket is closed, and all its connections."""
        self._peers.clear()
        self._places.clear()

    def _disconnect(self, descriptor: int, cause: str) -> None:
        """End a connection; libzmq notices and frees everything it has of it."""
        peer = self._peers.pop(descriptor, None)
        self._places.leave(descriptor)
        if peer is None:
            return
        self._tell((cause, peer.address), f"disconnected a peer at {peer.address}: {cause}")
        if _remote(descriptor) == peer.remote:
            _with(descriptor, lambda connection: connection.shutdown(socket.SHUT_RDWR))


def _remote(descriptor: int) -> object:
    """The other side of a connection: its address and port, or a text; None: there is none."""
    return _with(descriptor, lambda connection: connection.getpeername())


def _with(descriptor: int, use: Callable[[socket.socket], object]) -> object:
    """Use a descriptor that libzmq owns as a socket; None: it is none, or not connected."""
    try:
        connection = socket.socket(fileno=descriptor)
    except OSError:
        return None
    try:
        return use(connection)
    except OSError:
        return None
    finally:
        connection.detach()  # it stays libzmq's
