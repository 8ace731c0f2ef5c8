"""An MQTT 3.1.1 broker of a few lines: keeps what is published, and publishes no will.

For machines without mosquitto. It accepts everybody unless it is told a password.
"""

from __future__ import annotations

import queue
import socket
import struct
import threading

__all__ = ["FakeBroker"]

CONNECT, CONNACK, PUBLISH, PUBACK, PINGREQ, PINGRESP, DISCONNECT = 1, 2, 3, 4, 12, 13, 14


class FakeBroker:
    """Listens on a free port of this machine."""

    def __init__(self, *, accepts: bool = True) -> None:
        self.published: queue.Queue[tuple[str, str, bool]] = queue.Queue()  # topic, payload, retain
        self.connects: queue.Queue[bytes] = queue.Queue()
        self._accepts = accepts
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = self._server.getsockname()[1]
        self._peers: list[socket.socket] = []
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def kick(self) -> None:
        """Break every connection."""
        while self._peers:
            self._peers.pop().shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        for peer in self._peers:
            peer.close()
        self._thread.join()

    def _serve(self) -> None:
        while True:
            try:
                peer, _ = self._server.accept()
            except OSError:
                return
            self._peers.append(peer)
            threading.Thread(target=self._talk, args=(peer,), daemon=True).start()

    def _talk(self, peer: socket.socket) -> None:
        try:
            with peer, peer.makefile("rb") as stream:
                while head := stream.read(1):
                    kind, flags = head[0] >> 4, head[0] & 15
                    body = stream.read(length_of(stream))
                    if kind == CONNECT:
                        self.connects.put(body)
                        peer.sendall(bytes([CONNACK << 4, 2, 0, 0 if self._accepts else 5]))
                    elif kind == PUBLISH:
                        self._take(peer, flags, body)
                    elif kind == PINGREQ:
                        peer.sendall(bytes([PINGRESP << 4, 0]))
                    elif kind == DISCONNECT:
                        return
        except OSError:
            return

    def _take(self, peer: socket.socket, flags: int, body: bytes) -> None:
        (size,) = struct.unpack(">H", body[:2])
        rest = body[2 + size :]
        if flags & 6:  # quality of service 1: a number, and an acknowledgement
            peer.sendall(bytes([PUBACK << 4, 2]) + rest[:2])
            rest = rest[2:]
        self.published.put((body[2 : 2 + size].decode(), rest.decode(), bool(flags & 1)))


def length_of(stream) -> int:
    """The remaining length of a packet: seven bits a byte, the lowest first."""
    value = shift = 0
    while True:
        (byte,) = stream.read(1)
        value |= (byte & 127) << shift
        if byte < 128:
            return value
        shift += 7
