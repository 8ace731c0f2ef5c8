"""Cameras of macOS and Windows, listed by cv2-enumerate-cameras and read by OpenCV.

Their drivers give no capture time that OpenCV passes on: times are those of arrival.
"""

from __future__ import annotations

import sys
import threading
from typing import TYPE_CHECKING

import cv2
import numpy as np

from streamavis.errors import InputError, MissingExtraError
from streamavis.io.live.capture import Capture, Captured, Device
from streamavis.types import Stage, VideoFrame

if TYPE_CHECKING:
    from collections.abc import Iterator

    from streamavis.clock import Clock
    from streamavis.io.live.address import DeviceAddress

__all__ = ["backend", "found_cameras", "opencv_device"]


def backend() -> int:
    """The number OpenCV has for this system's cameras: AVFoundation or DirectShow."""
    return int(cv2.CAP_AVFOUNDATION if sys.platform == "darwin" else cv2.CAP_DSHOW)


def found_cameras() -> list[tuple[int, str]]:
    """Number and name of each camera; the number is that of `camera:N`.

    Raises:
        MissingExtraError: cv2-enumerate-cameras is not installed.
    """
    try:
        from cv2_enumerate_cameras import enumerate_cameras
    except ModuleNotFoundError as error:
        raise MissingExtraError(error.name or "cv2-enumerate-cameras", "engine") from error
    return [(camera.index, camera.name) for camera in enumerate_cameras(backend())]


def opencv_device(address: DeviceAddress) -> Device:
    """The camera at `camera:N`, where it is not read through V4L2.

    Raises:
        InputError: the address is not of this form.
    """
    number = address.target.removeprefix("/dev/video")
    if not number.isdecimal():
        raise InputError(f"{address.name}: only Linux has device nodes; name it camera:0")

    def open_capture(clock: Clock) -> Capture:
        return _OpenCvCapture(int(number), address, clock)

    return Device(address.name, "video", open_capture)


class _OpenCvCapture:
    has_sound = False

    def __init__(self, number: int, address: DeviceAddress, clock: Clock) -> None:
        self.fps: float | None = None
        self._number = number
        self._address = address
        self._clock = clock
        self._aborted = threading.Event()

    def abort(self) -> None:
        self._aborted.set()

    def __iter__(self) -> Iterator[Captured]:
        camera = cv2.VideoCapture(self._number, backend())
        try:
            if not camera.isOpened():
                raise InputError(f"{self._address.name}: cannot be opened; is it there and free?")
            self._set_mode(camera)
            self.fps = camera.get(cv2.CAP_PROP_FPS) or None
            while not self._aborted.is_set():
                there, image = camera.read()
                now_ns = self._clock.now_ns()
                if not there:
                    raise InputError(f"{self._address.name}: gives no more pictures")
                rgb = np.ascontiguousarray(image[..., ::-1], np.uint8)
                stamps: dict[str, int] = {
                    Stage.CAPTURE: now_ns,
                    Stage.RECEIVE: now_ns,
                    Stage.DECODE: self._clock.now_ns(),
                }
                yield VideoFrame(rgb, now_ns, 0, "arrival", stamps=stamps)
        finally:
            camera.release()

    def _set_mode(self, camera: cv2.VideoCapture) -> None:
        """Ask for the mode that the address names; a camera takes the nearest that it has."""
        options = dict(self._address.options)
        if size := options.get("size"):
            width, height = map(int, size.split("x"))
            camera.set(cv2.CAP_PROP_FRAME_WIDTH, width)
            camera.set(cv2.CAP_PROP_FRAME_HEIGHT, height)
        if fps := options.get("fps"):
            camera.set(cv2.CAP_PROP_FPS, float(fps))
