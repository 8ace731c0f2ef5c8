"""What a driver of a pan-tilt head has to offer, and what an axis may do."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

from streamavis.errors import ArgumentError

__all__ = ["Axis", "Head", "Pose"]


@dataclass(frozen=True, slots=True)
class Pose:
    """Where a head points, degrees from its own front."""

    pan: float  # to the right positive
    tilt: float  # upwards positive


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """What one joint may do."""

    low: float  # degrees
    high: float
    speed: float = 300.0  # degrees/s at most
    acceleration: float = 2000.0  # degrees/s^2 at most, for braking as well

    def __post_init__(self) -> None:
        """Refuse what no joint can be.

        Raises:
            ArgumentError: the limits exclude 0 or each other, or a rate is not positive.
        """
        if not -360 <= self.low <= 0 <= self.high <= 360 or self.low == self.high:
            raise ArgumentError(
                f"limits {self.low:g} to {self.high:g} degrees: expected the front, 0, between "
                "them, and at most 360 either way"
            )
        for name, value in (("speed", self.speed), ("acceleration", self.acceleration)):
            if not (math.isfinite(value) and value > 0):
                raise ArgumentError(f"{name} is {value:g}, expected a positive number of degrees")

    def within(self, degrees: float) -> float:
        """The nearest angle that is allowed."""
        return min(max(degrees, self.low), self.high)


class Head(Protocol):
    """A driver. All calls come from one thread, `move` about 50 times a second.

    Every method raises `OutputError` where the head does not answer any more.
    """

    def pose(self) -> Pose | None:
        """Where the head points now; None: it cannot tell, and is where it was sent."""

    def move(self, pose: Pose) -> None:
        """Go there at once: the angles are within the limits, and keep speed and acceleration."""

    def hold(self) -> None:
        """Stay where it is. Called when the wire is silent, and before `close`."""

    def close(self) -> None:
        """Give the device back; the head stays where it is."""
