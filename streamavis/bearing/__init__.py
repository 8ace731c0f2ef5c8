"""Bearings: where an object is seen and where a sound comes from, in degrees. NumPy alone.

Azimuth 0 is the camera's axis, positive to the right; elevation is positive upwards.
"""

from streamavis.bearing.annotate import AGREE_DEG, agrees, annotate
from streamavis.bearing.calibration import read_camera
from streamavis.bearing.camera import Camera
from streamavis.bearing.direction import SoundDirection
from streamavis.bearing.geometry import Bearings, Geometry
from streamavis.bearing.microphones import MicArray, read_array, wrapped

__all__ = [
    "AGREE_DEG",
    "Bearings",
    "Camera",
    "Geometry",
    "MicArray",
    "SoundDirection",
    "agrees",
    "annotate",
    "read_array",
    "read_camera",
    "wrapped",
]
