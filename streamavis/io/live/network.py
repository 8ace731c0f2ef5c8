"""Cameras that come over a network: RTSP, HTTP (MJPEG, HLS), RTMP, MPEG-TS over UDP or TCP."""

from __future__ import annotations

import threading
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import av

from streamavis.errors import InputError
from streamavis.io.array_sound import ArraySound, check_channels
from streamavis.io.live.capture import Capture, Captured, Device
from streamavis.io.live.probe import is_waited_for, network_problem
from streamavis.io.live.stream_sound import StreamSound
from streamavis.io.live.timeline import StreamTimeline
from streamavis.io.pictures import MAX_PIXELS, upright_rgb
from streamavis.io.unusable import UNUSABLE
from streamavis.types import Stage, VideoFrame

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from av.audio.stream import AudioStream
    from av.container import InputContainer
    from av.packet import Packet
    from av.stream import Stream
    from av.video.stream import VideoStream

    from streamavis.bearing import MicArray
    from streamavis.clock import Clock
    from streamavis.io.live.address import DeviceAddress
    from streamavis.types import Modality

__all__ = ["COUNTED_FORMATS", "network_device"]

_OPEN_S = 5.0
_PAUSE_S, _LISTENING_PAUSE_S = 5.0, 0.25  # between attempts; to listen is to wait already
_READ_S = 1.5  # a read that is blocked ends by itself after this
# Found out from the first half second: what a live stream is, not what a film may be. What is read
# meanwhile is kept (no `fflags=nobuffer`): it may hold the only key frame for seconds to come.
_OPTIONS = {"analyzeduration": "500000", "probesize": "500000"}
_SCHEME_OPTIONS = {
    "rtsp": {"rtsp_transport": "tcp"},  # UDP loses packets where TCP is merely late
    "rtsps": {"rtsp_transport": "tcp"},
    "udp": {"overrun_nonfatal": "1", "fifo_size": "20000"},
}
# Their demuxers stamp pictures 1, 2, 3, ... at a rate they make up.
COUNTED_FORMATS = frozenset({"mpjpeg", "mjpeg", "h264", "hevc", "rawvideo", "image2pipe"})
# An IP camera packs up to 0.15 s of sound into a packet. Training draws delays up to this.
_LONGEST_DELAY_S = 0.2
_MOST_CORRUPT = 300  # packets in a row: it cannot be decoded
_RATES = range(4_000, 400_000)  # Hz, of sound


def network_device(
    address: DeviceAddress,
    modality: Modality,
    *,
    with_sound: bool = True,
    array: MicArray | None = None,
) -> Device:
    """A network stream as a camera with its sound, or its sound alone; `array`: with bearings."""

    def open_capture(clock: Clock) -> Capture:
        return _NetworkCapture(
            address,
            clock,
            pictures=modality == "video",
            sound=with_sound or modality == "audio",
            array=array,
        )

    return Device(
        address.name,
        modality,
        open_capture,
        opening_s=_OPEN_S + _READ_S,
        longest_delay_s=_LONGEST_DELAY_S,
        longest_pause_s=_LISTENING_PAUSE_S if is_waited_for(address) else _PAUSE_S,
        problem=partial(network_problem, address),
    )


class _NetworkCapture:
    """One connection. Reads end by themselves: a worker in here is never stuck for ever."""

    def __init__(
        self,
        address: DeviceAddress,
        clock: Clock,
        *,
        pictures: bool,
        sound: bool,
        array: MicArray | None,
    ) -> None:
        self._array = array
        self.fps: float | None = None
        self.has_sound = False
        self._address = address
        self._clock = clock
        self._pictures = pictures
        self._sound = sound
        self._aborted = threading.Event()
        self._corrupt = 0  # packets in a row
        self._timeline: StreamTimeline | None = None

    @property
    def timing(self) -> str:
        """Whether sound and picture take their times from the stream."""
        if self._timeline is None or not self.has_sound:
            return ""
        return "timed by the stream" if self._timeline.sane else "timed by its sample count"

    def abort(self) -> None:
        self._aborted.set()

    def __iter__(self) -> Iterator[Captured]:
        name = self._address.name
        try:  # errors lose their cause: FFmpeg's name the address in full
            with self._open() as container:
                yield from self._read(container)
        except av.error.ExitError:
            raise InputError(f"{name}: nothing came for {_READ_S} s") from None
        except (av.error.FFmpegError, OSError) as error:
            cause = self._address.scrub(error.strerror or str(error))
            raise InputError(f"{name}: {cause[:1].lower()}{cause[1:]}") from None
        if not self._aborted.is_set():
            raise InputError(f"{name}: the other side ended the stream")

    def _open(self) -> InputContainer:
        url = self._address.target
        options = {**_OPTIONS, **_SCHEME_OPTIONS.get(urlsplit(url).scheme, {})}
        try:
            return av.open(
                url, options=options, metadata_errors="replace", timeout=(_OPEN_S, _READ_S)
            )
        except av.error.ExitError:
            raise InputError(f"{self._address.name}: no answer within {_OPEN_S:.0f} s") from None
        except av.error.InvalidDataError:
            raise InputError(f"{self._address.name}: is no picture or sound stream") from None

    def _read(self, container: InputContainer) -> Iterator[Captured]:
        video, audio = self._choose(container)
        self._timeline = timeline = StreamTimeline(counted=container.format.name in COUNTED_FORMATS)
        bearings = None
        if self._array is not None and audio is not None:
            check_channels(self._array, audio.codec_context.channels, self._address.name)
            bearings = ArraySound(self._array, self._address.name)
        ears = None if audio is None else StreamSound(timeline, bearings)
        streams = [stream for stream in (video, audio) if stream is not None]
        for packet in _packets(container, streams):
            now_ns = self._clock.now_ns()
            if self._aborted.is_set():
                return
            timeline.arrived(_newest(packet), packet.time_base, now_ns)
            for frame in self._decode(packet):
                if isinstance(frame, av.VideoFrame):
                    yield from self._picture(frame, video, timeline, now_ns)
                elif isinstance(frame, av.AudioFrame) and ears is not None:
                    yield from ears.feed(frame, now_ns)

    def _choose(self, container: InputContainer) -> tuple[VideoStream | None, AudioStream | None]:
        name = self._address.name
        video = next(iter(container.streams.video), None) if self._pictures else None
        audio = next(iter(container.streams.audio), None) if self._sound else None
        if audio is not None and (audio.codec_context is None or audio.sample_rate not in _RATES):
            audio = None
        if self._pictures and (video is None or video.codec_context is None):
            raise InputError(f"{name}: holds no picture that FFmpeg can decode")
        if not self._pictures and audio is None:
            raise InputError(f"{name}: holds no sound that FFmpeg can decode")
        self.has_sound = audio is not None
        if video is not None:
            counted = container.format.name in COUNTED_FORMATS
            rate = None if counted else video.average_rate or video.guessed_rate
            self.fps = float(rate) if rate and 0 < rate <= 1000 else None
            video.codec_context.options = {"max_pixels": str(MAX_PIXELS)}
            video.codec_context.thread_count = 1
            video.codec_context.thread_type = "SLICE"  # frame threads would each add a frame
            video.codec_context.flags |= av.codec.context.Flags.low_delay
        return video, audio

    def _decode(self, packet: Packet[Any]) -> list[Any]:
        if not packet.size:  # PyAV's flush packet
            return []
        try:
            frames = packet.decode()
        except UNUSABLE as error:
            self._skipped(error)
            return []
        self._corrupt = 0
        return list(frames)

    def _skipped(self, error: Exception) -> None:
        """Count what is useless; too much in a row is an error of its own."""
        self._corrupt += 1
        if self._corrupt >= _MOST_CORRUPT:
            raise InputError(f"{self._address.name}: cannot be decoded") from error

    def _picture(
        self,
        frame: av.VideoFrame,
        stream: VideoStream | None,
        timeline: StreamTimeline,
        arrival_ns: int,
    ) -> Iterator[VideoFrame]:
        """The picture, or nothing where it cannot be converted."""
        aspect = None if stream is None else stream.codec_context.sample_aspect_ratio
        try:
            image = upright_rgb(frame, aspect)
        except UNUSABLE as error:
            self._skipped(error)
            return
        time_ns, clock = timeline.picture_ns(frame.pts, frame.time_base, arrival_ns)
        stamps: dict[str, int] = {
            Stage.CAPTURE: time_ns,
            Stage.RECEIVE: arrival_ns,
            Stage.DECODE: self._clock.now_ns(),
        }
        yield VideoFrame(image, time_ns, index=0, clock=clock, stamps=stamps)


def _newest(packet: Packet[Any]) -> int | None:
    """The stamp of the newest thing in a packet: sound ends later than it begins."""
    if packet.pts is None or packet.stream.type != "audio":
        return packet.pts
    return packet.pts + (packet.duration or 0)


def _packets(container: InputContainer, streams: Sequence[Stream]) -> Iterator[Packet[Any]]:
    """As `demux`, which ends where a stream appears that was not there at first."""
    while True:
        try:
            yield from container.demux(*streams)
        except IndexError:
            continue
        return
