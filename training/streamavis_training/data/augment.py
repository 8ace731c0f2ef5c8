"""What happens to a clip of any source before it is learned from: light, mirror, sound."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from streamavis_training.data.sample import ClipShape, Sample, Source

__all__ = ["AugmentConfig", "Augmented"]

_Kind = TypeVar("_Kind", bound=np.generic)
_TRIES = 4  # clips drawn to find sound that fits nothing in view


@dataclass(frozen=True)
class AugmentConfig:
    """How often and how much; of clips with sound where it is about sound."""

    flip: float = 0.5
    muted: float = 0.06  # share of clips with digital silence in place of their sound
    mismatched: float = 0.08  # share with another clip's sound, of no class in view
    gain_db: tuple[float, float] = (-10.0, 6.0)
    hiss_log10: tuple[float, float] = (-4.5, -2.5)  # of the standard deviation of white noise
    light: tuple[float, float] = (0.8, 1.2)  # gain of all channels
    tint: tuple[float, float] = (0.9, 1.1)  # gain of each channel
    lift: float = 15.0  # added to or taken from each pixel, at most


class Augmented:
    """A source whose clips are varied. What is known of them stays right."""

    def __init__(self, source: Source, config: AugmentConfig | None = None) -> None:
        self._source, self._config = source, config or AugmentConfig()

    @property
    def classes(self) -> tuple[str, ...]:
        return self._source.classes

    def draw(self, shape: ClipShape, rng: np.random.Generator) -> Sample:
        """Draw a clip of the source and vary it."""
        sample = self._source.draw(shape, rng)
        config = self._config
        flip = rng.random() < config.flip
        changed = replace(
            sample,
            frames=_lit(_mirrored(sample.frames, 2, flip), config, rng),
            masks=_mirrored(sample.masks, 3, flip),
            ignore=None if sample.ignore is None else _mirrored(sample.ignore, 2, flip),
        )
        if changed.waveform is None:
            return changed
        fate = rng.random()
        if fate < config.muted:
            return replace(
                changed,
                waveform=np.zeros_like(changed.waveform),
                sounding=np.zeros_like(changed.sounding),
                heard=np.zeros_like(changed.heard),
            )
        if fate < config.muted + config.mismatched:
            changed = self._mismatched(changed, shape, rng)
        gain = 10 ** (rng.uniform(*config.gain_db) / 20)
        hiss = 10 ** rng.uniform(*config.hiss_log10)
        assert changed.waveform is not None, "has sound"
        noise = rng.standard_normal(len(changed.waveform), np.float32)
        waveform = changed.waveform * np.float32(gain) + noise * np.float32(hiss)
        return replace(changed, waveform=np.clip(waveform, -1, 1, dtype=np.float32))

    def _mismatched(self, sample: Sample, shape: ClipShape, rng: np.random.Generator) -> Sample:
        """The clip with another's sound, of none of its classes; or as it is, if none fits.

        Audible classes are unknown then: the other clip's frames are at other times.
        """
        in_view = set(sample.class_ids.tolist())
        for _ in range(_TRIES):
            other = self._source.draw(shape, rng)
            heard = set(np.flatnonzero((other.heard == 1).any(0)).tolist())
            complete = not np.isnan(other.heard).any()
            if other.waveform is None or not complete or not heard or heard & in_view:
                continue
            return replace(
                sample,
                waveform=other.waveform,
                waveform_start_ns=other.waveform_start_ns
                + int(sample.times_ns[-1] - other.times_ns[-1]),
                sounding=np.zeros_like(sample.sounding),
                heard=np.full_like(sample.heard, np.nan),
            )
        return sample


def _mirrored(array: NDArray[_Kind], axis: int, flip: bool) -> NDArray[_Kind]:
    return np.ascontiguousarray(np.flip(array, axis)) if flip else array


def _lit(
    frames: NDArray[np.uint8], config: AugmentConfig, rng: np.random.Generator
) -> NDArray[np.uint8]:
    """(T, H, W, 3) with gain of all and each channel, and a lift."""
    gain = rng.uniform(*config.light) * rng.uniform(*config.tint, 3)
    lift = rng.uniform(-config.lift, config.lift)
    table = np.clip(np.arange(256)[:, None] * gain + lift, 0, 255).astype(np.uint8)
    return np.stack([table[:, c][frames[..., c]] for c in range(3)], -1)
