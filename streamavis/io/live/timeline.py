"""From what a stream says of its time to the engine's clock."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streamavis.io.live.bridge import TimeBridge

if TYPE_CHECKING:
    from fractions import Fraction

    from streamavis.types import ClockSource

__all__ = ["StreamTimeline"]

_NS = 1_000_000_000
_LONGEST = 2**62  # ns: a damaged stamp may say anything


class StreamTimeline:
    """The common clock of a stream's pictures and sound.

    Each packet tells the timeline when it arrived; its picture then takes its time from the
    stream, or, where the stream's stamps are missing or do not count seconds, from the arrival.
    Times never go back and never lie ahead of now.
    """

    def __init__(self, *, counted: bool = False) -> None:
        """Start; `counted` where the container numbers its pictures instead of timing them."""
        self._bridge = None if counted else TimeBridge()
        self._last_ns = -1

    @property
    def sane(self) -> bool:
        """Whether the stream's own stamps are used."""
        return self._bridge is not None and self._bridge.sane

    def arrived(self, pts: int | None, time_base: Fraction | None, now_ns: int) -> None:
        """A packet with this stamp came."""
        device_ns = _ns(pts, time_base)
        if device_ns is not None and self._bridge is not None:
            self._bridge.observe(device_ns, now_ns)

    def on_clock(self, pts: int | None, time_base: Fraction | None) -> int | None:
        """Where a stamp lies on the clock; None where the stream does not say."""
        device_ns = _ns(pts, time_base)
        if device_ns is None or self._bridge is None or not self._bridge.sane:
            return None
        return self._bridge.on_clock(device_ns)

    def picture_ns(
        self, pts: int | None, time_base: Fraction | None, arrival_ns: int
    ) -> tuple[int, ClockSource]:
        """When a picture was taken, and how that is known."""
        time_ns = self.on_clock(pts, time_base)
        clock: ClockSource = "arrival" if time_ns is None else "driver"
        return self.in_order(arrival_ns if time_ns is None else min(time_ns, arrival_ns)), clock

    def in_order(self, time_ns: int) -> int:
        """A picture's time, moved behind the one before it if it is not."""
        self._last_ns = max(time_ns, self._last_ns + 1)
        return self._last_ns


def _ns(pts: int | None, time_base: Fraction | None) -> int | None:
    if pts is None or time_base is None:
        return None
    time_ns = pts * time_base.numerator * _NS // time_base.denominator
    return time_ns if abs(time_ns) < _LONGEST else None
