"""The program of a child process that holds one device.

A driver that hangs cannot be stopped from within its process, PortAudio sees a device that was
plugged in only after every stream of its process is closed, and both write to stderr as they
please. So microphones and V4L2 cameras live in a process each, which is killed and started anew.
It does as little as possible: no decoding, no clock but the monotonic one, which all processes of
a machine share. It ends when its parent does, which it sees by the end of its stdin.
"""

from __future__ import annotations

import os
import threading
import time
from typing import TYPE_CHECKING

import msgspec

from streamavis.errors import StreamAVISError
from streamavis.io.child.messages import (
    ChildRequest,
    Failed,
    Listed,
    OpenedCamera,
    PacketMessage,
    encode,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["main"]


def main() -> None:
    """Read one request from stdin, write messages to stdout until told to end."""
    request = msgspec.msgpack.decode(_request(), type=ChildRequest)
    out = os.dup(1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # whatever a library prints is no message
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        for message in _messages(request):
            _write(out, encode(message))
    except BrokenPipeError:
        return
    except StreamAVISError as error:
        _write(out, encode(Failed(str(error))))
    except Exception as error:
        _write(out, encode(Failed(f"{type(error).__name__}: {error}")))


def _messages(request: ChildRequest) -> Iterator[msgspec.Struct]:
    if request.kind == "packets":
        return _packets(request)
    from streamavis.io.child import portaudio

    if request.kind == "list":
        return iter([Listed(portaudio.microphones())])
    return portaudio.sound(request.target, request.channels)


def _packets(request: ChildRequest) -> Iterator[msgspec.Struct]:
    """Read a container's picture packets, undecoded, stamped as they come."""
    import av

    from streamavis.errors import InputError

    try:
        with av.open(
            request.target, format=request.format or None, options=request.options
        ) as container:
            video = next(iter(container.streams.video), None)
            if video is None or video.codec_context is None or video.time_base is None:
                raise InputError("holds no picture that FFmpeg can decode")
            context, rate = video.codec_context, video.average_rate or video.guessed_rate
            yield OpenedCamera(
                codec=context.name,
                width=context.width,
                height=context.height,
                pixels=context.pix_fmt or "",
                time_base=(video.time_base.numerator, video.time_base.denominator),
                fps=float(rate) if rate else None,
                extradata=context.extradata,
            )
            for packet in container.demux(video):
                if packet.size:
                    yield PacketMessage(bytes(packet), packet.pts, time.monotonic_ns())
    except av.error.FFmpegError as error:
        raise InputError(error.strerror) from error


def _request() -> bytes:
    length = int.from_bytes(_read(4), "big")
    return _read(min(length, 1 << 16))


def _read(count: int) -> bytes:
    data = b""
    while len(data) < count:
        piece = os.read(0, count - len(data))
        if not piece:
            os._exit(0)
        data += piece
    return data


def _end_with_parent() -> None:
    while os.read(0, 1):
        pass
    os._exit(0)


def _write(out: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(out, view) :]
