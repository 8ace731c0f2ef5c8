"""What waits for one browser: little, and the newest of it."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Awaitable

__all__ = ["NoPictures", "Pictures", "Socket", "Viewer"]

_IN_FLIGHT: Final = 2  # pictures sent that the page has not drawn yet
_NOTES: Final = 64
_SOUND: Final = 100  # pieces of sound: about 2 s


class Socket(Protocol):
    """The part of a WebSocket that a viewer writes to."""

    def send_str(self, data: str) -> Awaitable[None]: ...
    def send_bytes(self, data: bytes) -> Awaitable[None]: ...


class Pictures(Protocol):
    """Where the newest picture comes from."""

    @property
    def version(self) -> int:
        """Rises with each picture; 0 while there is none."""

    async def packet(self) -> tuple[int, bytes]:
        """The newest picture's version and message; an empty one: it is forgotten."""


class Viewer:
    """Serves one WebSocket so that a slow one costs nothing but its own pictures.

    A picture is not queued: it is fetched once the page has drawn all but one of those it was
    sent. Of each kind of state only the newest waits; of passing notes, `_NOTES`.
    """

    def __init__(self, socket: Socket, pictures: Pictures) -> None:
        self._socket = socket
        self._pictures = pictures
        self._states: dict[str, str] = {}
        self._passing: deque[str] = deque(maxlen=_NOTES)
        self._sound: deque[bytes] = deque(maxlen=_SOUND)
        self.listens = False  # the page plays the sound
        self._sent = 0  # version of the picture sent last
        self._in_flight = 0
        self._wake = asyncio.Event()

    def state(self, kind: str, text: str) -> None:
        """Send a text that replaces any of its kind that still waits."""
        self._states[kind] = text
        self._wake.set()

    def passing(self, text: str) -> None:
        """Send a text of the moment, which a slow viewer may miss."""
        self._passing.append(text)
        self._wake.set()

    def sound(self, packet: bytes) -> None:
        """Send sound, if the page plays it; a slow viewer loses the oldest."""
        if self.listens:
            self._sound.append(packet)
            self._wake.set()

    def silence(self) -> None:
        """Forget sound that waits."""
        self._sound.clear()

    def wake(self) -> None:
        """There is a new picture."""
        self._wake.set()

    def move(self, pictures: Pictures) -> None:
        """From now on show these."""
        self._pictures, self._sent = pictures, 0
        self._wake.set()

    def drawn(self) -> None:
        """The page has drawn a picture."""
        self._in_flight = max(0, self._in_flight - 1)
        self._wake.set()

    async def serve(self) -> None:
        """Send what there is, for ever; ends by cancellation or with the connection."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._states:
                await self._socket.send_str(self._states.pop(next(iter(self._states))))
            while self._passing:
                await self._socket.send_str(self._passing.popleft())
            while self._sound:
                await self._socket.send_bytes(self._sound.popleft())
            if self._pictures.version > self._sent and self._in_flight < _IN_FLIGHT:
                self._sent, packet = await self._pictures.packet()
                if packet:  # not forgotten meanwhile
                    self._in_flight += 1
                    await self._socket.send_bytes(packet)
                self._wake.set()  # what came meanwhile


class NoPictures:
    """Of a viewer who came before the first stream."""

    version: Final = 0

    async def packet(self) -> tuple[int, bytes]:
        """Never asked: there is no picture."""
        raise AssertionError("a picture was asked for where there is none")
