"""A replay as viewers steer it: from where, in a loop, once more."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Playback"]


class Playback:
    """What viewers ask of a replay; any thread may read and change it.

    Attributes:
        duration_s: of the recording; None: unknown.
    """

    def __init__(self, duration_s: float | None, *, seekable: bool) -> None:
        """Start without a request.

        Args:
            duration_s: of the recording; None: unknown.
            seekable: False while outputs are written, which need the recording whole and once.
        """
        self.duration_s = duration_s
        self._seekable = seekable
        self._loop = False
        self._wanted: float | None = None  # seconds to go on from
        self._changed = threading.Condition()
        self._followers: list[Callable[[], None]] = []
        self._interrupt: Callable[[], object] | None = None  # ends the pass that runs

    @property
    def seekable(self) -> bool:
        """Whether viewers may choose the place now."""
        return self._seekable

    @property
    def loop(self) -> bool:
        """Whether the recording begins anew at its end."""
        return self._loop

    @property
    def pending(self) -> bool:
        """True when the replay is about to go on from another place."""
        return self._wanted is not None

    def follow(self, follower: Callable[[], None]) -> None:
        """Call `follower` after each change, on the thread that made it."""
        self._followers.append(follower)

    def go(self, from_s: float) -> bool:
        """Play from there, in seconds; False where that is not possible now."""
        with self._changed:
            if not self._seekable:
                return False
            limit_s = from_s if self.duration_s is None else self.duration_s
            self._wanted = max(0.0, min(from_s, limit_s))
            interrupt = self._interrupt
            self._changed.notify_all()
        if interrupt is not None:
            interrupt()
        return True

    def set_loop(self, on: bool) -> None:
        """Begin anew at the end from now on, or do not."""
        with self._changed:
            self._loop = on
        self._tell()

    def running(self, interrupt: Callable[[], object] | None) -> None:
        """A pass runs, which `interrupt` ends; None: it is over."""
        with self._changed:
            self._interrupt = interrupt
            wanted = self._wanted
        if interrupt is not None and wanted is not None:
            interrupt()

    def allow(self) -> None:
        """From now on viewers may choose the place: the outputs are written."""
        with self._changed:
            self._seekable = True
        self._tell()

    def next(self, ended: bool, wait_s: float) -> float | None:
        """Where the next pass begins, in seconds; None: no request within `wait_s`.

        `ended`: the pass before came to its end, so a loop begins anew.
        """
        with self._changed:
            if self._wanted is None and not (ended and self._loop):
                self._changed.wait_for(lambda: self._wanted is not None, wait_s)
            wanted, self._wanted = self._wanted, None
            return 0.0 if wanted is None and ended and self._loop else wanted

    def told(self) -> dict[str, Any]:
        """For the page."""
        return {"duration_s": self.duration_s, "seekable": self._seekable, "loop": self._loop}

    def _tell(self) -> None:
        for follower in list(self._followers):
            follower()
