"""Open a media container, and say in one sentence why that fails."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, TypeVar, cast

from streamavis.errors import InputError, InputTrackError, MissingExtraError
from streamavis.io.locate import Located, locate
from streamavis.redaction import display_name, redacted

try:
    import av
except ImportError as error:
    raise MissingExtraError("av", "engine") from error

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from av.audio.stream import AudioStream
    from av.container import InputContainer
    from av.stream import Stream
    from av.video.stream import VideoStream

__all__ = ["BEST", "Media", "Tracks", "open_media"]

_OPEN_TIMEOUT_S = 5.0
_NOT_MEDIA = frozenset({"tty"})  # libavformat renders any text as moving pictures
_TS_DISCONT = 0x200  # libavformat: AVFMT_TS_DISCONT
_STAMPED_AS_DECODED = frozenset({"avi"})
_AnyStream = TypeVar("_AnyStream", bound="Stream")


@dataclass(frozen=True, slots=True)
class Tracks:
    """Which of several tracks are used, counted from 1; None: the best."""

    video: int | None = None
    audio: int | None = None


BEST = Tracks()


@dataclass(frozen=True, slots=True)
class Media:
    """An open container with the streams that are used of it, for the caller to close."""

    name: str
    path: Path | None  # None: not a regular file
    container: InputContainer
    video: VideoStream | None
    audio: AudioStream | None
    origin_s: Fraction  # on the container's timeline, the moment our time begins
    once: bool = False  # a pipe: it cannot be opened a second time

    @property
    def clock_breaks(self) -> bool:
        """Whether the container's clock may begin anew at any time, as in MPEG-TS and HLS."""
        return bool(self.container.format.flags & _TS_DISCONT)

    @property
    def stamped_as_decoded(self) -> bool:
        """Whether stamps rise in the order of decoding, so that pictures carry each other's."""
        return self.container.format.name in _STAMPED_AS_DECODED


def open_media(url: str | Path, format: str | None = None, tracks: Tracks = BEST) -> Media:
    """Open a file, pictures, an address, or `lavfi:GRAPH` (a generated test source).

    A file that exists is opened as one, whatever its name looks like; a folder of pictures,
    `frame%04d.png` and `*.jpg` are read one picture after the other; `-` is standard input.

    The best picture stream is taken (cover art is none) and the sound that belongs to it; nothing
    is read of the others. Time begins where the earlier of the two does, exactly and whatever the
    container calls it.

    Raises:
        InputError: it cannot be opened, or has no such track; names it and the cause.
    """
    name = display_name(url)
    found = Located(str(url), format) if format is not None else locate(url)
    try:
        container = av.open(
            found.what,
            "r",
            format=found.format,
            options=dict(found.options),
            metadata_errors="replace",
            timeout=(_OPEN_TIMEOUT_S, None),
        )
    except (av.error.FFmpegError, OSError, ValueError) as error:
        # FFmpeg's own error names the address in full, which a traceback would show.
        raise InputError(f"{name}: {_cause(error)}") from (error if name == str(url) else None)
    try:
        if container.format.name in _NOT_MEDIA:
            raise InputError(f"{name}: {_cause(None)}")
        video = _picture_stream(container, tracks.video, name)
        best = cast("AudioStream | None", container.streams.best("audio", related=video))
        audio = _numbered(container.streams.audio, tracks.audio, "sound", name) or best
        for stream in container.streams:
            if stream not in (video, audio):
                stream.discard = av.stream.Discard.all
        origin_s = _origin(video, audio)
        return Media(name, found.path, container, video, audio, origin_s, found.once)
    except BaseException:
        container.close()
        raise


def _cause(error: Exception | None) -> str:
    if error is None or isinstance(error, av.error.InvalidDataError):
        return "not a media file, or one without the index that is needed to read it"
    if isinstance(error, PermissionError):
        return "may not be read; check its permissions"
    if isinstance(error, av.error.FFmpegError):
        return redacted(f"cannot be opened: {error.strerror}")
    return redacted(f"cannot be opened: {error}")


def _picture_stream(container: InputContainer, number: int | None, name: str) -> VideoStream | None:
    cover = av.stream.Disposition.attached_pic
    moving = [s for s in container.streams.video if not s.disposition & cover]
    wanted = _numbered(moving, number, "picture", name)
    best = container.streams.best("video")
    return wanted or (best if best in moving else next(iter(moving), None))


def _numbered(
    streams: Sequence[_AnyStream], number: int | None, kind: str, name: str
) -> _AnyStream | None:
    """The stream of that number, from 1; None where no number is asked for."""
    if number is None:
        return None
    if not 1 <= number <= len(streams):
        there = "no" if not streams else "only 1" if len(streams) == 1 else f"only {len(streams)}"
        plural = "" if len(streams) == 1 else "s"
        raise InputTrackError(
            f"{name}: has {there} {kind} track{plural}, there is no track {number}"
        )
    return streams[number - 1]


def _origin(video: VideoStream | None, audio: AudioStream | None) -> Fraction:
    starts = [
        stream.start_time * stream.time_base
        for stream in (video, audio)
        if stream is not None and stream.start_time is not None and stream.time_base is not None
    ]
    return min(starts, default=Fraction(0))
