"""What a child process that holds a device says to its parent: length-prefixed msgpack."""

from __future__ import annotations

from typing import TypeAlias

import msgspec

from streamavis.errors import InputError

__all__ = [
    "ChildRequest",
    "Failed",
    "FoundMicrophone",
    "Listed",
    "MessageReader",
    "OpenedCamera",
    "OpenedMicrophone",
    "PacketMessage",
    "SoundMessage",
    "encode",
]

_PREFIX = 4  # bytes, big-endian
_LONGEST = 64 << 20  # an 8K picture in YUYV


class ChildRequest(msgspec.Struct, frozen=True):
    """What the child is to open: a microphone by name, or a container by URL; or to list."""

    kind: str  # microphone, packets, list
    target: str = ""
    format: str = ""  # of a container, as libavformat calls it
    options: dict[str, str] = {}
    channels: int = 0  # of a microphone, each by itself beside the mono mix; 0: mono alone


class FoundMicrophone(msgspec.Struct, frozen=True):
    """One microphone, as the sound system describes it."""

    name: str
    rate: int  # Hz, native
    channels: int
    default: bool = False


class OpenedMicrophone(msgspec.Struct, frozen=True, tag="microphone"):
    """Sound follows, in blocks."""

    name: str
    rate: int


class OpenedCamera(msgspec.Struct, frozen=True, tag="camera"):
    """Packets follow, of one picture each."""

    codec: str
    width: int
    height: int
    pixels: str
    time_base: tuple[int, int]
    fps: float | None
    extradata: bytes | None


class SoundMessage(msgspec.Struct, frozen=True, tag="sound"):
    """One callback of the sound card."""

    samples: bytes  # float32, mono
    monotonic_ns: int  # when the callback ran
    age_ns: int | None  # of the first sample then, by the driver's ADC time
    overflow: bool
    missed: int
    channels: int = 0  # of `array`
    array: bytes = b""  # float32, (n, channels), where channels were asked for


class PacketMessage(msgspec.Struct, frozen=True, tag="packet"):
    """One undecoded picture."""

    data: bytes
    pts: int | None
    monotonic_ns: int  # when it had been read


class Listed(msgspec.Struct, frozen=True, tag="list"):
    """Every microphone there is."""

    microphones: list[FoundMicrophone]


class Failed(msgspec.Struct, frozen=True, tag="failed"):
    """It cannot be opened, or broke; the child ends."""

    reason: str


Message: TypeAlias = (
    OpenedMicrophone | OpenedCamera | SoundMessage | PacketMessage | Listed | Failed
)
_DECODER = msgspec.msgpack.Decoder(Message)


def encode(message: msgspec.Struct) -> bytes:
    """A message as it goes through a pipe."""
    body = msgspec.msgpack.encode(message)
    return len(body).to_bytes(_PREFIX, "big") + body


class MessageReader:
    """Cuts a byte stream into messages."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[Message]:
        """The messages that `data` completes.

        Raises:
            InputError: these are not messages, or one is longer than 64 MiB.
        """
        self._buffer += data
        messages = []
        while len(self._buffer) >= _PREFIX:
            length = int.from_bytes(self._buffer[:_PREFIX], "big")
            if length > _LONGEST:
                raise InputError(f"a capture process announced a message of {length} bytes")
            if len(self._buffer) < _PREFIX + length:
                break
            body = bytes(memoryview(self._buffer)[_PREFIX : _PREFIX + length])
            del self._buffer[: _PREFIX + length]
            try:
                messages.append(_DECODER.decode(body))
            except msgspec.MsgspecError as error:
                raise InputError(f"a capture process sent what is no message: {error}") from error
        return messages
