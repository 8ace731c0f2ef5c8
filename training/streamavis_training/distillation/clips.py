"""A fixed set of clips, and how a training clip is cut out of them: windows, hard cuts, sizes.

T frames, N objects, H W pixels, h4 w4 cells of the teacher's frame, C channels, K classes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar

import cv2
import numpy as np
import torch
from streamavis_kernels import frame_prep

from streamavis.types import SAMPLE_RATE
from streamavis_training.data.sample import CELL, Sample

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from streamavis_training.data.sample import ClipShape, Source
    from streamavis_training.distillation.targets import TeacherTargets

__all__ = ["FixedClips", "GuidedSample", "guided", "limited", "resized", "spliced", "window"]

_Value = TypeVar("_Value", bound=np.generic)

_NS = 1_000_000_000
_EMPTY = -20.0  # logit of a mask that is not there


@dataclass(frozen=True)
class FixedClips:
    """Clip number i of a source, the same on every call."""

    source: Source
    shape: ClipShape  # of a whole clip, at the teacher's frame size
    seed: int

    def draw(self, index: int) -> Sample:
        """Clip number `index`, 0 or more."""
        return self.source.draw(self.shape, np.random.default_rng([self.seed, index]))


@dataclass
class GuidedSample:
    """A clip and the teacher's outputs for its objects; rows of objects it missed are zeros."""

    sample: Sample
    class_logits: NDArray[np.float16]  # (N, K+1)
    queries: NDArray[np.float16]  # (N, C)
    mask_logits: NDArray[np.float16]  # (T, N, h4, w4), of the frame without its padding
    sounding: NDArray[np.float16]  # (T, N)
    known: NDArray[np.bool_]  # (T, N)


def guided(sample: Sample, targets: TeacherTargets, least_overlap: float) -> GuidedSample:
    """Put a teacher's outputs in the order of the clip's objects.

    Args:
        sample: the whole clip; targets: of it.
        least_overlap: an object whose mask the teacher has with a smaller IoU counts as missed.
    """
    steps, objects = len(sample.frames), len(sample.class_ids)
    good = targets.overlap >= least_overlap
    rows = targets.objects[good]
    found = GuidedSample(
        sample,
        np.zeros((objects, targets.class_logits.shape[1]), np.float16),
        np.zeros((objects, targets.queries.shape[1]), np.float16),
        np.full((steps, objects, *targets.mask_logits.shape[2:]), _EMPTY, np.float16),
        np.zeros((steps, objects), np.float16),
        np.zeros((steps, objects), bool),
    )
    found.class_logits[rows] = targets.class_logits[good]
    found.queries[rows] = targets.queries[good]
    found.mask_logits[:, rows] = targets.mask_logits[:, good]
    found.sounding[:, rows] = targets.sounding[:, good]
    found.known[:, rows] = True
    return found


def window(clip: GuidedSample, start: int, stop: int) -> GuidedSample:
    """Frames start .. stop-1; the sound stays whole."""
    part, s = slice(start, stop), clip.sample
    sample = replace(
        s,
        frames=s.frames[part],
        times_ns=s.times_ns[part],
        masks=s.masks[part],
        visible=s.visible[part],
        sounding=s.sounding[part],
        level=s.level[part],
        heard=s.heard[part],
        ignore=None if s.ignore is None else s.ignore[part],
        features=None if s.features is None else s.features[part],
    )
    return replace(
        clip,
        sample=sample,
        mask_logits=clip.mask_logits[part],
        sounding=clip.sounding[part],
        known=clip.known[part],
    )


def spliced(first: GuidedSample, second: GuidedSample) -> GuidedSample:
    """A hard cut: `second` follows `first`, a frame later, with other objects and other sound.

    Clips that cannot be joined, one of them without sound, give `first` as it is.
    """
    a, b = first.sample, second.sample
    alike = (a.waveform is None) == (b.waveform is None)
    if not alike or (a.features is None) != (b.features is None):
        return first
    gaps = np.diff(np.concatenate([a.times_ns, b.times_ns]))
    gap = int(gaps[gaps > 0].min()) if (gaps > 0).any() else _NS
    shift = int(a.times_ns[-1]) + gap - int(b.times_ns[0])
    ignore = None
    if a.ignore is not None or b.ignore is not None:
        ignore = np.concatenate([_ignore(a), _ignore(b)])
    sample = Sample(
        name=f"{a.name} | {b.name}",
        frames=np.concatenate([a.frames, b.frames]),
        times_ns=np.concatenate([a.times_ns, b.times_ns + shift]),
        waveform=_joined_sound(a, b, shift),
        waveform_start_ns=a.waveform_start_ns,
        masks=_diagonal(a.masks, b.masks, 0),
        class_ids=np.concatenate([a.class_ids, b.class_ids]),
        visible=_diagonal(a.visible, b.visible, 0),
        sounding=_diagonal(a.sounding, b.sounding, 0),
        level=_diagonal(a.level, b.level, np.nan),
        heard=np.concatenate([a.heard, b.heard]),
        ignore=ignore,
        features=None if a.features is None else np.concatenate([a.features, _features(b)]),
    )
    return GuidedSample(
        sample,
        np.concatenate([first.class_logits, second.class_logits]),
        np.concatenate([first.queries, second.queries]),
        _diagonal(first.mask_logits, second.mask_logits, _EMPTY),
        _diagonal(first.sounding, second.sounding, 0),
        _diagonal(first.known, second.known, 0),
    )


def _ignore(sample: Sample) -> NDArray[np.bool_]:
    return np.zeros(sample.frames.shape[:3], bool) if sample.ignore is None else sample.ignore


def _features(sample: Sample) -> NDArray[np.float32]:
    assert sample.features is not None, "both clips have features"
    return sample.features


def _joined_sound(a: Sample, b: Sample, shift: int) -> NDArray[np.float32] | None:
    """The first clip's sound until its last frame, then the second's, which moved by `shift`."""
    if a.waveform is None or b.waveform is None:
        return None
    cut = _samples(int(a.times_ns[-1]) - a.waveform_start_ns)
    before = np.zeros(max(cut, 0), np.float32)
    kept = a.waveform[: len(before)]
    before[: len(kept)] = kept
    start = _samples(int(a.times_ns[-1]) - shift - b.waveform_start_ns)
    silence = np.zeros(max(-start, 0), np.float32)
    return np.concatenate([before, silence, b.waveform[max(start, 0) :]])


def _samples(ns: int) -> int:
    return ns * SAMPLE_RATE // _NS


def _diagonal(a: NDArray[_Value], b: NDArray[_Value], fill: float) -> NDArray[_Value]:
    """(T, N, ...) of two clips with objects of their own, one after the other."""
    shape = (len(a) + len(b), a.shape[1] + b.shape[1], *a.shape[2:])
    joined = np.full(shape, fill, a.dtype)
    joined[: len(a), : a.shape[1]] = a
    joined[len(a) :, a.shape[1] :] = b
    return joined


def resized(clip: GuidedSample, height: int, width: int) -> GuidedSample:
    """The clip at the student's frame size; the teacher's masks on the student's cells."""
    s = clip.sample
    cells = (-(-height // CELL), -(-width // CELL))
    clip = replace(clip, mask_logits=_logits_at(clip.mask_logits, cells))
    if s.frames.shape[1:3] == (height, width):
        return clip
    frames = frame_prep(
        torch.from_numpy(s.frames), (height, width), dtype=torch.uint8, channels_last=True
    )
    sample = replace(
        s,
        frames=np.ascontiguousarray(frames.permute(0, 2, 3, 1).numpy()),
        masks=_areas_at(s.masks, (height, width)),
        ignore=None if s.ignore is None else _areas_at(_coverage(s.ignore), (height, width)) > 127,
    )
    return replace(clip, sample=sample)


def _coverage(area: NDArray[np.bool_]) -> NDArray[np.uint8]:
    return area.astype(np.uint8) * 255


def _areas_at(masks: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """(..., H, W) coverage at another size."""
    flat = masks.reshape(-1, *masks.shape[-2:])
    made = np.zeros((len(flat), *size), np.uint8)
    for into, mask in zip(made, flat, strict=True):
        if mask.any():
            cv2.resize(mask, size[::-1], dst=into, interpolation=cv2.INTER_AREA)
    return made.reshape(*masks.shape[:-2], *size)


def _logits_at(logits: NDArray[np.float16], cells: tuple[int, int]) -> NDArray[np.float16]:
    if logits.shape[2:] == cells:
        return logits
    made = np.full((*logits.shape[:2], *cells), _EMPTY, np.float16)
    for into, mask in zip(
        made.reshape(-1, *cells), logits.reshape(-1, *logits.shape[2:]), strict=True
    ):
        into[:] = cv2.resize(mask.astype(np.float32), cells[::-1], interpolation=cv2.INTER_LINEAR)
    return made


def limited(clip: GuidedSample, objects: int) -> GuidedSample:
    """The clip's largest objects, in their order; the areas of the others become ignored."""
    s = clip.sample
    if len(s.class_ids) <= objects:
        return clip
    area = (s.masks.sum((2, 3), dtype=np.int64) * (s.visible == 1)).sum(0)
    by_size = np.argsort(-area, kind="stable")
    kept, dropped = np.sort(by_size[:objects]), by_size[objects:]
    left_out = (s.masks[:, dropped] > 0) & (s.visible[:, dropped] == 1)[..., None, None]
    sample = replace(
        s,
        masks=s.masks[:, kept],
        class_ids=s.class_ids[kept],
        visible=s.visible[:, kept],
        sounding=s.sounding[:, kept],
        level=s.level[:, kept],
        ignore=_ignore(s) | left_out.any(1),
    )
    return GuidedSample(
        sample,
        clip.class_logits[kept],
        clip.queries[kept],
        clip.mask_logits[:, kept],
        clip.sounding[:, kept],
        clip.known[:, kept],
    )
