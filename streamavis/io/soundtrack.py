"""The sound of a media file on its way into a recording: copied where it can be, else AAC."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from fractions import Fraction
from itertools import chain
from typing import TYPE_CHECKING, Any

import av

from streamavis.io.demux import PacketReader

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from av.audio.stream import AudioStream
    from av.container import OutputContainer
    from av.packet import Packet

    from streamavis.io.container import Media

__all__ = ["Soundtrack"]

# What players expect in an mp4; the rest (Vorbis, PCM, AC-3, ...) is encoded.
_COPIED = frozenset({"aac", "alac", "flac", "mp3", "opus"})
_NEED_NO_HEADER = frozenset({"mp3"})  # the others' comes from the container; ADTS has none
_RATE = 48_000  # of what is encoded
_BIT_RATE = 160_000
_PAUSE_S = Fraction(6, 5)  # what is left to the resampler, which knows its length to the sample
_BLOCK = 1024  # samples; where none is named, the resampler passes on what needs no conversion
_SOON_S = Fraction(1, 5)  # an mp4 cannot be read before each of its tracks holds something
_LEAD_S = 2  # read before the beginning: a decoder finds its feet, a seek may be a little off


class Soundtrack:
    """Feed a file's sound into an output container as far as its pictures have come.

    Packets are copied as they are where mp4 can hold them and they begin with the pictures; else
    the sound is decoded and encoded as AAC at 48 kHz, mono or stereo, its gaps filled with silence.
    Packets that begin before the recording does (or are an encoder's priming) are left out.
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
        soon = first is not None and _time(first) <= _SOON_S
        if soon and codec in _COPIED and (context.extradata or codec in _NEED_NO_HEADER):
            self._output = container.add_stream_from_template(source)
            self._packets = chain(() if first is None else [first], packets)
        else:
            self._output = container.add_stream("aac", rate=_RATE)
            self._output.codec_context.layout = "stereo" if context.channels > 1 else "mono"
            self._output.codec_context.bit_rate = _BIT_RATE
            self._packets = self._encoded(chain(early, () if first is None else [first], packets))
        self._next: Packet[Any] | None = None

    def mux_before(self, time_s: Fraction) -> None:
        """Write all sound that begins before `time_s`."""
        while True:
            self._next = self._next or next(self._packets, None)
            if self._next is None:
                return
            start_s = _time(self._next)
            if start_s >= time_s:
                return
            if start_s >= 0:
                self._next.stream = self._output
                self._container.mux_one(self._next)
            self._next = None

    def finish(self, time_s: Fraction) -> None:
        """Write the rest of the sound up to `time_s`."""
        self.mux_before(time_s)

    def close(self) -> None:
        """Release the source."""
        self._media.container.close()

    def _from_begin(self) -> Iterator[Packet[Any]]:
        """Packets of the file on the recording's time, from a little before it begins."""
        time_base = self._source.time_base or Fraction(1, self._source.codec_context.sample_rate)
        shift = round((self._media.origin_s + self._begin_s) / time_base)
        if self._begin_s > _LEAD_S and self._media.path is not None:
            # Hours of a film are not read to get there; where a file cannot be sought in, they are.
            with suppress(av.error.FFmpegError):
                self._media.container.seek(shift - round(_LEAD_S / time_base), stream=self._source)
        reader = PacketReader(replace(self._media, video=None), look_ahead=0)
        while (packet := reader.next(self._source)) is not None:
            if packet.pts is not None and packet.dts is not None:
                packet.pts -= shift
                packet.dts -= shift
                if packet.pts * time_base >= -_LEAD_S:
                    yield packet

    def _encoded(self, packets: Iterable[Packet[Any]]) -> Iterator[Packet[Any]]:
        encoder = self._output.codec_context
        silence_in_gaps = {"async": "1", "first_pts": "0"}
        resampler = av.AudioResampler(
            encoder.format, encoder.layout, _RATE, _BLOCK, silence_in_gaps
        )
        for frame in self._decoded(packets):
            for resampled in resampler.resample(frame):
                yield from self._output.encode(resampled)
        for resampled in resampler.resample(None):
            yield from self._output.encode(resampled)
        yield from self._output.encode(None)

    def _decoded(self, packets: Iterable[Packet[Any]]) -> Iterator[av.AudioFrame]:
        """Sound on the recording's time; a long pause is silence second by second, not at once."""
        until_s, frame = Fraction(0), None
        for packet in packets:
            try:
                decoded = self._source.codec_context.decode(packet)
            except av.error.FFmpegError:
                continue  # a corrupt packet: `async` fills its place
            for frame in decoded:
                frame.time_base = packet.time_base
                start_s = until_s if frame.time is None else Fraction(frame.time)
                while start_s - until_s > _PAUSE_S:
                    yield _silent_second(frame, until_s)
                    until_s += 1
                yield frame
                until_s = max(until_s, start_s + Fraction(frame.samples, frame.sample_rate))
        if frame is None:  # a track without anything would keep the file from being read
            silent = av.AudioFrame("fltp", "mono", _RATE)
            silent.sample_rate = _RATE
            yield _silent_second(silent, until_s)


def _silent_second(like: av.AudioFrame, start_s: Fraction) -> av.AudioFrame:
    silent = av.AudioFrame(like.format, like.layout, like.sample_rate)
    zero = b"\x80" if like.format.name.startswith("u8") else b"\0"
    for plane in silent.planes:
        plane.update(zero * plane.buffer_size)
    silent.sample_rate = like.sample_rate
    silent.time_base = like.time_base or Fraction(1, like.sample_rate)
    silent.pts = round(start_s / silent.time_base)
    return silent


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
