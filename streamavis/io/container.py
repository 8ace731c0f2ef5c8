"""Open a media container, and say in one sentence why that fails."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, cast
from urllib.parse import parse_qsl, urlsplit

from streamavis.errors import InputError, MissingExtraError

try:
    import av
except ImportError as error:
    raise MissingExtraError("av", "engine") from error

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.container import InputContainer
    from av.video.stream import VideoStream

__all__ = ["Media", "display_name", "open_media"]

_LAVFI = "lavfi:"
_OPEN_TIMEOUT_S = 5.0
# What FFmpeg's protocols and many cameras take, and nobody's secret.
_HARMLESS = {"channel", "fifo_size", "format", "fps", "height", "listen", "overrun_nonfatal"}
_HARMLESS |= {"buffer_size", "pkt_size", "resolution", "size", "stream", "subtype", "width"}
_NOT_MEDIA = frozenset({"tty"})  # libavformat renders any text as moving pictures


@dataclass(frozen=True, slots=True)
class Media:
    """An open container with the streams that are used of it, for the caller to close."""

    name: str
    path: Path | None  # None: not a regular file
    container: InputContainer
    video: VideoStream | None
    audio: AudioStream | None
    origin_s: Fraction  # on the container's timeline, the moment our time begins


def open_media(url: str | Path, format: str | None = None) -> Media:
    """Open a file, an address, or `lavfi:GRAPH` (a generated test source).

    The best picture stream is taken (cover art is none) and the sound that belongs to it. Time
    begins where the earlier of the two does, exactly and whatever the container calls it.

    Raises:
        InputError: it cannot be opened; names it and the cause.
    """
    name = display_name(url)
    text = str(url)
    if format is None and text.startswith(_LAVFI):
        text, format = text.removeprefix(_LAVFI), "lavfi"
    path = None
    if format is None and "://" not in text:
        path = _checked(Path(text), name)
    try:
        container = av.open(
            text, format=format, metadata_errors="replace", timeout=(_OPEN_TIMEOUT_S, None)
        )
    except (av.error.FFmpegError, OSError, ValueError) as error:
        # FFmpeg's own error names the address in full, which a traceback would show.
        raise InputError(f"{name}: {_cause(error)}") from (error if name == text else None)
    try:
        if container.format.name in _NOT_MEDIA:
            raise InputError(f"{name}: {_cause(None)}")
        video = _picture_stream(container)
        audio = cast("AudioStream | None", container.streams.best("audio", related=video))
        return Media(name, path, container, video, audio, _origin(video, audio))
    except BaseException:
        container.close()
        raise


def display_name(url: str | Path) -> str:
    """The address as it may be shown: no user name, no password, no value of a query.

    Cameras take passwords as `?pwd=...` under any name, so only what is known to be harmless stays.
    """
    text = str(url)
    if "://" not in text:
        return text
    try:
        parts = urlsplit(text)
        pairs = parse_qsl(parts.query, keep_blank_values=True)
    except ValueError:
        return f"{text.partition('://')[0]}://***"
    if "@" in parts.netloc and parts.netloc.rpartition("@")[0]:
        parts = parts._replace(netloc=f"***@{parts.netloc.rpartition('@')[2]}")
    if any(key not in _HARMLESS for key, _ in pairs):
        shown = (f"{k}={v if k in _HARMLESS else '***'}" for k, v in pairs)
        parts = parts._replace(query="&".join(shown))
    return parts.geturl()


def _checked(path: Path, name: str) -> Path | None:
    """The path if it is a regular file, None if a pipe or device."""
    if not path.exists():
        raise InputError(f"{name}: no such file; check the path")
    if path.is_dir():
        raise InputError(f"{name}: is a directory; name a media file in it")
    if not path.is_file():
        return None
    if path.stat().st_size == 0:
        raise InputError(f"{name}: the file is empty")
    return path


def _cause(error: Exception | None) -> str:
    if error is None or isinstance(error, av.error.InvalidDataError):
        return "not a media file, or one without the index that is needed to read it"
    if isinstance(error, PermissionError):
        return "may not be read; check its permissions"
    if isinstance(error, av.error.FFmpegError):
        return f"cannot be opened: {error.strerror}"
    return f"cannot be opened: {error}"


def _picture_stream(container: InputContainer) -> VideoStream | None:
    cover = av.stream.Disposition.attached_pic
    moving = [s for s in container.streams.video if not s.disposition & cover]
    best = container.streams.best("video")
    return best if best in moving else next(iter(moving), None)


def _origin(video: VideoStream | None, audio: AudioStream | None) -> Fraction:
    starts = [
        stream.start_time * stream.time_base
        for stream in (video, audio)
        if stream is not None and stream.start_time is not None and stream.time_base is not None
    ]
    return min(starts, default=Fraction(0))
