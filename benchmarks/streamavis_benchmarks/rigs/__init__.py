"""Cameras and microphones without hardware, that break on command.

For tests of live sources and for `bench live`. A camera here writes the moment at which it drew
a picture into that picture, a speaker plays sound at moments of the same clock.
"""

from streamavis_benchmarks.rigs.claps import Claps
from streamavis_benchmarks.rigs.mjpeg import Departure, MjpegCamera
from streamavis_benchmarks.rigs.pictures import SIZE, Scene, stamp_of
from streamavis_benchmarks.rigs.sound_server import SoundServer, missing
from streamavis_benchmarks.rigs.sounds import beeps
from streamavis_benchmarks.rigs.speaker import Speaker
from streamavis_benchmarks.rigs.transport import TsSender

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
