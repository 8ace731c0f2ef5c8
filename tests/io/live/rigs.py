"""Cameras made of sockets: a pulled cable, a hang and a frozen picture at the test's word.

Every picture tells when it left the camera: 64 bits of a monotonic clock as black and white
squares, which survive any codec.
"""

from __future__ import annotations

import socket
import threading
import time
from contextlib import suppress

import av
import cv2
import numpy as np

SIZE = (160, 96)  # width, height
_CELL = 8  # pixels of a square


def stamped(time_ns: int, number: int = 0) -> np.ndarray:
    """(96, 160, 3) with `time_ns` written into it."""
    width, height = SIZE
    image = np.full((height, width, 3), 90, np.uint8)
    image[height // 2 :, : 8 + number % 140] = (200, 60, 30)  # something moves
    bits = np.array([time_ns >> n & 1 for n in range(64)], np.uint8).reshape(4, 16)
    image[: 4 * _CELL, : 16 * _CELL] = (
        np.kron(bits, np.ones((_CELL, _CELL), np.uint8))[..., None] * 255
    )
    return image


def stamp_of(image: np.ndarray) -> int:
    """The time that `stamped` wrote."""
    cells = image[: 4 * _CELL, : 16 * _CELL, 1].reshape(4, _CELL, 16, _CELL)
    bits = cells[:, 2:-2, :, 2:-2].mean(axis=(1, 3)) > 127
    return sum(int(bit) << n for n, bit in enumerate(bits.ravel()))


class MjpegCamera:
    """An HTTP camera at `url`, 30 pictures a second to whoever connects."""

    def __init__(self, fps: float = 30.0, port: int = 0) -> None:
        self.fps = fps
        self.frozen = threading.Event()  # the picture stays the same
        self.hanging = threading.Event()  # connections stay open, nothing is sent
        self.connections = 0
        self._stopped = threading.Event()
        self._port = port
        self._clients: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._listen()

    def __enter__(self) -> MjpegCamera:
        return self

    def __exit__(self, *_: object) -> None:
        self.unplug()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}/stream.mjpeg"

    def _listen(self) -> None:
        self._server = socket.create_server(("127.0.0.1", self._port))
        self._port = self._server.getsockname()[1]
        self._spawn(self._accept, self._server)

    def plug(self) -> None:
        """Be reachable again at the same address."""
        self._stopped.clear()
        self._listen()

    def unplug(self) -> None:
        """Close every connection and refuse new ones."""
        self._stopped.set()
        with suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        for client in self._clients:
            with suppress(OSError):
                client.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(5)
        self._threads.clear()
        self._clients.clear()

    def _spawn(self, call, *args) -> None:
        thread = threading.Thread(target=call, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self, server: socket.socket) -> None:
        with suppress(OSError):
            while True:
                client, _ = server.accept()
                self.connections += 1
                self._clients.append(client)
                self._spawn(self._serve, client)

    def _serve(self, client: socket.socket) -> None:
        with suppress(OSError), client:
            client.recv(65536)
            kind = "multipart/x-mixed-replace; boundary=frame"
            client.sendall(f"HTTP/1.0 200 OK\r\nContent-Type: {kind}\r\n\r\n".encode())
            number, begin, last = 0, time.monotonic(), b""
            while not self._stopped.wait(max(0.0, begin + number / self.fps - time.monotonic())):
                number += 1
                if self.hanging.is_set():
                    continue
                if not (self.frozen.is_set() and last):
                    image = stamped(time.monotonic_ns(), number)
                    last = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 90])[
                        1
                    ].tobytes()
                head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(last)}\r\n\r\n"
                client.sendall(head.encode() + last + b"\r\n")


class TsSender:
    """An MPEG-TS encoder with sound: H.264 and MP2, over TCP to who connects, or over UDP.

    The picture's stamp is the moment it was due; a beep begins at whole seconds of the same
    clock, so that picture and sound can be compared at the other end.
    """

    def __init__(self, kind: str, *, fps: int = 30, rate: int = 48_000, port: int = 0) -> None:
        self.paused = threading.Event()  # nothing is sent, nothing is closed
        self._stopped = threading.Event()
        self._fps, self._rate = fps, rate
        self._server = self._udp = None
        if kind == "tcp":
            self._server = socket.create_server(("127.0.0.1", port))
            self.port = self._server.getsockname()[1]
        else:
            self.port = port or free_port()
            self._udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self._udp.connect(("127.0.0.1", self.port))
        self.url = f"{kind}://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def __enter__(self) -> TsSender:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
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
                if self._server is None:
                    self._send(self._udp)
                else:
                    client, _ = self._server.accept()
                    with client:
                        self._send(client)

    def _send(self, wire: socket.socket) -> None:
        options = {"flush_packets": "1", "max_interleave_delta": "1"}
        with av.open(_Wire(wire), "w", format="mpegts", container_options=options) as out:
            video = out.add_stream("libx264", rate=self._fps)
            video.width, video.height = SIZE
            video.pix_fmt = "yuv420p"
            video.options = {"preset": "ultrafast", "tune": "zerolatency", "g": "15"}
            audio = out.add_stream("mp2", rate=self._rate)
            audio.layout = "mono"
            begin_ns = time.monotonic_ns()
            number = heard = 0
            while not self._stopped.wait(
                max(0.0, begin_ns / 1e9 + number / self._fps - time.monotonic())
            ):
                number += 1
                if self.paused.is_set():
                    continue
                due_ns = begin_ns + (number - 1) * 1_000_000_000 // self._fps
                frame = av.VideoFrame.from_ndarray(stamped(due_ns, number), "rgb24")
                frame.pts = number - 1
                out.mux(video.encode(frame))
                heard = self._sound(out, audio, begin_ns, heard, number * self._rate // self._fps)

    def _sound(self, out, audio, begin_ns: int, heard: int, until: int) -> int:
        while heard + 1152 <= until:
            times = begin_ns / 1e9 + (heard + np.arange(1152)) / self._rate
            sound = av.AudioFrame.from_ndarray(beep(times)[None], "s16", "mono")
            sound.sample_rate, sound.pts = self._rate, heard
            out.mux(audio.encode(sound))
            heard += 1152
        return heard


class _Wire:
    """A socket as PyAV writes to it: not FFmpeg's own, which holds the GIL while it waits."""

    def __init__(self, wire: socket.socket) -> None:
        self._wire = wire

    def write(self, data: bytes) -> int:
        step = 7 * 188 if self._wire.type == socket.SOCK_DGRAM else len(data)
        for start in range(0, len(data), step):
            self._wire.sendall(data[start : start + step])
        return len(data)


def free_port() -> int:
    """A UDP port nobody listens at."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def beep(times_s: np.ndarray) -> np.ndarray:
    """Int16: 50 ms of 1 kHz at each whole second, else silence."""
    on = times_s % 1.0 < 0.05
    return (on * 20_000 * np.sin(2 * np.pi * 1000 * (times_s % 1.0))).astype(np.int16)
