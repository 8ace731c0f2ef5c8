"""A reader's connected socket: refused politely, it comes back more and more slowly."""

from __future__ import annotations

import contextlib
import random
from typing import TYPE_CHECKING, Final

import zmq

from streamavis.wire.codec import MAX_MESSAGE
from streamavis.wire.handshakes import HANDSHAKES, outcomes, seen_by_reader

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from streamavis.wire.keys import ClientKey

__all__ = ["Link"]

_RECONNECT_MS: Final = (100, 1_000)  # a restarted engine is heard again within a second
_REFUSED_S: Final = (0.25, 5.0)  # between tries of one that is refused: the first, the last
# Messages: with MAX_MESSAGE 128 MiB at most. A smaller mark leaves more of a backlog at the sender,
# where it cannot be skipped.
_RECEIVE_MARK: Final = 128
_JITTER: Final = 0.2  # of that, more: many who are refused shall not come at once


class Link:
    """One SUB socket and its monitor.

    libzmq connects again by itself when a connection breaks. A handshake that fails it would
    repeat ten times a second, or never, depending on which side gives up: that is done here.

    Attributes:
        socket: to read from.
        monitor: to poll beside it; `attend` reads it.
        refusal: why the publisher does not let this reader in, one sentence; None: it does, or
            has not been reached yet.
        due_ns: when it is tried again, the clock's time; None: libzmq sees to it.
    """

    def __init__(
        self,
        context: zmq.Context[zmq.Socket[bytes]],
        endpoint: str,
        prefixes: Iterable[bytes],
        *,
        key: ClientKey | None,
        conflate: bool,
        clock: Callable[[], int],
    ) -> None:
        """Connect.

        Args:
            context: of the socket.
            endpoint: as `address.to_connect` gives it.
            prefixes: what to subscribe to.
            key: to prove this reader with, and the publisher by; None: neither is proved.
            conflate: keep the newest message only.
            clock: monotonic ns.
        """
        self.refusal: str | None = None
        self.due_ns: int | None = None
        self._endpoint = endpoint
        self._key = key
        self._clock = clock
        self._wait_s = _REFUSED_S[0]
        self.socket: zmq.Socket[bytes] = context.socket(zmq.SUB)
        # Options count only for what is connected after them.
        self.socket.set(zmq.RCVHWM, _RECEIVE_MARK)
        self.socket.set(zmq.CONFLATE, int(conflate))
        self.socket.set(zmq.LINGER, 0)
        self.socket.set(zmq.HEARTBEAT_IVL, 500)
        self.socket.set(zmq.HEARTBEAT_TIMEOUT, 1_500)
        self.socket.set(zmq.RECONNECT_IVL, _RECONNECT_MS[0])
        self.socket.set(zmq.RECONNECT_IVL_MAX, _RECONNECT_MS[1])
        self.socket.set(zmq.RECONNECT_STOP, zmq.RECONNECT_STOP_HANDSHAKE_FAILED)
        self.socket.set(zmq.MAXMSGSIZE, MAX_MESSAGE)
        self.socket.set(zmq.IPV6, int("[" in endpoint))
        if key is not None:
            self.socket.set(zmq.CURVE_SERVERKEY, key.server.encode())
            self.socket.set(zmq.CURVE_PUBLICKEY, key.public.encode())
            self.socket.set(zmq.CURVE_SECRETKEY, key.secret.encode())
        for prefix in prefixes:
            self.socket.subscribe(prefix)
        self.monitor: zmq.Socket[bytes] = self.socket.get_monitor_socket(HANDSHAKES)
        self.socket.connect(endpoint)

    def attend(self) -> None:
        """Hear what came of handshakes, and try again when it is time."""
        for handshake in outcomes(self.monitor):
            if self.due_ns is not None:
                continue  # of a connection that has been given up
            if handshake.succeeded:
                self.refusal, self._wait_s = None, _REFUSED_S[0]
            else:
                self.refusal = seen_by_reader(handshake, self._endpoint, self._key)
                self._hang_up()
        if self.due_ns is not None and self._clock() >= self.due_ns:
            self.due_ns = None
            self.socket.connect(self._endpoint)

    def close(self) -> None:
        """Disconnect."""
        self.socket.close(0)
        self.monitor.close(0)

    def _hang_up(self) -> None:
        with contextlib.suppress(zmq.ZMQError):  # libzmq has forgotten the endpoint already
            self.socket.disconnect(self._endpoint)
        wait_s = self._wait_s * (1 + _JITTER * random.random())
        self.due_ns = self._clock() + round(wait_s * 1e9)
        self._wait_s = min(2 * self._wait_s, _REFUSED_S[1])
