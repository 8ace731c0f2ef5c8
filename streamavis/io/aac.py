"""Sound as AAC, in which hours of silence cost little."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any

import av
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from av.audio.stream import AudioStream
    from av.packet import Packet
    from numpy.typing import NDArray

__all__ = ["BLOCK", "RATE", "AacEncoder"]

RATE = 48_000  # Hz
BLOCK = 1024  # samples of one packet
_BIT_RATE = 160_000
_SETTLED_BLOCKS = 8  # of silence, from which on the encoder repeats itself
_LAG = 3 * BLOCK  # from the end of what is fed back to the latest packet
_WARM_UP = 2 * BLOCK  # silence that is encoded before sound: its packets overlap


class AacEncoder:
    """Blocks of samples as packets of an output stream.

    Long silence is the same packet again and again: encoding an hour of it takes 13 s, repeating
    it 0.4 s.
    """

    def __init__(self, stream: AudioStream, layout: str) -> None:
        """Set the stream's encoder up; its container has not begun. `layout`: mono or stereo."""
        self._stream = stream
        stream.codec_context.layout = layout
        stream.codec_context.bit_rate = _BIT_RATE
        self._layout = layout
        self._done = 0  # samples taken in
        self._fed = 0  # end of what the encoder got
        self._silent = 0  # blocks of silence, the latest ones
        self._last = -_LAG  # start of the latest packet
        self._packet = b""  # likewise

    def add(self, block: NDArray[np.float32]) -> Iterator[Packet[Any]]:
        """Encode the next samples, (n, channels) with n = `BLOCK`, less only at the end."""
        self._silent = 0 if len(block) < BLOCK or block.any() else self._silent + 1
        if self._silent > _SETTLED_BLOCKS:
            self._done += len(block)
            while self._last + _LAG < self._done:
                self._last += BLOCK
                yield _packet(self._packet, self._last)
            return
        yield from self._end_of_silence()
        yield from self._encode(block, self._done)
        self._done += len(block)

    def finish(self) -> Iterator[Packet[Any]]:
        """What the encoder still holds."""
        yield from self._end_of_silence()
        yield from self._new(self._stream.encode(None))

    def _end_of_silence(self) -> Iterator[Packet[Any]]:
        """Let the encoder see the last silence that it did not get."""
        channels = self._stream.codec_context.layout.nb_channels
        for start in range(max(self._fed, self._done - _WARM_UP), self._done, BLOCK):
            yield from self._encode(np.zeros((BLOCK, channels), np.float32), start)

    def _encode(self, block: NDArray[np.float32], start: int) -> Iterator[Packet[Any]]:
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(block.T), "fltp", self._layout)
        frame.sample_rate, frame.pts, frame.time_base = RATE, start, Fraction(1, RATE)
        self._fed = start + len(block)
        yield from self._new(self._stream.encode(frame))

    def _new(self, packets: list[Packet[Any]]) -> Iterator[Packet[Any]]:
        """Without those in whose place repeated silence was given."""
        for packet in packets:
            assert packet.pts is not None, "encoded in time"
            if packet.pts > self._last:
                self._last, self._packet = packet.pts, bytes(packet)
                yield packet


def _packet(data: bytes, start: int) -> Packet[Any]:
    packet = av.Packet(data)
    packet.pts = packet.dts = start
    packet.duration, packet.time_base = BLOCK, Fraction(1, RATE)
    return packet
