"""Maps a device's time to the engine's clock, from arrival times only.

A camera's or sound card's clock runs by itself: tens of ppm off, which is 180 ms an hour at 50 ppm.
What is known of it are pairs (device time, arrival), and an arrival is late by a latency plus a
jitter that is never negative. So the map is a minimum-delay filter: over a
window of a second the smallest residual is the error, and a second-order delay-locked loop (F.
Adriaensen, "Using a DLL to filter time", 2005) follows it in phase and rate.
"""

from __future__ import annotations

import math
import statistics
from typing import Literal

__all__ = ["TimeBridge"]

_NS = 1_000_000_000
_WINDOW_NS = _NS
_FIRST_WINDOW_NS = 900_000_000  # of a line that was only just laid: right again within a second
_FEWEST = 8  # observations a window needs
_BANDWIDTH = 0.02  # of the loop, in cycles per window
_OMEGA = 2 * math.pi * _BANDWIDTH
_PHASE_GAIN = math.sqrt(2) * _OMEGA
_RATE_GAIN = _OMEGA**2
_LOCKED_NS = 5_000_000  # the rate learns from errors up to this
_STEP_NS = 20_000_000  # no window moves the phase on behalf of a larger error
_REANCHOR_NS = 250_000_000
_JUMP_NS = _NS  # device and clock part by this between two observations: a new beginning
_MOST_RATE = 1e-3  # no clock that counts seconds is 1000 ppm off
_PATIENCE = 5  # windows out of lock and not getting nearer: it does not count seconds


class TimeBridge:
    """Maps a device's time to the clock its arrivals are stamped with; both in int ns.

    `edge="lower"`: arrivals are late, by an unknown jitter; one that is early is a proof, and
    corrects the line at once. `edge="middle"`: observations err to both sides, as a driver's
    own time stamps do.

    Attributes:
        sane: False once the device's time has been found not to advance by seconds.
    """

    def __init__(self, edge: Literal["lower", "middle"] = "lower", *, rate: float = 0.0) -> None:
        """Start with nothing known but perhaps the `rate` of a bridge before it."""
        self.sane = True
        self._lower = edge == "lower"
        self._rate = rate  # clock seconds per device second, less 1
        self._device_ns: int | None = None  # a moment on both clocks
        self._clock_ns = 0
        self._begin_ns = 0  # of the window, on the clock
        self._residuals: list[float] = []
        self._early_ns = 0.0  # smallest residual of the window, where it is a proof
        self._new = False  # the line was only just laid
        self._latest = (0, 0)
        self._errors: list[float] = []  # of the latest windows, while out of lock

    @property
    def rate(self) -> float:
        """How much faster the clock runs than the device, as found so far: 50e-6 is 50 ppm."""
        return self._rate

    def on_clock(self, device_ns: int) -> int:
        """When, on the clock, the device's time was `device_ns`; needs one observation."""
        assert self._device_ns is not None, "nothing was observed yet"
        return round(self._line(device_ns) + self._early_ns) + self._clock_ns

    def observe(self, device_ns: int, arrival_ns: int) -> None:
        """Something the device stamped with `device_ns` arrived at `arrival_ns`."""
        if self._device_ns is None or self._jumped(device_ns, arrival_ns):
            self._anchor(device_ns, arrival_ns)
        self._latest = (device_ns, arrival_ns)
        residual = (arrival_ns - self._clock_ns) - self._line(device_ns)
        self._residuals.append(residual)
        if self._lower:
            self._early_ns = min(self._early_ns, residual)
        enough = len(self._residuals) >= _FEWEST
        window_ns = _FIRST_WINDOW_NS if self._new else _WINDOW_NS
        if enough and arrival_ns - self._begin_ns >= window_ns:
            self._learn(device_ns, arrival_ns)

    def residual_ns(self, device_ns: int, arrival_ns: int) -> int:
        """How late `arrival_ns` is against the line, without learning from it."""
        return arrival_ns - self.on_clock(device_ns)

    def begin_anew(self, now_ns: int) -> None:
        """Forget what came before: where the line lies is known less well than before.

        The next window, which begins at `now_ns`, moves it by all of its error.
        """
        self._residuals.clear()
        self._early_ns = 0.0
        self._begin_ns = now_ns
        self._new = True

    def _line(self, device_ns: int) -> float:
        assert self._device_ns is not None, "an anchor is set with the first observation"
        return (device_ns - self._device_ns) * (1 + self._rate)

    def _anchor(self, device_ns: int, clock_ns: int) -> None:
        self._device_ns, self._clock_ns = device_ns, clock_ns
        self._begin_ns = clock_ns
        self._residuals.clear()
        self._early_ns = 0.0

    def _jumped(self, device_ns: int, arrival_ns: int) -> bool:
        device, arrival = self._latest
        return abs((device_ns - device) - (arrival_ns - arrival)) > _JUMP_NS

    def _learn(self, device_ns: int, arrival_ns: int) -> None:
        """End a window: move the line, and begin the next window on it."""
        error = min(self._residuals) if self._lower else statistics.median(self._residuals)
        self._judge(error)
        if abs(error) <= _LOCKED_NS and not self._new:
            rate = self._rate + _RATE_GAIN * error / (arrival_ns - self._begin_ns)
            self._rate = min(max(rate, -_MOST_RATE), _MOST_RATE)
        if (
            self._new
            or error > _REANCHOR_NS
            or error < -(_LOCKED_NS if self._lower else _REANCHOR_NS)
        ):
            step = error
        else:
            step = _PHASE_GAIN * min(max(error, -_STEP_NS), _STEP_NS)
        self._new = False
        # With the old rate up to here: the line must not break under a change of rate.
        moved = round(self._residuals[-1] - step)
        self._anchor(device_ns, arrival_ns - moved)
        self._begin_ns = arrival_ns

    def _judge(self, error: float) -> None:
        """Does the device count seconds? Then it comes into lock, or at least nearer to it."""
        if abs(error) <= _LOCKED_NS:
            self._errors.clear()
            return
        self._errors = [*self._errors, error][-_PATIENCE:]
        if len(self._errors) == _PATIENCE:
            always_new = all(e < -_STEP_NS or e > _REANCHOR_NS for e in self._errors)
            falls_behind = self._errors[-1] > self._errors[0] + _STEP_NS
            self.sane = self.sane and not (always_new or falls_behind)
