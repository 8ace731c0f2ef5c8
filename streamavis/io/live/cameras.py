"""What cameras there are; on Linux also what they can do: asked of the drivers."""

from __future__ import annotations

import struct
import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from streamavis.io.live.opencv_camera import found_cameras

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["CameraMode", "LocalCamera", "list_cameras"]

# linux/videodev2.h: _IOR and _IOWR of 'V' with the size of the structure.
_QUERYCAP = 0x80685600
_ENUM_FMT = 0xC0405602
_ENUM_FRAMESIZES = 0xC02C564A
_ENUM_FRAMEINTERVALS = 0xC034564B
_VIDEO_CAPTURE = 0x1  # V4L2_CAP_VIDEO_CAPTURE and V4L2_BUF_TYPE_VIDEO_CAPTURE
_DEVICE_CAPS = 0x80000000
_DISCRETE = 1
_MOST = 64  # entries of a list: a broken driver may have no end


@dataclass(frozen=True, slots=True)
class CameraMode:
    """One thing a camera can deliver."""

    format: str  # the driver's description, such as Motion-JPEG
    width: int
    height: int
    fps: tuple[float, ...]  # highest first; empty: any


@dataclass(frozen=True, slots=True)
class LocalCamera:
    """A camera of this machine."""

    node: str  # /dev/video0
    name: str
    modes: tuple[CameraMode, ...]
    problem: str = ""  # why it cannot be asked

    @property
    def address(self) -> str:
        """As `live` takes it."""
        number = self.node.removeprefix("/dev/video")
        return f"camera:{number}" if number.isdecimal() else f"v4l2:{self.node}"


def list_cameras(
    dev: Path = Path("/dev"), ioctl: Callable[[Any, int, bytearray], int] | None = None
) -> list[LocalCamera]:
    """Every node that gives pictures (a camera has others, for metadata), in order.

    On macOS and Windows: every camera by number and name; what modes it has is not known there.

    Raises:
        MissingExtraError: there, cv2-enumerate-cameras is not installed.
    """
    if sys.platform != "linux" and ioctl is None:
        return [LocalCamera(f"/dev/video{number}", name, ()) for number, name in found_cameras()]
    ask = ioctl or _ioctl
    nodes = sorted(dev.glob("video[0-9]*"), key=lambda node: int(node.name.removeprefix("video")))
    found = []
    for node in nodes:
        try:
            with node.open("rb", buffering=0) as file:
                camera = _ask(str(node), partial(ask, file))
        except OSError as error:
            camera = LocalCamera(str(node), "", (), (error.strerror or str(error)).lower())
        if camera is not None:
            found.append(camera)
    return found


def _ioctl(file: Any, code: int, data: bytearray) -> int:
    import fcntl  # which only Unix has

    return fcntl.ioctl(file, code, data)


def _ask(node: str, ioctl: Callable[[int, bytearray], int]) -> LocalCamera | None:
    about = bytearray(104)
    ioctl(_QUERYCAP, about)
    card, every, own = about[16:48], *struct.unpack_from("=II", about, 84)
    if not (own if every & _DEVICE_CAPS else every) & _VIDEO_CAPTURE:
        return None
    modes = tuple(
        CameraMode(name, width, height, _rates(ioctl, code, width, height))
        for name, code in _formats(ioctl)
        for width, height in _sizes(ioctl, code)
    )
    return LocalCamera(node, _text(card), modes)


def _formats(ioctl: Callable[[int, bytearray], int]) -> Iterator[tuple[str, int]]:
    for data in _entries(ioctl, _ENUM_FMT, 64, _VIDEO_CAPTURE):
        yield _text(data[12:44]), struct.unpack_from("=I", data, 44)[0]


def _sizes(ioctl: Callable[[int, bytearray], int], code: int) -> Iterator[tuple[int, int]]:
    for data in _entries(ioctl, _ENUM_FRAMESIZES, 44, code):
        kind, first, second = struct.unpack_from("=III", data, 8)
        if kind == _DISCRETE:
            yield first, second
        else:  # any size in steps: the largest
            yield second, struct.unpack_from("=I", data, 28)[0]
            return


def _rates(
    ioctl: Callable[[int, bytearray], int], code: int, width: int, height: int
) -> tuple[float, ...]:
    rates = set()
    for data in _entries(ioctl, _ENUM_FRAMEINTERVALS, 52, code, width, height):
        _, numerator, denominator = struct.unpack_from("=III", data, 16)
        if numerator:
            rates.add(round(denominator / numerator, 2))
    return tuple(sorted(rates, reverse=True))


def _entries(
    ioctl: Callable[[int, bytearray], int], code: int, size: int, *keys: int
) -> Iterator[bytearray]:
    """A driver's list: asked by index until it says EINVAL."""
    for index in range(_MOST):
        data = bytearray(size)
        struct.pack_into(f"={1 + len(keys)}I", data, 0, index, *keys)
        try:
            ioctl(code, data)
        except OSError:
            return
        yield data


def _text(data: bytearray) -> str:
    return bytes(data).partition(b"\0")[0].decode("utf-8", "replace")
