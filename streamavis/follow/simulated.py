"""A head that exists in numbers: what servos do with the positions they are sent."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from streamavis.follow.head import Pose

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["SimulatedHead"]


class SimulatedHead:
    """Two servos that follow their goals with a lag of first order.

    Attributes:
        sent: every goal and when it was sent: (time_ns, pose).
        holds: how often it was told to hold.
        closed: True after `close`.
    """

    def __init__(self, clock: Callable[[], int], *, lag_s: float = 0.03, kept: int = 100) -> None:
        """Start at the front.

        Args:
            clock: monotonic ns.
            lag_s: time constant of the servos.
            kept: goals that are remembered in `sent`.
        """
        self.sent: list[tuple[int, Pose]] = []
        self.holds = 0
        self.closed = False
        self._clock = clock
        self._lag_s = lag_s
        self._kept = kept
        self._goal = self._now = Pose(0.0, 0.0)
        self._at_ns = clock()

    def pose(self) -> Pose:
        """Where it points now."""
        now_ns = self._clock()
        left = math.exp(-(now_ns - self._at_ns) / 1e9 / self._lag_s) if self._lag_s else 0.0
        self._at_ns = now_ns
        self._now = Pose(
            self._goal.pan + left * (self._now.pan - self._goal.pan),
            self._goal.tilt + left * (self._now.tilt - self._goal.tilt),
        )
        return self._now

    def move(self, pose: Pose) -> None:
        """Set the goal."""
        self.pose()
        self._goal = pose
        self.sent = [*self.sent[1 - self._kept :], (self._at_ns, pose)]

    def hold(self) -> None:
        """Stay."""
        self._goal = self.pose()
        self.holds += 1

    def close(self) -> None:
        """Note it."""
        self.closed = True
