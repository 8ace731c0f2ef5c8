"""Bearings onto results: of every track, of the sound, and whether both meet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from streamavis.bearing.microphones import wrapped
from streamavis.types import SoundBearing

if TYPE_CHECKING:
    from streamavis.bearing.camera import Camera
    from streamavis.types import FrameResult

__all__ = ["AGREE_DEG", "agrees", "annotate"]

AGREE_DEG: Final = 15.0
_OLD_NS: Final = 500_000_000  # before the frame: where sound comes from now is unknown


def agrees(bearing: tuple[float, float] | None, sound: SoundBearing | None) -> bool | None:
    """Whether an object is where the sound comes from; None: one of them is unknown.

    Args:
        bearing: azimuth and elevation of the object, degrees.
        sound: of which the azimuth is compared.
    """
    if bearing is None or sound is None or sound.azimuth is None:
        return None
    return abs(wrapped(bearing[0] - sound.azimuth)) <= AGREE_DEG


def annotate(result: FrameResult, camera: Camera | None, sound: SoundBearing | None) -> None:
    """Write bearings into a result.

    Args:
        result: changed in place; `size` must be the camera's.
        camera: its geometry; None: unknown, and no track has a bearing.
        sound: the newest bearing that ends before the frame; None: there is no array.
    """
    if sound is not None and result.capture_time_ns - sound.time_ns > _OLD_NS:
        sound = SoundBearing(sound.time_ns, None, 0.0)
    result.sound_bearing = sound
    for track in result.tracks:
        track.bearing = None if camera is None else camera.bearing(*track.centroid)
        track.bearing_agrees = agrees(track.bearing, sound)
