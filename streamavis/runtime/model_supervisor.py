"""What follows a failure of the model: the frame is skipped, the state rebuilt, or one waits."""

from __future__ import annotations

from collections import deque
from enum import Enum, auto
from typing import Final

__all__ = ["MAX_REBUILDS", "ModelSupervisor", "Remedy"]

_S: Final = 1_000_000_000
_FAILURES: Final = 3  # of them within
_WITHIN_NS: Final = 10 * _S  # the state is rebuilt
MAX_REBUILDS: Final = 5  # within a minute: then rebuilding does not help
_BUDGET_NS: Final = 60 * _S
_RETRY_NS: Final = 5 * _S  # how often a model that is given up is tried all the same


class Remedy(Enum):
    """What to do about a failure."""

    SKIP = auto()  # this frame has no result
    REBUILD = auto()  # the model's state may be poisoned: begin anew
    GIVE_UP = auto()  # the budget is used up: say so and try slowly


class ModelSupervisor:
    """Decides by count and time alone; the engine's thread asks, time is passed in.

    Three failures within 10 s rebuild the model's state. Five rebuilds within a minute, and a
    sixth is due: from then on the model gets a frame every 5 s only, until one succeeds.
    """

    def __init__(self) -> None:
        self._failures_ns: deque[int] = deque(maxlen=_FAILURES)
        self._rebuilds_ns: deque[int] = deque(maxlen=MAX_REBUILDS)
        self._retry_ns: int | None = None

    @property
    def given_up(self) -> bool:
        """True while the model is tried every 5 s only."""
        return self._retry_ns is not None

    def may_try(self, now_ns: int) -> bool:
        """Whether the next frame should be given to the model."""
        return self._retry_ns is None or now_ns >= self._retry_ns

    def succeeded(self) -> bool:
        """A frame has its result; True when the model had been given up."""
        recovered, self._retry_ns = self.given_up, None
        if recovered:
            self._failures_ns.clear()
            self._rebuilds_ns.clear()
        return recovered

    def failed(self, now_ns: int) -> Remedy:
        """A frame has none; says what to do."""
        if self._retry_ns is not None:
            self._retry_ns = now_ns + _RETRY_NS
            return Remedy.REBUILD
        self._failures_ns.append(now_ns)
        if not _full_within(self._failures_ns, now_ns, _WITHIN_NS):
            return Remedy.SKIP
        self._failures_ns.clear()
        if _full_within(self._rebuilds_ns, now_ns, _BUDGET_NS):
            self._retry_ns = now_ns + _RETRY_NS
            return Remedy.GIVE_UP
        self._rebuilds_ns.append(now_ns)
        return Remedy.REBUILD


def _full_within(times_ns: deque[int], now_ns: int, span_ns: int) -> bool:
    return len(times_ns) == times_ns.maxlen and now_ns - times_ns[0] <= span_ns
