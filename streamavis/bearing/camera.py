"""A camera's geometry: from a pixel to where it lies, in degrees, and back."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from streamavis.errors import ArgumentError
from streamavis.types import Intrinsics

__all__ = ["Camera"]

_ITERATIONS: Final = 25
_CLOSE: Final = 1e-9  # of the normalised image plane
_STEP: Final = 1e-6
_FAR: Final = 0.05  # off by more than this, normalised: the lens model has no answer there


@dataclass(frozen=True)
class Camera:
    """A pinhole camera with OpenCV's distortion (k1, k2, p1, p2, k3).

    Pixel (0, 0) is the middle of the upper left pixel, as with OpenCV.

    Attributes:
        size: height, width in pixels that the rest is for.
        fx: focal length, pixels; likewise `fy`.
        cx: principal point, pixels; likewise `cy`.
        distortion: k1, k2, p1, p2, k3.
    """

    size: tuple[int, int]
    fx: float
    fy: float
    cx: float
    cy: float
    distortion: tuple[float, float, float, float, float] = (0.0, 0.0, 0.0, 0.0, 0.0)

    def __post_init__(self) -> None:
        """Refuse what is no camera.

        Raises:
            ArgumentError: a number is not finite, a focal length or side not positive.
        """
        numbers = (*self.size, self.fx, self.fy, self.cx, self.cy, *self.distortion)
        if not all(map(math.isfinite, numbers)):
            raise ArgumentError(f"camera: all numbers must be finite, but got {self}")
        if min(self.size) < 1 or self.fx <= 0 or self.fy <= 0:
            raise ArgumentError(
                f"camera: size {self.size}, fx {self.fx:g} and fy {self.fy:g} must be positive"
            )

    @classmethod
    def from_hfov(cls, hfov_deg: float, size: tuple[int, int]) -> Camera:
        """A camera without distortion, by its horizontal field of view.

        Args:
            hfov_deg: from the left edge of the picture to the right one, 1 to 179 degrees.
            size: height, width in pixels.

        Raises:
            ArgumentError: the angle is out of range.
        """
        if not 1 <= hfov_deg <= 179:
            raise ArgumentError(
                f"the horizontal field of view is {hfov_deg:g} degrees, expected 1 to 179; a wider "
                "lens needs a calibration file"
            )
        height, width = size
        focal = width / 2 / math.tan(math.radians(hfov_deg) / 2)
        return cls(size, focal, focal, (width - 1) / 2, (height - 1) / 2)

    @property
    def intrinsics(self) -> Intrinsics:
        """What readers of results are given."""
        return Intrinsics(
            fx=self.fx, fy=self.fy, cx=self.cx, cy=self.cy, distortion=self.distortion
        )

    def scaled(self, size: tuple[int, int]) -> Camera:
        """The same camera at another resolution.

        Raises:
            ArgumentError: the proportions differ by over 1 %, so it shows another part of the view.
        """
        if size == self.size:
            return self
        down, across = size[0] / self.size[0], size[1] / self.size[1]
        if abs(down / across - 1) > 0.01:
            raise ArgumentError(
                f"the camera was calibrated at {self.size[1]}x{self.size[0]}, but its pictures are "
                f"{size[1]}x{size[0]}, which is another shape; calibrate at that size"
            )
        cx, cy = (self.cx + 0.5) * across - 0.5, (self.cy + 0.5) * down - 0.5
        return Camera(size, self.fx * across, self.fy * down, cx, cy, self.distortion)

    def undistorted(self, x: float, y: float) -> tuple[float, float] | None:
        """Where a pixel lies on the normalised image plane (right, down); None: nowhere.

        Newton's method on the distortion; a lens model may have no answer in far corners.
        """
        want_u, want_v = (x - self.cx) / self.fx, (y - self.cy) / self.fy
        u, v = want_u, want_v
        if not any(self.distortion):
            return u, v
        for _ in range(_ITERATIONS):
            got_u, got_v = self._distorted(u, v)
            off_u, off_v = got_u - want_u, got_v - want_v
            if math.hypot(off_u, off_v) < _CLOSE:
                return u, v
            right_u, right_v = self._distorted(u + _STEP, v)
            down_u, down_v = self._distorted(u, v + _STEP)
            a, b = (right_u - got_u) / _STEP, (down_u - got_u) / _STEP
            c, d = (right_v - got_v) / _STEP, (down_v - got_v) / _STEP
            determinant = a * d - b * c
            if determinant <= 0:  # beyond the turning point, where the picture would fold over
                return None
            u -= (d * off_u - b * off_v) / determinant
            v -= (a * off_v - c * off_u) / determinant
            if not (abs(u) < 1e3 and abs(v) < 1e3):
                return None
        got_u, got_v = self._distorted(u, v)
        return (u, v) if math.hypot(got_u - want_u, got_v - want_v) < _FAR else None

    def bearing(self, x: float, y: float) -> tuple[float, float] | None:
        """Azimuth (right) and elevation (up) of a pixel, degrees; None: the lens has no answer."""
        plane = self.undistorted(x, y)
        if plane is None:
            return None
        u, v = plane
        return math.degrees(math.atan(u)), math.degrees(math.atan2(-v, math.hypot(u, 1)))

    def pixel(self, azimuth_deg: float, elevation_deg: float = 0.0) -> tuple[float, float] | None:
        """Where a direction is in the picture's plane, pixels; None: behind the camera."""
        if not abs(azimuth_deg) < 90 or not abs(elevation_deg) < 90:
            return None
        u = math.tan(math.radians(azimuth_deg))
        v = -math.tan(math.radians(elevation_deg)) * math.hypot(u, 1)
        u, v = self._distorted(u, v)
        return self.fx * u + self.cx, self.fy * v + self.cy

    def _distorted(self, u: float, v: float) -> tuple[float, float]:
        k1, k2, p1, p2, k3 = self.distortion
        square = u * u + v * v
        radial = 1 + square * (k1 + square * (k2 + square * k3))
        return (
            u * radial + 2 * p1 * u * v + p2 * (square + 2 * u * u),
            v * radial + p1 * (square + 2 * v * v) + 2 * p2 * u * v,
        )
