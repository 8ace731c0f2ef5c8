"""What came of a handshake: libzmq's events, and what they mean to people.

Which side notices a mismatch first is chance; the other sees the connection close, no more. So
the sentence for that (`NO_DETAIL`) names every cause it may have.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import zmq

if TYPE_CHECKING:
    from collections.abc import Iterator

    from streamavis.wire.keys import ClientKey

__all__ = [
    "EVENTS",
    "HANDSHAKES",
    "Handshake",
    "outcomes",
    "seen_by_publisher",
    "seen_by_reader",
]

HANDSHAKES: Final = (
    zmq.EVENT_HANDSHAKE_SUCCEEDED
    | zmq.EVENT_HANDSHAKE_FAILED_AUTH
    | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
    | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
)
EVENTS: Final = HANDSHAKES | zmq.EVENT_ACCEPTED | zmq.EVENT_DISCONNECTED  # of a publisher
_EVENT: Final = struct.Struct("=HI")  # pyzmq's own parser would bring in asyncio
_MAX_ROUND: Final = 1_000


@dataclass(frozen=True, slots=True)
class Handshake:
    """One event of a socket monitor."""

    event: int
    value: int  # ZAP's status, libzmq's code for what was wrong, or a connection's descriptor

    @property
    def succeeded(self) -> bool:
        """True: the other side is who it has to be, and was let in."""
        return self.event == zmq.EVENT_HANDSHAKE_SUCCEEDED


def outcomes(monitor: zmq.Socket[bytes]) -> Iterator[Handshake]:
    """Yield what a monitor has to tell, without waiting.

    Monitors must be read: libzmq's I/O thread waits for them once 2,000 events are unread. They
    are closed after the socket they belong to; `disable_monitor` would wait for that thread.
    """
    for _ in range(_MAX_ROUND):
        try:
            event, *_ = monitor.recv_multipart(zmq.NOBLOCK)
        except zmq.Again:
            return
        if len(event) == _EVENT.size:
            yield Handshake(*_EVENT.unpack(event))


def seen_by_publisher(handshake: Handshake) -> str | None:
    """One sentence on a peer that a publisher with keys turned away; None: told by another.

    Whom the authenticator turns away it tells of itself, as only it knows the key.
    """
    if handshake.event == zmq.EVENT_HANDSHAKE_FAILED_AUTH:
        return None
    if handshake.event == zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL:
        return (
            "a peer left during the handshake: it reads without a key, expects another publisher, "
            "or is no subscriber at all"
        )
    if handshake.value == zmq.PROTOCOL_ERROR_ZMTP_MECHANISM_MISMATCH:
        return "refused a peer that reads without a key; give it one: streamavis keys add NAME"
    if handshake.value == zmq.PROTOCOL_ERROR_ZMTP_CRYPTOGRAPHIC:
        return (
            "refused a peer that expects another publisher's key; give it a key file that was "
            "made here: streamavis keys add NAME"
        )
    return f"refused a peer that does not speak CurveZMQ (libzmq's code 0x{handshake.value:08x})"


def seen_by_reader(handshake: Handshake, endpoint: str, key: ClientKey | None) -> str:
    """One sentence on a publisher that did not let this reader in, with the cure."""
    if handshake.event == zmq.EVENT_HANDSHAKE_FAILED_AUTH:
        if key is not None and handshake.value == 400:
            return (
                f"{endpoint} refuses the key of {key.name} ({key.public}): it is not listed there, "
                "or no longer; see `streamavis keys list` on the publisher's machine"
            )
        return f"{endpoint} refuses: its authenticator failed ({handshake.value}); see its log"
    if key is None:
        wants = (
            "asks for a key and this reader has none"
            if handshake.value == zmq.PROTOCOL_ERROR_ZMTP_MECHANISM_MISMATCH
            and handshake.event == zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
            else "broke off the handshake: it asks for a key, or is no publisher"
        )
        return (
            f"{endpoint} {wants}; read with a key file made there by `streamavis keys add NAME`: "
            "--key FILE (key=FILE)"
        )
    if handshake.event == zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL:
        return (
            f"{endpoint} broke off the handshake: its key is not {key.server}, which the key file "
            f"of {key.name} expects, or it has no keys; make a new key file there: "
            "streamavis keys add NAME"
        )
    if handshake.value == zmq.PROTOCOL_ERROR_ZMTP_MECHANISM_MISMATCH:
        return (
            f"{endpoint} publishes without keys, and this reader was given one; publish with "
            "--keys DIR, or read without a key"
        )
    return (
        f"{endpoint} cannot prove that it has the key {key.server}, which the key file of "
        f"{key.name} expects (libzmq's code 0x{handshake.value:08x})"
    )
