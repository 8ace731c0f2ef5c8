"""A network camera with sound of its own: MPEG-TS over TCP or UDP."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Literal, Self

import av
import numpy as np

from streamavis_benchmarks.rigs.pictures import SIZE, Scene
from streamavis_benchmarks.rigs.sounds import beeps

if TYPE_CHECKING:
    from types import TracebackType

    from av.audio.stream import AudioStream
    from av.container import OutputContainer
    from av.video.stream import VideoStream

    from streamavis_benchmarks.rigs.claps import Claps

__all__ = ["TsSender"]

_NS = 1_000_000_000
_OPTIONS = {"flush_packets": "1", "max_interleave_delta": "1"}
_BLOCK = 1152  # samples of a frame of MP2


class TsSender:
    """H.264 and MP2, to every client (`tcp`) or to a port (`udp`); a context manager.

    A picture's stamp is the moment it was due, and each sample of the sound is for a moment of
    the same clock: beeps at whole seconds, or claps that the pictures show as well.

    Attributes:
        paused: while set, nothing is sent and nothing closed.
        url: where it is, or where it sends.
    """

    def __init__(
        self,
        kind: Literal["tcp", "udp"],
        *,
        fps: int = 30,
        rate: int = 48_000,
        port: int = 0,
        claps: Claps | None = None,
        key_frames: int = 15,
    ) -> None:
        """Begin to send.

        Args:
            kind: over TCP, or UDP.
            fps: pictures a second.
            rate: of the sound, in Hz.
            port: to listen at or to send to; 0: any free one.
            claps: to show and play.
            key_frames: pictures from one key frame to the next.
        """
        self.paused = threading.Event()
        self._stopped = threading.Event()
        self._fps, self._rate = fps, rate
        self._key_frames = key_frames
        self._claps = claps
        self._sound = beeps if claps is None else claps.sound
        self._server: socket.socket | None = None
        self._udp: socket.socket | None = None
        if kind == "tcp":
            self._server = socket.create_server(("127.0.0.1", port))
            self.port = self._server.getsockname()[1]
        else:
            self.port = port or _free_port()
            self._udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self._udp.connect(("127.0.0.1", self.port))
        self.url = f"{kind}://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._run, name="rig-sender", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Close the connection and send no more."""
        self._stopped.set()
        if self._server is not None:
            with suppress(OSError):
                self._server.shutdown(socket.SHUT_RDWR)
            self._server.close()
        self._thread.join(5)
        if self._udp is not None:
            self._udp.close()

    def _run(self) -> None:
        while not self._stopped.is_set():
            with suppress(OSError, av.error.FFmpegError):  # nobody listens
                if self._udp is not None:
                    self._send(self._udp)
                elif self._server is not None:
                    client, _ = self._server.accept()
                    with client:
                        self._send(client)

    def _send(self, wire: socket.socket) -> None:
        with av.open(_Wire(wire), "w", format="mpegts", container_options=_OPTIONS) as out:
            self._stream(out, *self._streams(out))

    def _streams(self, out: OutputContainer) -> tuple[VideoStream, AudioStream]:
        video = out.add_stream("libx264", rate=self._fps)
        video.width, video.height = SIZE
        video.pix_fmt = "yuv420p"
        video.options = {"preset": "ultrafast", "tune": "zerolatency", "g": str(self._key_frames)}
        audio = out.add_stream("mp2", rate=self._rate)
        audio.codec_context.layout = "mono"
        return video, audio

    def _stream(self, out: OutputContainer, video: VideoStream, audio: AudioStream) -> None:
        scene, begin_ns = Scene(), time.monotonic_ns()
        number = heard = 0
        while not self._stopped.wait(
            max(0.0, begin_ns / _NS + number / self._fps - time.monotonic())
        ):
            number += 1
            if self.paused.is_set():
                continue
            due_ns = begin_ns + (number - 1) * _NS // self._fps
            lit = self._claps is not None and self._claps.lit(due_ns)
            frame = av.VideoFrame.from_ndarray(scene.draw(due_ns, number, lit=lit), "rgb24")
            frame.pts = number - 1
            out.mux(video.encode(frame))
            until = number * self._rate // self._fps
            while heard + _BLOCK <= until:
                times_s = begin_ns / _NS + (heard + np.arange(_BLOCK)) / self._rate
                samples = (self._sound(times_s) * 32_767).astype(np.int16)
                sound = av.AudioFrame.from_ndarray(samples[None], "s16", "mono")
                sound.sample_rate, sound.pts = self._rate, heard
                out.mux(audio.encode(sound))
                heard += _BLOCK


class _Wire:
    """A socket as PyAV writes to it: not FFmpeg's own, which holds the GIL while it waits."""

    def __init__(self, wire: socket.socket) -> None:
        self._wire = wire

    def write(self, data: bytes) -> int:
        step = 7 * 188 if self._wire.type == socket.SOCK_DGRAM else max(len(data), 1)
        for start in range(0, len(data), step):
            self._wire.sendall(data[start : start + step])
        return len(data)


def _free_port() -> int:
    """A UDP port nobody listens at."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
