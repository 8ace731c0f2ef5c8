"""The authenticator: answers libzmq's question whether a peer may come in (ZAP, ZeroMQ RFC 27).

It runs on the publisher's own thread. Whatever happens to that thread, nobody is let in, and
nothing is sent either. Every socket that asks must set a domain and enforce it: libzmq lets
everybody in where nobody answers otherwise.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import zmq
from zmq.utils import z85

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["DOMAIN", "Authenticator"]

DOMAIN: Final = b"streamavis"
_VERSION: Final = b"1.0"
_ENDPOINT: Final = "inproc://zeromq.zap.01"
_KEY_BYTES: Final = 32
_MAX_ROUND: Final = 100  # handshakes answered before anything else is done
_YES, _NO, _FAULT = b"200", b"400", b"500"


class Authenticator:
    """Lets listed keys in, and nothing else.

    Attributes:
        clients: who may come in, public key (32 bytes) -> name; may be replaced at any time.
        revoked: who might once, for what is told of them.
    """

    def __init__(
        self, context: zmq.Context[zmq.Socket[bytes]], tell: Callable[[str], None]
    ) -> None:
        """Listen to every socket of `context`; `tell` gets a sentence for each peer refused."""
        self.clients: Mapping[bytes, str] = {}
        self.revoked: Mapping[bytes, str] = {}
        self._tell = tell
        self.socket: zmq.Socket[bytes] = context.socket(zmq.ROUTER)
        self.socket.set(zmq.LINGER, 0)
        self.socket.bind(_ENDPOINT)

    def answer(self) -> None:
        """Answer every peer that waits. A request that cannot be understood gets no answer."""
        for _ in range(_MAX_ROUND):
            try:
                request = self.socket.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return
            if len(request) < 4:  # routing id, empty, version, request id
                continue
            try:
                status, text = self._judge(request)
            except Exception as error:
                status, text = _FAULT, b"authenticator failed"
                self._tell(f"let nobody in, as the authenticator failed: {error!r}")
            route, empty, _version, number = request[:4]
            reply = [_VERSION, number, status, text, b"", b""]
            self.socket.send_multipart([route, empty, *reply], zmq.NOBLOCK)

    def _judge(self, request: list[bytes]) -> tuple[bytes, bytes]:
        _route, _empty, version, _number, domain, address, _identity, mechanism = request[:8]
        credentials = request[8:]
        if version != _VERSION or domain != DOMAIN or mechanism != b"CURVE":
            self._tell(f"refused a peer at {_shown(address)}: it does not come by CURVE")
            return _NO, b"CURVE only"
        if len(credentials) != 1 or len(credentials[0]) != _KEY_BYTES:
            self._tell(f"refused a peer at {_shown(address)}: its key is none")
            return _NO, b"no key"
        (key,) = credentials
        if key in self.clients:
            return _YES, b"OK"
        name = self.revoked.get(key)
        whose = f"the key of {name} is revoked" if name else f"its key {_z85(key)} is not listed"
        self._tell(f"refused a peer at {_shown(address)}: {whose}; see: streamavis keys list")
        return _NO, b"unknown key"


def _z85(key: bytes) -> str:
    return z85.encode(key).decode()


def _shown(address: bytes) -> str:
    return ascii(address[:64].decode("ascii", "replace")).strip("'")
