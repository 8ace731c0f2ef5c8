"""A browser's blocks of samples as sound on the engine's clock."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Final

import av

from streamavis.io.resample import MonoResampler
from streamavis.types import AudioGap
from streamavis_apps.web.offsets import ClockOffset

if TYPE_CHECKING:
    from collections.abc import Iterator

    from streamavis.types import AudioChunk
    from streamavis_apps.web.feed import Block

__all__ = ["BrowserSound"]

_NS: Final = 1_000_000_000
_MOST_LOST_S: Final = 60  # a jump that is longer is a sound that began anew


class BrowserSound:
    """Counts samples, so that lost ones leave a gap of their exact length.

    The sound card's clock is laid on the browser's by the same minimum filter as the browser's
    on the engine's: blocks reach the page late, never early.
    """

    def __init__(self) -> None:
        self._resampler = MonoResampler()
        self._card = ClockOffset()
        self._next: int | None = None  # sample expected
        self._rate = 0

    def hear(self, block: Block, offset_ns: int) -> Iterator[AudioChunk | AudioGap]:
        """Take a block; `offset_ns` leads from the browser's clock to the engine's."""
        if block.rate != self._rate or self._next is None or self._began_anew(block):
            self.reset()
        self._rate = block.rate
        start_ns = block.first * _NS // block.rate
        end_ns = (block.first + len(block.samples)) * _NS // block.rate
        # A block is whole when its last sample was taken.
        card_ns = self._card.observe(end_ns, round(block.arrived_ms * 1e6))
        start_ns += card_ns + offset_ns - round(block.latency_s * _NS)
        if self._next is not None and block.first > self._next:
            lost_ns = (block.first - self._next) * _NS // block.rate
            yield from self._resampler.flush()
            yield AudioGap(start_ns - lost_ns, lost_ns, "the browser lost sound")
        self._next = block.first + len(block.samples)
        if len(block.samples):
            frame = av.AudioFrame.from_ndarray(block.samples[None], "s16", "mono")
            frame.sample_rate = block.rate
            yield from self._resampler.feed(frame, Fraction(start_ns, _NS))

    def reset(self) -> None:
        """What comes next has nothing to do with what came before."""
        self._resampler = MonoResampler()
        self._card.reset()
        self._next = None

    def _began_anew(self, block: Block) -> bool:
        assert self._next is not None, "asked after the first block"
        return not 0 <= block.first - self._next <= _MOST_LOST_S * block.rate
