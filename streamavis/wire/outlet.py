"""A publisher's bound socket, and who may come in by it."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

import zmq

from streamavis.errors import WireError
from streamavis.limits import LogLimiter
from streamavis.wire.handshakes import EVENTS, outcomes, seen_by_publisher
from streamavis.wire.peers import Peers
from streamavis.wire.ticker import Ticker
from streamavis.wire.zap import DOMAIN, Authenticator

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Hashable, Iterator

    from streamavis.wire.guard import ConnectionGuard
    from streamavis.wire.keys import ServerKeys

__all__ = ["Outlet"]

# Twice the messages of a tick (a frame and a status): more keeps a slow reader in the past, less
# than a burst drops messages for healthy ones.
_SEND_MARK: Final = 4
_LINGER_MS: Final = 200  # for the end of stream to leave
# Bytes of one message from a peer. The largest that a reader sends is in the handshake with keys.
_MAX_RECEIVED: Final = 1_024
# Subscriptions of one peer that wait. libzmq reads all that wait before it sends, so that a peer
# that refills a longer queue keeps the publisher from sending.
_RECEIVE_MARK: Final = 16
# Connections that wait to be accepted; one that finds no room tries again a second later.
_QUEUE: Final = 1_024
_HANDSHAKE_MS: Final = 5_000  # strangers may not hold a connection for longer
_REOPEN_S: Final = 0.25

_log = logging.getLogger(__name__)


class Outlet:
    """Sends to whoever may read, never waits for a reader, and shuts at the first doubt.

    With a guard every connection is encrypted, and made by a listed key; where the list cannot be
    relied upon there is no socket at all, until it can. Opened by any thread, then used by one.

    Attributes:
        endpoint: where readers connect, with the port that was bound.
        has_lost: a reader at its mark has missed something.
    """

    def __init__(
        self, endpoint: str, guard: ConnectionGuard | None, clock: Callable[[], int]
    ) -> None:
        """Bind.

        Args:
            endpoint: as `address.to_bind` gives it.
            guard: says who may read; None: everybody.
            clock: monotonic ns.

        Raises:
            WireError: it is in use or cannot be bound.
        """
        self.endpoint = endpoint
        self.has_lost = False
        self._guard = guard
        self._lines = LogLimiter(_log.warning, clock)
        self._peers = Peers(self._tell, clock)
        self._reopening = Ticker(clock, _REOPEN_S)
        self._authenticator: Authenticator | None = None
        self._monitor: zmq.Socket[bytes] | None = None
        self._socket: zmq.Socket[bytes] | None = None
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._open(guard.keys if guard is not None else None)

    def wait(self, bell: socket.socket, wait_ms: int | None) -> None:
        """Wait until a reader wants something, `bell` can be read or the time is up.

        Args:
            bell: rings when there is something to send.
            wait_ms: None: for ever; a guard looks at its keys in time nevertheless.
        """
        poller = zmq.Poller()
        poller.register(bell, zmq.POLLIN)
        for each in self._sockets():
            poller.register(each, zmq.POLLIN)
        if self._guard is not None:
            look_ms = self._guard.ticker.wait_ms()
            wait_ms = look_ms if wait_ms is None else min(wait_ms, look_ms)
        try:
            poller.poll(wait_ms)
        except zmq.ZMQError as error:
            if self._guard is None:
                raise
            self._fail(error)

    def attend(self) -> None:
        """Let in whom the keys and the bounds allow, and nobody while keys are in doubt."""
        guard = self._guard
        if guard is None:
            self._watch()
            return
        try:
            if guard.look():
                self._shut()
                self._reopening.due_ns = 0
            if self._socket is None:
                if guard.keys is not None and self._reopening.tick():
                    self._open(guard.keys)
            else:
                self._let_in(guard)
                self._watch()
        except Exception as error:
            self._fail(error)

    def subscriptions(self, most: int) -> Iterator[bytes]:
        """Yield the prefixes that readers have subscribed to since the last call."""
        if self._socket is None:
            return
        for _ in range(most):
            try:
                event = self._socket.recv(zmq.NOBLOCK, copy=False)
            except zmq.Again:
                return
            data = event.bytes
            # What libzmq cancels for a peer that has left has no descriptor.
            if (descriptor := _source(event)) is None:
                continue
            if self._peers.asked(descriptor, data) and data[:1] == b"\1":
                yield data[1:]

    def send(self, data: bytes) -> None:
        """Send without ever blocking; a reader at its mark loses the message."""
        if self._socket is None:
            return
        try:
            self._socket.send(data, zmq.NOBLOCK)
        except zmq.Again:  # NODROP: nobody got it, and one reader is the reason
            self.has_lost = True
            self._socket.set(zmq.XPUB_NODROP, 0)
            self._socket.send(data)
            self._socket.set(zmq.XPUB_NODROP, 1)

    def close(self, linger_ms: int = _LINGER_MS) -> None:
        """Unbind; `term` waits until what was sent has left, or `linger_ms` have passed."""
        for each in self._sockets():
            each.close(linger_ms)
        self._socket = self._monitor = self._authenticator = None
        self._peers.clear()

    def term(self) -> None:
        """Wait until everything is closed; may be called from any thread."""
        self._context.term()

    def _sockets(self) -> list[zmq.Socket[bytes]]:
        # The monitor last, as it has to be closed: see `handshakes.outcomes`.
        authenticator = None if self._authenticator is None else self._authenticator.socket
        several = (self._socket, authenticator, self._monitor)
        return [each for each in several if each is not None]

    def _fail(self, error: Exception) -> None:
        """Shut everybody out until the next try."""
        line = f"is shut and will be tried again: {error!r}"
        self._tell(("shut", type(error)), line, known=True)
        self._shut()

    def _shut(self) -> None:
        # At once, with what is still to be sent: it may be to somebody who has been revoked.
        self.close(0)
        # Returns when the port is free.
        self._context.term()
        self._context = zmq.Context()

    def _open(self, keys: ServerKeys | None) -> None:
        """Bind, with keys if there is a guard; a context of its own has its own authenticator."""
        try:
            self._socket = self._configured()
            self._monitor = self._socket.get_monitor_socket(EVENTS)
            if self._guard is not None:
                assert keys is not None, "no socket without keys where keys are asked for"
                self._protect(self._socket, keys)
            self._socket.bind(self.endpoint)
        except Exception as error:
            self.close(0)
            self._context.term()
            self._context = zmq.Context()
            if not isinstance(error, zmq.ZMQError):
                raise
            if error.errno == zmq.EADDRINUSE:
                cure = "it is in use; choose another port, or tcp://127.0.0.1:* for a free one"
            else:
                cure = str(error.strerror)
            raise WireError(f"cannot publish on {self.endpoint}: {cure}") from error
        self.endpoint = self._socket.getsockopt_string(zmq.LAST_ENDPOINT)

    def _configured(self) -> zmq.Socket[bytes]:
        # Options count only for what is bound after them.
        xpub = self._context.socket(zmq.XPUB)
        xpub.set(zmq.SNDHWM, _SEND_MARK)
        xpub.set(zmq.LINGER, _LINGER_MS)
        xpub.set(zmq.HEARTBEAT_IVL, 500)
        xpub.set(zmq.HEARTBEAT_TIMEOUT, 1_500)
        xpub.set(zmq.MAXMSGSIZE, _MAX_RECEIVED)
        xpub.set(zmq.RCVHWM, _RECEIVE_MARK)
        xpub.set(zmq.BACKLOG, _QUEUE)
        xpub.set(zmq.HANDSHAKE_IVL, _HANDSHAKE_MS)
        xpub.set(zmq.XPUB_NODROP, 1)  # tells of a reader at its mark: see `send`
        # Every subscription is told, not only new ones: the second reader of a topic is a late
        # joiner too. And every cancellation, as they are counted.
        xpub.set(zmq.XPUB_VERBOSER, 1)
        xpub.set(zmq.IPV6, int("[" in self.endpoint))
        return xpub

    def _protect(self, xpub: zmq.Socket[bytes], keys: ServerKeys) -> None:
        """Ask everybody for a listed key; what is bound after this knows no other way in."""
        self._authenticator = Authenticator(self._context, self._tell)
        # The domain, enforced: without an answer from an authenticator nobody is let in.
        xpub.set(zmq.ZAP_DOMAIN, DOMAIN)
        xpub.set(zmq.ZAP_ENFORCE_DOMAIN, 1)
        xpub.set(zmq.CURVE_SERVER, 1)
        xpub.set(zmq.CURVE_PUBLICKEY, keys.public.encode())
        xpub.set(zmq.CURVE_SECRETKEY, keys.secret.encode())

    def _let_in(self, guard: ConnectionGuard) -> None:
        assert self._authenticator is not None, "open with keys"
        assert guard.keys is not None, "shut without keys"
        self._authenticator.clients = guard.keys.clients
        self._authenticator.revoked = guard.revoked
        self._authenticator.answer()

    def _watch(self) -> None:
        """Note who connected and who left, and say why a handshake with keys failed."""
        if self._monitor is None:
            return
        for happened in outcomes(self._monitor):
            if happened.event == zmq.EVENT_ACCEPTED:
                self._peers.accepted(happened.value)
            elif happened.event == zmq.EVENT_DISCONNECTED:
                self._peers.disconnected(happened.value)
            elif self._guard is not None and not happened.succeeded:
                sentence = seen_by_publisher(happened)
                if sentence is not None:
                    self._tell(sentence, sentence)

    def _tell(self, kind: Hashable, line: str, *, known: bool = False) -> None:
        self._lines.tell(kind, f"{self.endpoint} {line}", known=known)


def _source(message: zmq.Frame) -> int | None:
    """Descriptor of the connection that a message came by; None: libzmq made it itself."""
    try:
        return int(message.get(zmq.SRCFD))
    except zmq.ZMQError:
        return None
