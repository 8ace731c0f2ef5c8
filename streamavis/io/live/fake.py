"""A camera or microphone under the control of a test."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from streamavis.errors import InputError
from streamavis.io.live.capture import Capture, Captured, Device

if TYPE_CHECKING:
    from collections.abc import Iterator

    from streamavis.clock import Clock
    from streamavis.types import Modality

__all__ = ["FakeDevice"]


class FakeDevice:
    """Gives what is put into it, breaks on command, hangs otherwise.

    Attributes:
        opened: how often it was opened.
        refuses: why it cannot be opened; "" where it can.
        missing: why it certainly cannot be opened; "" where it may be.
        asked: how often that was asked.
        stubborn: an abort is ignored, as by a driver that hangs, until this is set to False.
    """

    def __init__(
        self,
        modality: Modality = "video",
        *,
        name: str = "fake",
        fps: float | None = None,
        has_sound: bool | None = None,
    ) -> None:
        self.name = name
        self.modality: Modality = modality
        self.fps = fps
        self.has_sound = modality == "audio" if has_sound is None else has_sound
        self.opened = 0
        self.refuses = self.missing = ""
        self.asked = 0
        self.stubborn = False
        self._changed = threading.Condition()
        self._orders: list[Captured | Exception | None] = []

    @property
    def device(self) -> Device:
        """What a `LiveSource` takes."""
        return Device(self.name, self.modality, self._open, problem=self._problem)

    def put(self, item: Captured) -> None:
        """Capture this."""
        self._order(item)

    def fail(self, error: str | Exception) -> None:
        """Break with an `InputError` of this reason, or with an error of another kind."""
        self._order(InputError(error) if isinstance(error, str) else error)

    def end(self) -> None:
        """Come to an end, as a file does."""
        self._order(None)

    def wait_opened(self, times: int, timeout_s: float = 60.0) -> bool:
        """Wait until it was opened that often; False when it was not by `timeout_s`."""
        with self._changed:
            return self._changed.wait_for(lambda: self.opened >= times, timeout_s)

    def let_go(self) -> None:
        """Be stubborn no more."""
        with self._changed:
            self.stubborn = False
            self._changed.notify_all()

    def _order(self, order: Captured | Exception | None) -> None:
        with self._changed:
            self._orders.append(order)
            self._changed.notify_all()

    def _open(self, clock: Clock) -> Capture:
        return _FakeCapture(self)

    def _problem(self, patience_s: float) -> str:
        self.asked += 1
        return self.missing

    def next_order(self, capture: _FakeCapture) -> Captured | Exception | None:
        """For a capture: wait for the next order; the end where it was aborted."""
        with self._changed:
            self._changed.wait_for(
                lambda: (
                    (capture.aborted and not self.stubborn)
                    or (self._orders and not capture.aborted)
                )
            )
            return None if capture.aborted else self._orders.pop(0)

    def count_opening(self) -> None:
        """For a capture: it was opened."""
        with self._changed:
            self.opened += 1
            self._changed.notify_all()

    def wake(self) -> None:
        """For a capture: it was aborted."""
        with self._changed:
            self._changed.notify_all()


class _FakeCapture:
    def __init__(self, fake: FakeDevice) -> None:
        self.fps = fake.fps
        self.has_sound = fake.has_sound
        self.aborted = False
        self._fake = fake

    def abort(self) -> None:
        self.aborted = True
        self._fake.wake()

    def __iter__(self) -> Iterator[Captured]:
        self._fake.count_opening()
        if self._fake.refuses:
            raise InputError(self._fake.refuses)
        while (order := self._fake.next_order(self)) is not None:
            if isinstance(order, Exception):
                raise order
            yield order
