"""Another machine's clock on ours, by the message that was on its way for the shortest time."""

from __future__ import annotations

from collections import deque

__all__ = ["ClockOffset"]


class ClockOffset:
    """The offset between two clocks as the minimum over a sliding window.

    Each message shows the true offset plus the time it took; delays only add, so the smallest of
    the last `window_s` is the best. The window lets the offset follow clocks that drift apart: at
    200 ppm and 10 s it is at most 2 ms old. Memory is bounded: one candidate a `window_s / 64`.
    """

    def __init__(self, window_s: float = 10.0) -> None:
        self._window_ns = round(window_s * 1e9)
        self._grain_ns = self._window_ns // 64
        # (local time, offset), offsets rising: the first is the smallest in the window.
        self._candidates: deque[tuple[int, int]] = deque()

    def observe(self, remote_ns: int, local_ns: int) -> int:
        """Take a message sent at `remote_ns` that arrived at `local_ns`; return the offset.

        `remote_ns` plus the offset is the same moment on the local clock.
        """
        offset = local_ns - remote_ns
        kept = self._candidates
        while kept and kept[-1][1] >= offset:
            kept.pop()
        if not kept or local_ns - kept[-1][0] >= self._grain_ns:
            kept.append((local_ns, offset))
        while local_ns - kept[0][0] > self._window_ns:
            kept.popleft()
        return kept[0][1]

    def reset(self) -> None:
        """Forget: the other clock began anew."""
        self._candidates.clear()
