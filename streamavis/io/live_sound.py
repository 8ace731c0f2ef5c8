"""Sound that is being heard, on its way into a recording."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

import av

from streamavis.types import SAMPLE_RATE

if TYPE_CHECKING:
    from collections.abc import Callable

    from av.container import OutputContainer

    from streamavis.audio_ring import AudioRing

__all__ = ["LiveSoundtrack"]

_BLOCK = 1024  # samples of one AAC packet, 64 ms
_BIT_RATE = 64_000
# Sound may come later than its picture: a driver's blocks, a network. What is later than this
# counts as not heard; waiting costs nothing but a longer tail that a kill can take.
_PATIENCE_S = Fraction(1)


class LiveSoundtrack:
    """Feed what a ring hears into an output container, each sample at its own time.

    AAC, 16 kHz mono. What was not heard is silence of the same length: before a microphone starts,
    in its gaps, and after it dies.
    """

    def __init__(
        self, ring: AudioRing, container: OutputContainer, to_stream_ns: Callable[[Fraction], int]
    ) -> None:
        """Add a stream to `container`, which must not have begun.

        Args:
            ring: written to by whoever hears; it has to keep more than 1 s.
            container: of the recording.
            to_stream_ns: from the recording's time, seconds, to the stream's, as the ring has it.
        """
        self._ring = ring
        self._container = container
        self._to_stream_ns = to_stream_ns
        self._stream = container.add_stream("aac", rate=SAMPLE_RATE)
        self._stream.codec_context.layout = "mono"
        self._stream.codec_context.bit_rate = _BIT_RATE
        self._written = 0  # samples

    def mux_before(self, time_s: Fraction) -> None:
        """Write the sound that begins before `time_s`, as far as it has come."""
        self._mux(time_s, time_s - _PATIENCE_S)

    def finish(self, time_s: Fraction) -> None:
        """Write the rest of the sound up to `time_s`."""
        self._mux(time_s, time_s + Fraction(_BLOCK, SAMPLE_RATE))
        self._encode(None)

    def close(self) -> None:
        """Nothing to release."""

    def _mux(self, time_s: Fraction, given_up_s: Fraction) -> None:
        """Write blocks that begin before `time_s` and are heard, or end before `given_up_s`."""
        while (start_s := Fraction(self._written, SAMPLE_RATE)) < time_s:
            end_s = start_s + Fraction(_BLOCK, SAMPLE_RATE)
            heard_ns = self._ring.end_time_ns
            coming = heard_ns is None or heard_ns < self._to_stream_ns(end_s)
            if coming and end_s > given_up_s:
                return
            samples = self._ring.read(self._to_stream_ns(start_s), _BLOCK).samples
            frame = av.AudioFrame.from_ndarray(samples[None], "fltp", "mono")
            frame.sample_rate, frame.pts = SAMPLE_RATE, self._written
            frame.time_base = Fraction(1, SAMPLE_RATE)
            self._written += _BLOCK
            self._encode(frame)

    def _encode(self, frame: av.AudioFrame | None) -> None:
        for packet in self._stream.encode(frame):
            if packet.pts is not None and packet.pts >= 0:  # before 0: the encoder's priming
                self._container.mux_one(packet)
