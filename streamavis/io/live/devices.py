"""From an address to the driver that knows it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from streamavis.errors import InputError
from streamavis.io.live.address import Kind, parse_camera, parse_sound
from streamavis.io.live.microphone import microphone_device
from streamavis.io.live.network import network_device
from streamavis.io.live.opencv_camera import opencv_device
from streamavis.io.live.paced import paced_device
from streamavis.io.live.v4l2 import v4l2_device
from streamavis.io.locate import locate
from streamavis.io.media import MediaSource

if TYPE_CHECKING:
    from streamavis.bearing import MicArray
    from streamavis.io.live.capture import Device

__all__ = ["camera_device", "check_camera", "recorded_size", "sound_device"]


def camera_device(
    address: str, *, with_sound: bool = True, array: MicArray | None = None
) -> Device:
    """The camera at `address`, with the sound of its stream if it has some and that is wanted.

    With `array` the channels of that sound are its microphones, and have bearings.

    Raises:
        InputError: the address is not one of a camera.
    """
    parsed = parse_camera(address)
    if parsed.kind in (Kind.FILE, Kind.LAVFI):
        return paced_device(parsed, "video", with_sound=with_sound, array=array)
    if parsed.kind is Kind.NETWORK:
        return network_device(parsed, "video", with_sound=with_sound, array=array)
    return v4l2_device(parsed) if sys.platform == "linux" else opencv_device(parsed)


def check_camera(address: str, patience_s: float) -> None:
    """Refuse a camera that certainly cannot be opened, before anything is made ready for it.

    Raises:
        InputError: the address is not one of a camera, or within `patience_s` nobody answers
            there, or its node is missing; says which.
    """
    device = camera_device(address)
    problem = "" if device.problem is None else device.problem(patience_s)
    if problem:
        raise InputError(problem)


def recorded_size(address: str) -> tuple[int, int] | None:
    """Height and width of a recording's or generated source's pictures, before it is started.

    None for devices and streams, which tell it with their first picture, and for pipes, which can
    be read once.

    Raises:
        InputError: the address is not one of a camera, or holds no picture; says why.
    """
    parsed = parse_camera(address)
    if parsed.kind not in (Kind.FILE, Kind.LAVFI) or locate(parsed.target).once:
        return None
    with MediaSource(parsed.target) as media:
        return media.info.height, media.info.width


def sound_device(address: str, *, array: MicArray | None = None) -> Device:
    """The microphone, or the sound of the stream or file, at `address`.

    With `array` its channels are the microphones of that, and have bearings.

    Raises:
        InputError: the address is not one of sound.
    """
    parsed = parse_sound(address)
    if parsed.kind in (Kind.FILE, Kind.LAVFI):
        return paced_device(parsed, "audio", array=array)
    if parsed.kind is Kind.NETWORK:
        return network_device(parsed, "audio", array=array)
    if parsed.kind is Kind.MICROPHONE:
        return microphone_device(parsed, array)
    raise InputError(f"{parsed.name}: there is nothing to listen to")
