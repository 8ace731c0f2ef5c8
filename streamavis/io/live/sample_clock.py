"""When each block of a sound card's samples was taken."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from streamavis.io.live.bridge import TimeBridge

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Placed", "SampleClock", "SoundBlock"]

_NS = 1_000_000_000
_SETTLE_BLOCKS = 5
_SETTLE_NS = 150_000_000  # sound held back until it is known where it belongs
_USUAL_BLOCKS = 200  # from which is known how late blocks usually are
_OLDEST_ADC_NS = _NS
_ADC_TRIAL_NS = 2 * _NS  # how long ADC times must agree with the count before they are used
_ADC_SPREAD_NS = 5_000_000
_ADC_PATIENCE = 20  # blocks with a useless ADC time, before it is given up
_LATE_NS = 20_000_000  # every block late by this for half a second: sound was lost, not delayed
_WATCHED_NS = _NS // 2
_WATCHED_BLOCKS = 5


@dataclass(slots=True)
class SoundBlock:
    """What one callback of a sound card gave."""

    samples: NDArray[np.float32]  # (n,), mono, at the card's rate
    arrival_ns: int  # when the callback ran, on the engine's clock
    age_ns: int | None = None  # of the first sample then, as the driver says; None: it does not
    overflow: bool = False  # the driver lost an unknown number of samples before it
    missed: int = 0  # samples before it that are known to be lost


class Placed(NamedTuple):
    """A block and its time."""

    samples: NDArray[np.float32]
    start_ns: int  # of the first sample, on the engine's clock
    period_ns: float  # from sample to sample, on the engine's clock
    lost: str  # why something is missing before it; "" where nothing is


class SampleClock:
    """Places blocks on the engine's clock: by ADC time once it is sane, else by their count.

    Samples are counted; a `TimeBridge` says where the count lies on the clock: by the arrivals,
    or, once they have advanced with the count for 2 s (PulseAudio's take a second to settle), by
    the driver's ADC times, which also know how long the sound took. What was lost is
    part of the count, so a loss moves nothing that comes after it. An overflow's length is
    told by how late the blocks after it are: they are held back for 150 ms until that is known.

    Attributes:
        by_adc: True while the driver's ADC times are used.
    """

    def __init__(self, rate: int) -> None:
        """Start with nothing known; `rate` is the card's nominal rate in Hz."""
        self.by_adc = False
        self._rate = rate
        self._bridge: TimeBridge | None = None
        self._count = 0  # samples up to the next block, lost ones included
        self._held: list[SoundBlock] = []  # until it is known where they belong
        self._held_samples = 0
        self._cause = ""
        self._adc_faults = 0
        self._last_adc_ns = 0
        self._adc_offset_ns = 0  # of ADC time to the count, as the trial began
        self._adc_since_ns: int | None = None  # when the trial began; None: no sane time yet
        self._usual: deque[int] = deque(maxlen=_USUAL_BLOCKS)  # how late the latest blocks were
        self._late_ns: list[int] = []  # of the blocks since the last one that was in time
        self._in_time_ns = 0  # when that one came

    @property
    def rate_error(self) -> float:
        """How much the card is found to be slow: 50e-6 where it is 50 ppm slow."""
        return 0.0 if self._bridge is None else self._bridge.rate

    def place(self, block: SoundBlock) -> list[Placed]:
        """Take in a block; give what can be placed now: mostly this one, or none, or several."""
        self._check_adc(block)
        self._count += block.missed
        if block.missed and not self._held:
            self._cause = self._cause or "overflow"
        if block.overflow and not self._held and self._bridge is not None:
            self._cause = "overflow"
            self._hold(block)
            return []
        if self._held or self._bridge is None:
            self._hold(block)
            return self._settle() if self._settled() else []
        return [self._put(block)]

    def _check_adc(self, block: SoundBlock) -> None:
        """Non-zero, within 1 s before now, advancing with the count: else it is not believed."""
        if block.age_ns is None or not 0 < block.age_ns < _OLDEST_ADC_NS:
            self._adc_since_ns = None
            self._fault()
            return
        adc_ns = block.arrival_ns - block.age_ns
        offset_ns = adc_ns - self._device_ns(self._count)
        agrees = adc_ns > self._last_adc_ns and (
            abs(offset_ns - self._adc_offset_ns) <= _ADC_SPREAD_NS
        )
        self._last_adc_ns = adc_ns
        if self._adc_since_ns is None or not agrees:
            self._adc_since_ns = block.arrival_ns
            self._adc_offset_ns = offset_ns
        if not self.by_adc:
            if block.arrival_ns - self._adc_since_ns >= _ADC_TRIAL_NS and not self._held:
                self._use_adc()
            return
        assert self._bridge is not None, "ADC times are used on a bridge"
        late_ns = self._bridge.residual_ns(self._device_ns(self._count), adc_ns)
        if abs(late_ns) > _LATE_NS:
            self._fault()
        else:
            self._adc_faults = 0

    def _use_adc(self) -> None:
        self.by_adc, self._adc_faults = True, 0
        self._bridge = TimeBridge("middle", rate=self.rate_error)
        self._bridge.observe(self._device_ns(self._count), self._last_adc_ns)

    def _fault(self) -> None:
        """Give ADC times up after many useless ones in a row."""
        self._adc_faults += 1
        if self.by_adc and self._adc_faults >= _ADC_PATIENCE:
            self.by_adc, self._bridge = False, None  # arrivals lie elsewhere: a new line
            self._adc_since_ns = None

    def _hold(self, block: SoundBlock) -> None:
        self._held.append(block)
        self._held_samples += len(block.samples)

    def _settled(self) -> bool:
        enough = self._held_samples * _NS >= _SETTLE_NS * self._rate
        return len(self._held) >= _SETTLE_BLOCKS and enough

    def _settle(self) -> list[Placed]:
        """Find out where the blocks that were held back belong, and let them go."""
        held, self._held, self._held_samples = self._held, [], 0
        if self._bridge is None:
            self._bridge = TimeBridge("lower")
        else:
            count, late = self._count, []
            for block in held:
                late.append(self._bridge.residual_ns(*self._observation(block, count)))
                count += len(block.samples) + block.missed
            lost_ns = sorted(late)[len(late) // 2] if self.by_adc else min(late)
            lost_ns -= 0 if self.by_adc else self._usual_ns(len(late))
            self._count += max(0, round(lost_ns * self._rate / _NS))
            self._bridge.begin_anew(held[0].arrival_ns)
        return [self._put(block) for block in held]

    def _usual_ns(self, blocks: int) -> int:
        """How late the promptest of so many blocks is at the least, mostly: jitter, and no loss.

        What is taken for a loss and is none shows with the next prompt block, the other way round
        only after a while: so a low share of what was seen.
        """
        late = np.array(self._usual)
        if len(late) < 2 * blocks:
            return 0
        spans = np.lib.stride_tricks.sliding_window_view(late, blocks)
        return int(np.quantile(spans.min(axis=1), 0.2))

    def _put(self, block: SoundBlock) -> Placed:
        assert self._bridge is not None, "settled"
        device_ns, seen_ns = self._observation(block, self._count)
        self._bridge.observe(device_ns, seen_ns)
        self._usual.append(self._bridge.residual_ns(device_ns, seen_ns))
        self._watch(device_ns, seen_ns)
        cause, self._cause = self._cause, ""
        start_ns = self._bridge.on_clock(self._device_ns(self._count))
        self._count += len(block.samples)
        period_ns = _NS / self._rate * (1 + self._bridge.rate)
        return Placed(block.samples, start_ns, period_ns, cause)

    def _observation(self, block: SoundBlock, count: int) -> tuple[int, int]:
        """A moment on the count and on the clock: the first sample's ADC, or the last's arrival."""
        if self.by_adc and block.age_ns is not None:
            return self._device_ns(count), block.arrival_ns - block.age_ns
        return self._device_ns(count + len(block.samples)), block.arrival_ns

    def _watch(self, device_ns: int, seen_ns: int) -> None:
        """A loss that no driver announced: every block is late, for half a second."""
        assert self._bridge is not None, "settled"
        late_ns = self._bridge.residual_ns(device_ns, seen_ns)
        if late_ns < _LATE_NS:
            self._late_ns.clear()
            self._in_time_ns = seen_ns
            return
        self._late_ns.append(late_ns)
        watched = seen_ns - self._in_time_ns > _WATCHED_NS
        if watched and len(self._late_ns) >= _WATCHED_BLOCKS:
            self._count += min(self._late_ns) * self._rate // _NS
            self._cause = "loss"
            self._late_ns.clear()

    def _device_ns(self, count: int) -> int:
        return count * _NS // self._rate
