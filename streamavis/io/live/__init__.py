"""Cameras and microphones: live sources behind one protocol.

`LiveSource` merges a camera and a microphone into one iterator of `SourceItem`. Each device is
run by a `DeviceSupervisor` that opens it anew whenever it breaks.
"""

from streamavis.io.live.address import DeviceAddress, Kind, parse_camera, parse_sound
from streamavis.io.live.capture import Capture, Captured, Device
from streamavis.io.live.clap import ClapMeter, ClapOffset
from streamavis.io.live.fake import FakeDevice
from streamavis.io.live.source import LiveSource

__all__ = [
    "Capture",
    "Captured",
    "ClapMeter",
    "ClapOffset",
    "Device",
    "DeviceAddress",
    "FakeDevice",
    "Kind",
    "LiveSource",
    "parse_camera",
    "parse_sound",
]
