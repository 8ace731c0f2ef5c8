"""An HTTP camera made of sockets: a pulled cable, a hang and a frozen picture at one's word."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, NamedTuple, Self

import cv2

from streamavis_benchmarks.rigs.pictures import SIZE, Scene

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from streamavis_benchmarks.rigs.claps import Claps

__all__ = ["Departure", "MjpegCamera"]

_KIND = "multipart/x-mixed-replace; boundary=frame"
_QUALITY = 90
_LET_GO_S = 5.0


class Departure(NamedTuple):
    """A picture that left the camera."""

    connection: int  # counted from 1
    number: int  # of the pictures of this connection, from 0
    left_ns: int  # monotonic: just before it was given to the network


class MjpegCamera:
    """An HTTP camera at `url`, `fps` pictures a second to every client; a context manager.

    Attributes:
        frozen: while set, the picture stays the same.
        hanging: while set, connections stay open and nothing is sent.
        connections: that asked for pictures, so far.
    """

    def __init__(
        self,
        fps: float = 30.0,
        port: int = 0,
        *,
        size: tuple[int, int] = SIZE,
        claps: Claps | None = None,
        on_departure: Callable[[Departure], None] | None = None,
    ) -> None:
        """Be reachable.

        Args:
            fps: pictures per second.
            port: to listen at; 0: any free one.
            size: width and height of the pictures.
            claps: flashes to show.
            on_departure: called for every picture, on its connection's thread.

        Raises:
            InputError: the pictures are too small for their stamp.
        """
        self.fps = fps
        self.frozen = threading.Event()
        self.hanging = threading.Event()
        self.connections = 0
        self._scene = Scene(size)
        self._claps = claps
        self._on_departure = on_departure
        self._stopped = threading.Event()
        self._counting = threading.Lock()
        self._port = port
        self._clients: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._listen()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.unplug()

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self._port}/stream.mjpeg"

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
            thread.join(_LET_GO_S)
        self._threads.clear()
        self._clients.clear()

    def _listen(self) -> None:
        self._server = socket.create_server(("127.0.0.1", self._port))
        self._port = self._server.getsockname()[1]
        self._spawn(partial(self._accept, self._server))

    def _spawn(self, work: Callable[[], None]) -> None:
        thread = threading.Thread(target=work, name="rig-camera", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self, server: socket.socket) -> None:
        with suppress(OSError):
            while True:
                client, _ = server.accept()
                self._clients.append(client)
                self._spawn(partial(self._serve, client))

    def _serve(self, client: socket.socket) -> None:
        with suppress(OSError), client:
            if not client.recv(65536):
                return  # who only asks whether anybody answers gets no picture
            with self._counting:
                self.connections += 1
                connection = self.connections
            client.sendall(f"HTTP/1.0 200 OK\r\nContent-Type: {_KIND}\r\n\r\n".encode())
            begin_s, tick, sent, body = time.monotonic(), 0, 0, b""
            while not self._stopped.wait(max(0.0, begin_s + tick / self.fps - time.monotonic())):
                tick += 1
                if self.hanging.is_set():
                    continue
                if not (self.frozen.is_set() and body):
                    body = self._picture(tick)
                head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(body)}\r\n\r\n"
                if self._on_departure is not None:
                    self._on_departure(Departure(connection, sent, time.monotonic_ns()))
                sent += 1
                client.sendall(head.encode() + body + b"\r\n")

    def _picture(self, number: int) -> bytes:
        now_ns = time.monotonic_ns()
        lit = self._claps is not None and self._claps.lit(now_ns)
        image = self._scene.draw(now_ns, number, lit=lit)
        options = [cv2.IMWRITE_JPEG_QUALITY, _QUALITY]
        return cv2.imencode(".jpg", image[..., ::-1], options)[1].tobytes()
