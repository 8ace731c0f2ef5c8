"""Cameras and microphones without hardware, that break when told to.

For tests of live sources and for `bench live`. A camera here writes the moment at which it drew
a picture into that picture, a speaker plays sound at moments of the same clock.
"""

from streamavis_apps.rigs.claps import Claps
from streamavis_apps.rigs.mjpeg import Departure, MjpegCamera
from streamavis_apps.rigs.pictures import SIZE, Scene, stamp_of
from streamavis_apps.rigs.sound_server import SoundServer, missing
from streamavis_apps.rigs.sounds import beeps
from streamavis_apps.rigs.speaker import Speaker
from streamavis_apps.rigs.transport import TsSender

__all__ = [
    "SIZE",
    "Claps",
    "Departure",
    "MjpegCamera",
    "Scene",
    "SoundServer",
    "Speaker",
    "TsSender",
    "beeps",
    "missing",
    "stamp_of",
]
