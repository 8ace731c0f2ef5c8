"""The sound of a media file on its way into a recording: copied where it can be, else AAC."""

from __future__ import annotations

from contextlib import suppress
from fractions import Fraction
from itertools import chain
from typing import TYPE_CHECKING, Any

import av
import numpy as np

from streamavis.io.aac import BLOCK, RATE, AacEncoder
from streamavis.io.demux import PacketReader
from streamavis.io.downmix import mixed
from streamavis.io.resample import Resampler
from streamavis.io.unusable import UNUSABLE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from av.audio.stream import AudioStream
    from av.container import OutputContainer
    from av.packet import Packet
    from numpy.typing import NDArray

    from streamavis.io.container import Media
    from streamavis.io.resample import Piece

__all__ = ["Soundtrack"]

# What players expect in an mp4; the rest (Vorbis, PCM, AC-3, ...) is encoded.
_COPIED = frozenset({"aac", "alac", "flac", "mp3", "opus"})
_NEED_NO_HEADER = frozenset({"mp3"})  # the others' comes from the container; ADTS has none
_SOON_S = Fraction(1, 5)  # an mp4 cannot be read before each of its tracks holds something
_LEAD_S = 2  # read before the beginning: a decoder needs some packets, a seek may be a little off


class Soundtrack:
    """Feed a file's sound into an output container as far as its pictures have come.

    Packets are copied as they are where mp4 can hold them, they begin with the pictures and the
    container's clock does not break; else the sound is decoded and encoded as AAC at 48 kHz, mono
    or stereo, its gaps filled with silence; rate and layout may change on the way. Packets that
    begin before the recording does (or are an encoder's priming) are left out.
    """

    def __init__(
        self,
        media: Media,
        source: AudioStream,
        container: OutputContainer,
        begin_s: Fraction = Fraction(0),
    ) -> None:
        """Add a stream to `container`, which must not have begun.

        Args:
            media: the file, this object's to read and to close.
            source: its sound.
            container: of the recording.
            begin_s: where the recording begins, counted as `MediaSource`'s times are.
        """
        self._packets: Iterator[Packet[Any]]
        self._media = media
        self._begin_s = begin_s
        self._source = source
        self._container = container
        context = source.codec_context
        codec = context.codec.canonical_name
        packets = self._from_begin()
        early, first = _first(packets)
        soon = first is not None and _time(first) <= _SOON_S and not media.clock_breaks
        if soon and codec in _COPIED and (context.extradata or codec in _NEED_NO_HEADER):
            self._output = container.add_stream_from_template(source)
            self._packets = chain(() if first is None else [first], packets)
        else:
            self._output = container.add_stream("aac", rate=RATE)
            encoder = AacEncoder(self._output, "stereo" if context.channels > 1 else "mono")
            rest = chain(early, () if first is None else [first], packets)
            self._packets = self._encoded(encoder, rest)
        self._next: Packet[Any] | None = None
        self._last_dts: int | None = None

    def mux_before(self, time_s: Fraction) -> None:
        """Write all sound that begins before `time_s`."""
        while True:
            self._next = self._next or next(self._packets, None)
            if self._next is None:
                return
            start_s = _time(self._next)
            if start_s >= time_s:
                return
            if start_s >= 0 and self._in_order(self._next):
                self._next.stream = self._output
                self._container.mux_one(self._next)
            self._next = None

    def finish(self, time_s: Fraction) -> None:
        """Write the rest of the sound up to `time_s`."""
        self.mux_before(time_s)

    def close(self) -> None:
        """Release the source."""
        self._media.container.close()

    def _in_order(self, packet: Packet[Any]) -> bool:
        """False for a packet that overlaps what is written, which mp4 cannot hold."""
        if packet.dts is None or (self._last_dts is not None and packet.dts <= self._last_dts):
            return False
        self._last_dts = packet.dts
        return True

    def _from_begin(self) -> Iterator[Packet[Any]]:
        """Packets of the file on the recording's time, from a little before it begins."""
        time_base = self._source.time_base or Fraction(1, self._source.codec_context.sample_rate)
        shift = round((self._media.origin_s + self._begin_s) / time_base)
        can_seek = self._media.path is not None and not self._media.clock_breaks
        seeks = self._begin_s > _LEAD_S and can_seek
        if seeks:
            # Hours of a film are not read to get there; where a file cannot be sought in, they are.
            with suppress(av.error.FFmpegError):
                self._media.container.seek(shift - round(_LEAD_S / time_base), stream=self._source)
        reader = PacketReader(self._media, 0, [self._source], from_start=not seeks)
        while (packet := reader.next(self._source)) is not None:
            if packet.pts is not None and packet.dts is not None:
                packet.pts -= shift
                packet.dts -= shift
                if packet.pts * time_base >= -_LEAD_S:
                    yield packet

    def _encoded(
        self, encoder: AacEncoder, packets: Iterable[Packet[Any]]
    ) -> Iterator[Packet[Any]]:
        for block in _blocks(self._laid_out(packets)):
            yield from encoder.add(block)
        yield from encoder.finish()

    def _laid_out(self, packets: Iterable[Packet[Any]]) -> Iterator[NDArray[np.float32]]:
        """(n, channels) from the recording's beginning on, without gaps and overlaps."""
        channels = self._output.codec_context.layout.nb_channels
        done = 0
        for piece in self._decoded(packets):
            start = round(piece.start_s * RATE)
            while done < start:  # a long pause is silence second by second, not at once
                silence = np.zeros((min(start - done, RATE), channels), np.float32)
                done += len(silence)
                yield silence
            # An encoder refuses what damaged floats may be.
            finite = np.nan_to_num(piece.samples, nan=0, posinf=0, neginf=0).clip(-1, 1)
            samples = mixed(finite, piece.channels, channels)[done - start :]
            done += len(samples)
            yield samples
        if not done:  # a track without anything would keep the file from being read
            yield np.zeros((BLOCK, channels), np.float32)

    def _decoded(self, packets: Iterable[Packet[Any]]) -> Iterator[Piece]:
        resampler = Resampler(RATE)
        for packet in packets:
            try:
                for frame in self._source.codec_context.decode(packet):
                    stamp, base = frame.pts, packet.time_base
                    start_s = None if stamp is None or base is None else stamp * base
                    yield from resampler.feed(frame, start_s)
            except UNUSABLE:
                continue  # a corrupt packet: silence takes its place
        with suppress(*UNUSABLE):
            yield from resampler.flush()


def _blocks(pieces: Iterable[NDArray[np.float32]]) -> Iterator[NDArray[np.float32]]:
    """The same samples in blocks as an encoder takes them; the last may be shorter."""
    held: NDArray[np.float32] | None = None
    for piece in pieces:
        held = piece if held is None else np.concatenate([held, piece])
        whole = len(held) // BLOCK * BLOCK
        for start in range(0, whole, BLOCK):
            yield held[start : start + BLOCK]
        held = held[whole:]
    if held is not None and len(held):
        yield held


def _first(packets: Iterator[Packet[Any]]) -> tuple[list[Packet[Any]], Packet[Any] | None]:
    """Packets before the recording begins, and the first in it."""
    early: list[Packet[Any]] = []
    for packet in packets:
        if _time(packet) >= 0:
            return early, packet
        early.append(packet)
    return early, None


def _time(packet: Packet[Any]) -> Fraction:
    """When it begins, s."""
    assert packet.pts is not None and packet.time_base is not None, "has a time"
    return packet.pts * packet.time_base
