"""Smooth movement of one axis: never faster, never harder, never past a limit, no overshoot."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from streamavis.follow.head import Axis

__all__ = ["Motion"]


class Motion:
    """Follows a target that may jump, with a trapezoid of speed.

    In each step the speed is the largest from which the axis can still brake to a standstill at
    the target. As the target is within the limits, so is everything on the way to it.

    Attributes:
        position: degrees, where the axis is sent.
        velocity: degrees/s.
    """

    def __init__(self, axis: Axis, position: float = 0.0) -> None:
        """Start at rest at `position`, degrees."""
        self.position = axis.within(position)
        self.velocity = 0.0
        self._axis = axis

    def step(self, target: float | None, dt_s: float) -> float:
        """Advance by `dt_s` and return the new position.

        Args:
            target: degrees, taken to the nearest limit if beyond; None: brake to a standstill.
            dt_s: positive.
        """
        change = self._axis.acceleration * dt_s
        wanted = 0.0 if target is None else self._speed_to(self._axis.within(target), dt_s)
        velocity = min(max(wanted, self.velocity - change), self.velocity + change)
        position = self.position + velocity * dt_s
        bounded = self._axis.within(position)
        self.velocity = velocity if bounded == position else 0.0
        self.position = bounded
        return bounded

    def _speed_to(self, target: float, dt_s: float) -> float:
        left = target - self.position
        # n + 1 steps, each slower by `drop`, cover n (n + 1) / 2 of `unit` until the standstill.
        drop = self._axis.acceleration * dt_s
        unit = drop * dt_s
        steps = math.floor((math.sqrt(1 + 8 * abs(left) / unit) - 1) / 2)
        fastest = (abs(left) / dt_s + drop * steps * (steps + 1) / 2) / (steps + 1)
        return math.copysign(min(fastest, self._axis.speed), left)
