"""What is known of a stream's camera and microphones, and the bearings that follow from it."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from streamavis.bearing.annotate import annotate
from streamavis.bearing.camera import Camera
from streamavis.errors import ArgumentError

if TYPE_CHECKING:
    from streamavis.bearing.microphones import MicArray
    from streamavis.types import FrameResult, Intrinsics, SoundBearing

__all__ = ["Bearings", "Geometry"]

_REMEMBERED: Final = 64  # bearings of sound, 6.4 s: frames are processed later than sound


@dataclass(frozen=True, kw_only=True)
class Geometry:
    """A stream's camera and microphones. What is None is unknown, and has no bearings.

    Attributes:
        hfov_deg: horizontal field of view of a camera without distortion.
        calibration: of the camera, in place of `hfov_deg`.
        array: the microphones, in the camera's axes.
        frame_id: name of the camera's axes, for ROS.
    """

    hfov_deg: float | None = None
    calibration: Camera | None = None
    array: MicArray | None = None
    frame_id: str = ""

    def __post_init__(self) -> None:
        """Refuse two descriptions of one camera, and an impossible one.

        Raises:
            ArgumentError: both are given, or the field of view is none.
        """
        if self.hfov_deg is not None and self.calibration is not None:
            raise ArgumentError("a field of view and a calibration exclude each other")
        if self.hfov_deg is not None:
            Camera.from_hfov(self.hfov_deg, (1, 1))

    def camera(self, size: tuple[int, int]) -> Camera | None:
        """The camera for pictures of height and width `size`; None: it is unknown.

        Raises:
            ArgumentError: the calibration is for pictures of another shape.
        """
        if self.calibration is not None:
            return self.calibration.scaled(size)
        return None if self.hfov_deg is None else Camera.from_hfov(self.hfov_deg, size)

    def intrinsics(self, size: tuple[int, int]) -> Intrinsics | None:
        """Likewise, as readers of results are given it.

        Raises:
            ArgumentError: as `camera`.
        """
        camera = self.camera(size)
        return None if camera is None else camera.intrinsics


class Bearings:
    """Keeps the sound's bearings of one stream, and writes bearings into its results.

    `hear` may be called on another thread than `annotate`.
    """

    def __init__(self, geometry: Geometry) -> None:
        self._geometry = geometry
        self._heard: deque[SoundBearing] = deque(maxlen=_REMEMBERED)
        self._camera: Camera | None = None
        self._size: tuple[int, int] | None = None

    def hear(self, bearing: SoundBearing) -> None:
        """Take the next bearing of the sound."""
        self._heard.append(bearing)

    def annotate(self, result: FrameResult) -> None:
        """Write the bearings of every track and of the sound, and `frame_id`, into a result."""
        if result.size != self._size:
            self._size = result.size
            try:
                self._camera = self._geometry.camera(result.size)
            except ArgumentError:  # pictures changed their shape on the way
                self._camera = None
        time_ns = result.capture_time_ns
        heard = [bearing for bearing in tuple(self._heard) if bearing.time_ns <= time_ns]
        result.frame_id = self._geometry.frame_id
        annotate(result, self._camera, heard[-1] if heard else None)
