"""One typed sample for every source of training clips, and how samples become a batch.

T frames, N objects, K classes, H W pixels, H4 W4 cells of 4 x 4 pixels of the padded frame.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import cv2
import numpy as np
import torch

from streamavis.errors import ArgumentError
from streamavis.model.backbones import STRIDE
from streamavis.types import SAMPLE_RATE, WINDOW_SAMPLES
from streamavis_training.batch import Batch, Truth

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["CELL", "ClipShape", "Sample", "Source", "audio_windows", "collate"]

CELL = 4  # pixels; masks are learned at this stride
_NS = 1_000_000_000


@dataclass(frozen=True)
class ClipShape:
    """What a clip is drawn as."""

    frames: int  # T
    height: int  # pixels of every frame (network size)
    width: int
    # Frames per second to draw from; sources with times of their own ignore it.
    rates: tuple[float, ...] = (5.0, 6.0, 8.0, 10.0, 12.0, 15.0)

    def __post_init__(self) -> None:
        if self.frames < 1 or self.height < 1 or self.width < 1:
            raise ArgumentError(
                f"a clip of {self.frames} frames of {self.width}x{self.height} pixels is empty;"
                " each must be at least 1"
            )
        if not self.rates or min(self.rates) <= 0:
            raise ArgumentError(f"frame rates are {self.rates}; name at least one, all above 0")


@dataclass
class Sample:
    """One clip of T frames, N objects, K classes, as every source gives it."""

    name: str  # where it is from, for messages
    frames: NDArray[np.uint8]  # (T, H, W, 3) RGB
    times_ns: NDArray[np.int64]  # (T,) stream time, rising (`sampling` may repeat a frame)
    # (n,) 16 kHz mono in [-1, 1]. None: the source has no sound; `sounding`, `heard` are NaN then.
    waveform: NDArray[np.float32] | None
    waveform_start_ns: int  # time of waveform[0]
    masks: NDArray[np.uint8]  # (T, N, H, W) coverage 0..255
    class_ids: NDArray[np.int64]  # (N,) into `classes` of the source
    visible: NDArray[np.float32]  # (T, N) 1 yes, 0 no, NaN unknown; where 1, the mask is given
    sounding: NDArray[np.float32]  # (T, N) the same
    level: NDArray[np.float32]  # (T, N) 0..1 or NaN
    heard: NDArray[np.float32]  # (T, K) 1, 0 or NaN
    # (T, H, W) bool, pixels that may show unlabelled objects. None: all is labelled.
    ignore: NDArray[np.bool_] | None
    features: NDArray[np.float32] | None = None  # (T, A) of the sound, where ready made

    def __post_init__(self) -> None:
        t, h, w = self.frames.shape[:3]
        n = len(self.class_ids)
        wanted: dict[str, tuple[int, ...]] = {
            "frames": (t, h, w, 3),
            "times_ns": (t,),
            "masks": (t, n, h, w),
            **dict.fromkeys(("visible", "sounding", "level"), (t, n)),
            "heard": (t, self.heard.shape[-1]),
        }
        if self.ignore is not None:
            wanted["ignore"] = (t, h, w)
        for name, shape in wanted.items():
            found = getattr(self, name).shape
            assert found == shape, f"{self.name}: {name} has shape {found}, expected {shape}"
        assert (np.diff(self.times_ns) >= 0).all(), f"{self.name}: times do not rise"


class Source(Protocol):
    """Where training clips come from. Pickled to worker processes; holds no open files."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the K classes that `Sample.class_ids` counts."""
        ...

    def draw(self, shape: ClipShape, rng: np.random.Generator) -> Sample:
        """Draw one clip: the same state of `rng` gives the same clip.

        Raises:
            InputError: a file cannot be read; names it and the cure.
        """
        ...


def audio_windows(
    waveform: NDArray[np.float32] | None,
    start_ns: int,
    ends_ns: NDArray[np.int64],
) -> NDArray[np.float32]:
    """(T, 15360) of sound that ends at each time; zeros outside the waveform or without one."""
    windows = np.zeros((len(ends_ns), WINDOW_SAMPLES), np.float32)
    if waveform is None:
        return windows
    ends = (ends_ns - start_ns) * SAMPLE_RATE // _NS
    for window, end in zip(windows, ends.tolist(), strict=True):
        first, last = max(end - WINDOW_SAMPLES, 0), min(end, len(waveform))
        if last > first:
            at = first - (end - WINDOW_SAMPLES)
            window[at : at + last - first] = waveform[first:last]
    return windows


def collate(
    samples: Sequence[Sample], *, objects: int, delays_s: Sequence[float] | None = None
) -> Batch:
    """Put samples of one shape together as the networks take them.

    Objects beyond `objects` are dropped, the smallest first, and the cells they cover become
    ignored. An object that covers less than one cell of a frame becomes unknown in it.

    Where a sample has ready features, the batch's audio is features, (B, T, A): zeros for samples
    without sound, and nothing is delayed.

    Args:
        samples: all with the same T, H, W and K.
        objects: rows of the truth; missing ones get class -1, visible 0, sounding 0.
        delays_s: how late each clip's sound arrives, >= 0; no delay when None.

    Raises:
        ArgumentError: the samples differ in T, H, W or K, or some with sound lack ready features
            that others have; names them.
    """
    first = samples[0]
    for sample in samples:
        ours = (*first.frames.shape, first.heard.shape[1])
        theirs = (*sample.frames.shape, sample.heard.shape[1])
        if ours != theirs:
            raise ArgumentError(
                f"{first.name} is (T, H, W, 3, K) {ours} but {sample.name} is {theirs};"
                " a batch needs clips of one shape and sources of the same classes"
            )
    delays = [0.0] * len(samples) if delays_s is None else delays_s
    audio = _features(samples) or [
        audio_windows(s.waveform, s.waveform_start_ns, s.times_ns - round(delay * _NS))
        for s, delay in zip(samples, delays, strict=True)
    ]
    rows = [_rows(sample, objects) for sample in samples]
    ignored = [row.ignore for row in rows]
    ignore = None
    if any(cells is not None for cells in ignored):
        none = np.zeros((len(first.frames), *rows[0].masks.shape[-2:]), np.float32)
        ignore = _stack([none if cells is None else cells for cells in ignored])
    frames = np.stack([s.frames for s in samples])  # (B, T, H, W, 3)
    return Batch(
        frames=torch.from_numpy(np.ascontiguousarray(frames.transpose(0, 1, 4, 2, 3))),
        audio=_stack(audio),
        times_s=_stack([s.times_ns / _NS for s in samples]),
        truth=Truth(
            masks=_stack([row.masks for row in rows]),
            class_ids=_stack([row.class_ids for row in rows]),
            visible=_stack([row.visible for row in rows]),
            sounding=_stack([row.sounding for row in rows]),
            heard=_stack([_unheard(s) if _is_deaf(s) else s.heard for s in samples]),
            level=_stack([row.level for row in rows]),
            ignore=ignore,
        ),
        names=tuple(s.name for s in samples),
    )


def _features(samples: Sequence[Sample]) -> list[NDArray[np.float32]]:
    """(T, A) of each sample; none at all where no sample has any."""
    widths = {s.features.shape[1] for s in samples if s.features is not None}
    if not widths:
        return []
    for sample in samples:
        if len(widths) > 1 or (sample.features is None and sample.waveform is not None):
            raise ArgumentError(
                f"{sample.name} has sound without ready features, or of another width than the "
                f"others ({sorted(widths)}); compute those of every data set"
            )
    none = np.zeros((len(samples[0].frames), *widths), np.float32)
    return [none if s.features is None else s.features for s in samples]


@dataclass
class _Rows:
    """The objects of one clip that a batch keeps."""

    masks: NDArray[np.float32]  # (T, N, H4, W4)
    class_ids: NDArray[np.int64]
    visible: NDArray[np.float32]
    sounding: NDArray[np.float32]
    level: NDArray[np.float32]
    ignore: NDArray[np.float32] | None  # (T, H4, W4)


def _rows(sample: Sample, objects: int) -> _Rows:
    steps = len(sample.frames)
    cells = _cells(sample.masks)  # (T, N, H4, W4)
    # Where the object is not known to be visible, its mask means nothing.
    cells *= (sample.visible == 1)[..., None, None]
    area = cells.sum((2, 3))  # (T, N)
    by_size = np.argsort(-area.sum(0), kind="stable")
    kept, dropped = np.sort(by_size[:objects]), by_size[objects:]
    ignore = None if sample.ignore is None else _cells(sample.ignore.astype(np.uint8) * 255)
    if area[:, dropped].any():
        left_out = cells[:, dropped].sum(1)
        ignore = np.minimum(left_out if ignore is None else ignore + left_out, 1)
    visible = sample.visible[:, kept].copy()
    visible[(visible == 1) & (area[:, kept] < 1)] = np.nan
    rows = len(kept)
    out = _Rows(
        masks=np.zeros((steps, objects, *cells.shape[2:]), np.float32),
        class_ids=np.full(objects, -1, np.int64),
        visible=np.zeros((steps, objects), np.float32),
        sounding=np.zeros((steps, objects), np.float32),
        level=np.full((steps, objects), np.nan, np.float32),
        ignore=ignore,
    )
    out.masks[:, :rows] = cells[:, kept]
    out.class_ids[:rows] = sample.class_ids[kept]
    out.visible[:, :rows] = visible
    out.sounding[:, :rows] = np.nan if _is_deaf(sample) else sample.sounding[:, kept]
    out.level[:, :rows] = sample.level[:, kept]
    return out


def _is_deaf(sample: Sample) -> bool:
    return sample.waveform is None and sample.features is None


def _unheard(sample: Sample) -> NDArray[np.float32]:
    return np.full_like(sample.heard, np.nan)


def _cells(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(..., H, W) coverage 0..255 -> (..., H4, W4) share of each cell of the padded frame."""
    *lead, height, width = pixels.shape
    rows, columns = ((side + -side % STRIDE) // CELL for side in (height, width))
    cells = np.zeros((int(np.prod(lead)), rows, columns), np.float32)
    padded = np.zeros((rows * CELL, columns * CELL), np.float32)
    for into, picture in zip(cells, pixels.reshape(-1, height, width), strict=True):
        if picture.any():
            padded[:height, :width] = picture
            cv2.resize(padded, (columns, rows), dst=into, interpolation=cv2.INTER_AREA)
    cells /= 255
    return cells.reshape(*lead, rows, columns)


def _stack(arrays: Sequence[NDArray[np.generic]]) -> torch.Tensor:
    return torch.from_numpy(np.stack(arrays))
