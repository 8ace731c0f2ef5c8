"""The authenticator: answers libzmq's question whether a peer may come in (ZAP, ZeroMQ RFC 27).

It runs on the publisher's own thread. Whatever happens to that thread, nobody is let in, and
nothing is sent either. Every socket that asks must set a domain and enforce it: libzmq lets
everybody in where nobody answers otherwise.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Final

import zmq
from zmq.utils import z85

if TYPE_CHECKING:
    from collections.abc import Mapping

    from streamavis.wire.peers import Tell

__all__ = ["DOMAIN", "Authenticator"]

DOMAIN: Final = b"streamavis"
_VERSION: Final = b"1.0"
_ENDPOINT: Final = "inproc://zeromq.zap.01"
_KEY_BYTES: Final = 32
_MAX_ROUND: Final = 100  # handshakes answered before anything else is done
# A key that is refused for the third time is told by itself: a robot with a wrong key comes back,
# and a flood of new keys does not hide it. So many keys are remembered, the latest.
_TRIES_TOLD: Final = 3
_MAX_REFUSED: Final = 8_192
_YES, _NO, _FAULT = b"200", b"400", b"500"


class Authenticator:
    """Lets listed keys in, and nothing else.

    Attributes:
        clients: who may come in, public key (32 bytes) -> name; may be replaced at any time.
        revoked: who might once, for what is told of them.
    """

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], tell: Tell) -> None:
        """Listen to every socket of `context`; `tell` gets a sentence for each peer refused."""
        self._refused: OrderedDict[bytes, int] = OrderedDict()  # keys, and how often each
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
                line = f"refused, because the authenticator failed: {error!r}"
                self._tell(("authenticator", type(error)), line, known=True)
            route, empty, _version, number = request[:4]
            reply = [_VERSION, number, status, text, b"", b""]
            self.socket.send_multipart([route, empty, *reply], zmq.NOBLOCK)

    def _judge(self, request: list[bytes]) -> tuple[bytes, bytes]:
        _route, _empty, version, _number, domain, address, _identity, mechanism = request[:8]
        credentials = request[8:]
        peer = _shown(address)
        if version != _VERSION or domain != DOMAIN or mechanism != b"CURVE":
            self._tell(("clear", peer), f"refused a peer at {peer}: it does not come by CURVE")
            return _NO, b"CURVE only"
        if len(credentials) != 1 or len(credentials[0]) != _KEY_BYTES:
            self._tell(("no key", peer), f"refused a peer at {peer}: its key is none")
            return _NO, b"no key"
        (key,) = credentials
        if key in self.clients:
            return _YES, b"OK"
        self._refuse(key, peer)
        return _NO, b"unknown key"

    def _refuse(self, key: bytes, peer: str) -> None:
        """Tell of a key that is not listed, under a kind that a flood of others does not use."""
        name = self.revoked.get(key)
        whose = f"the key of {name} is revoked" if name else f"its key {_z85(key)} is not listed"
        line = f"refused a peer at {peer}: {whose}; see: streamavis keys list"
        tries = self._refused.pop(key, 0) + 1
        self._refused[key] = tries
        if len(self._refused) > _MAX_REFUSED:
            self._refused.popitem(last=False)
        if name is not None:
            self._tell(("revoked", name), line, known=True)
        elif tries >= _TRIES_TOLD:
            self._tell(("key", key), line)
        else:
            self._tell(("not listed", peer), line)


def _z85(key: bytes) -> str:
    return z85.encode(key).decode()


def _shown(address: bytes) -> str:
    return ascii(address[:64].decode("ascii", "replace")).strip("'")
