"""What a window's process and the engine's say to each other: typed messages over a pipe.

Both ends are ours and of one version; each message is a tagged msgpack record, a picture's pixels
follow theirs as bytes of their own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import msgspec
import numpy as np

from streamavis.types import AudioChunk, Candidate, FrameResult, SourceEvent
from streamavis.viz.screen import Action, ScreenHealth  # noqa: TC001, msgspec reads them at run time

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

    from numpy.typing import NDArray

__all__ = [
    "Asked",
    "Closed",
    "End",
    "Event",
    "FromWindow",
    "Introduced",
    "Said",
    "Saved",
    "Shown",
    "ToWindow",
    "Told",
    "WindowPicture",
    "WindowReady",
    "WindowSound",
    "chunk_of",
    "receive_by_window",
    "receive_from_window",
    "send",
]


class WindowPicture(msgspec.Struct, tag=True):
    """A frame and its result; its pixels come next."""

    result: FrameResult
    size: tuple[int, int]  # height, width
    age_ns: int  # since it was captured, when it was sent
    sent_ns: int  # machine's monotonic clock
    candidates: list[Candidate] = []
    kinds: list[tuple[str, float]] | None = None  # what was heard at it, the likeliest first


class WindowSound(msgspec.Struct, tag=True):
    """An `AudioChunk`."""

    start_time_ns: int
    samples: bytes  # float32


class Introduced(msgspec.Struct, tag=True):
    """Which model looks, and what it can find."""

    model: str
    classes: tuple[str, ...]


class Event(msgspec.Struct, tag=True):
    """A source changed its state."""

    event: SourceEvent


class Told(msgspec.Struct, tag=True):
    """How the engine is doing."""

    health: ScreenHealth


class Said(msgspec.Struct, tag=True):
    """A sentence for a few seconds."""

    words: str


class End(msgspec.Struct, tag=True):
    """The stream is over."""


class WindowReady(msgspec.Struct, tag=True):
    """The window can open."""


class Shown(msgspec.Struct, tag=True):
    """A picture reached the screen; the next may come."""


class Asked(msgspec.Struct, tag=True):
    """A key asked for something the window's process cannot do."""

    action: Action
    on: bool = True  # of what can be on or off


class Saved(msgspec.Struct, tag=True):
    """A screenshot was written."""

    path: str


class Closed(msgspec.Struct, tag=True):
    """Somebody closed the window."""


ToWindow: TypeAlias = Introduced | WindowPicture | WindowSound | Event | Told | Said | End
FromWindow: TypeAlias = WindowReady | Shown | Asked | Saved | Closed

_ENCODER = msgspec.msgpack.Encoder()
_BY_WINDOW: msgspec.msgpack.Decoder[ToWindow] = msgspec.msgpack.Decoder(ToWindow)
_FROM_WINDOW: msgspec.msgpack.Decoder[FromWindow] = msgspec.msgpack.Decoder(FromWindow)


def send(
    pipe: Connection, message: ToWindow | FromWindow, image: NDArray[np.uint8] | None = None
) -> None:
    """Send a message, and the pixels of a `WindowPicture`; blocks while the pipe is full."""
    pipe.send_bytes(_ENCODER.encode(message))
    if image is not None:
        pipe.send_bytes(np.ascontiguousarray(image).data.cast("B"))


def receive_by_window(pipe: Connection) -> tuple[ToWindow, NDArray[np.uint8] | None]:
    """The next message to the window, with its pixels, (H, W, 3).

    Raises:
        EOFError: the engine's process has closed the pipe, or died.
    """
    message = _BY_WINDOW.decode(pipe.recv_bytes())
    if not isinstance(message, WindowPicture):
        return message, None
    return message, np.frombuffer(pipe.recv_bytes(), np.uint8).reshape(*message.size, 3)


def receive_from_window(pipe: Connection) -> FromWindow:
    """The next message from the window.

    Raises:
        EOFError: the window's process has ended.
    """
    return _FROM_WINDOW.decode(pipe.recv_bytes())


def chunk_of(sound: WindowSound) -> AudioChunk:
    """The sound of a message."""
    return AudioChunk(np.frombuffer(sound.samples, np.float32), sound.start_time_ns)
