"""Batches for distillation: clips, what the teacher says of them, and what came before them.

B clips, T frames of a part, P frames before the first part, N objects, W workers.
"""

from __future__ import annotations

import dataclasses
import time
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from streamavis.errors import ArgumentError
from streamavis.model.backbones import STRIDE
from streamavis_training.batch import Batch, Truth
from streamavis_training.data.sample import CELL, audio_windows, collate
from streamavis_training.data.workers import Workers
from streamavis_training.distillation.clips import (
    FixedClips,
    GuidedSample,
    guided,
    limited,
    resized,
    spliced,
    window,
)
from streamavis_training.distillation.guide import Guide, steady_frames
from streamavis_training.distillation.targets import TargetFiles

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = ["ClipPlan", "DistillBatch", "DistillLoader", "Preroll"]

_NS = 1_000_000_000


@dataclass(frozen=True)
class ClipPlan:
    """How training clips are cut out of the fixed ones."""

    clips: int = 2  # of a batch, per process
    frames: int = 5  # of a part
    parts: int = 2  # that follow one another, with the network's state carried
    height: int = 192  # pixels of the student's frames
    width: int = 336
    objects: int = 12  # rows of the truth
    preroll: int = 6  # frames at most that the network has seen before a clip
    prerolled: float = 0.5  # share of clips with frames before them
    reset: float = 0.1  # share of clips in whose middle the network forgets everything
    cut: float = 0.1  # share of clips with a hard cut to another clip
    delayed: float = 0.25  # share of clips whose sound arrives late
    max_delay_s: float = 0.2
    onset_s: float = 0.2  # how near to an onset or offset the teacher's `sounding` is not followed
    least_overlap: float = 0.3  # IoU from which the teacher has found an object

    def __post_init__(self) -> None:
        for name in ("clips", "frames", "parts", "height", "width", "objects"):
            if getattr(self, name) < 1:
                raise ArgumentError(f"{name} is {getattr(self, name)}, expected at least 1")
        for name in ("prerolled", "reset", "cut", "delayed"):
            if not 0 <= getattr(self, name) <= 1:
                raise ArgumentError(f"{name} is {getattr(self, name)}, expected a share, 0 to 1")


@dataclass
class Preroll:
    """Frames that the network sees before the first part; they are not learned from."""

    frames: Tensor  # (B, P, 3, H, W) uint8
    audio: Tensor  # (B, P, 15360) or features
    times_s: Tensor  # (B, P) float64
    active: Tensor  # (B, P) bool, False: the clip has fewer


@dataclass
class DistillBatch(Batch):
    """Clips, their truth, and what a teacher says of their objects."""

    guide: Guide | None = None
    reset: Tensor | None = None  # (B, T) bool, the network forgets everything before this frame
    before: Preroll | None = None

    def parts(self, frames: int) -> Iterator[DistillBatch]:
        """As `Batch.parts`; what came before goes with the first."""
        assert self.guide is not None and self.reset is not None, "a batch of the loader"
        for number, part in enumerate(super().parts(frames)):
            during = slice(number * frames, (number + 1) * frames)
            yield DistillBatch(
                part.frames,
                part.audio,
                part.times_s,
                part.truth,
                first=part.first,
                last=part.last,
                guide=self.guide.during(during),
                reset=self.reset[:, during],
                before=self.before if number == 0 else None,
            )


class _Draws:
    """Makes the batches; a copy of it is in every worker process."""

    def __init__(
        self, pool: FixedClips, count: int, folder: Path, plan: ClipPlan, seed: int, rank: int
    ) -> None:
        self._pool, self._count, self._files = pool, count, TargetFiles(folder)
        self._plan, self._seed, self._rank = plan, seed, rank

    def __call__(self, number: int) -> Any:
        try:
            batch = self.batch(number)
        except Exception as error:
            error.add_note(f"while the clips of batch {number} were made")
            return error
        return _arrays(batch)

    def batch(self, number: int) -> DistillBatch:
        """The clips that begin at batch `number`, all parts."""
        p = self._plan
        drawn = []
        for clip in range(p.clips):
            place = self._rank * p.clips + clip
            drawn.append(self._clip(np.random.default_rng([self._seed, number, place])))
        return _assemble(p, drawn)

    def _clip(self, rng: np.random.Generator) -> _Drawn:
        p = self._plan
        length = p.frames * p.parts
        clip = self._one(rng)
        last = len(clip.sample.frames) - length
        start = int(rng.integers(last + 1))
        before = 0
        if rng.random() < p.prerolled:
            before = min(int(rng.integers(p.preroll + 1)), start)
        if length > 1 and rng.random() < p.cut:
            at = int(rng.integers(1, length))
            other = self._one(rng)
            begin = int(rng.integers(last + 1))
            rest = window(other, begin, begin + length - at)
            made = spliced(window(clip, start - before, start + at), rest)
            if len(made.sample.frames) == before + length:
                clip, start = made, before
        clip = window(clip, start - before, start + length)
        reset = np.zeros(length, bool)
        if length > 1 and rng.random() < p.reset:
            reset[rng.integers(1, length)] = True
        late = rng.random() < p.delayed
        delay_s = float(late * rng.uniform(0, p.max_delay_s))
        return _Drawn(limited(resized(clip, p.height, p.width), p.objects), before, reset, delay_s)

    def _one(self, rng: np.random.Generator) -> GuidedSample:
        index = int(rng.integers(self._count))
        sample = self._pool.draw(index)
        return guided(sample, self._files.read(index, sample), self._plan.least_overlap)


@dataclass
class _Drawn:
    """A training clip with the frames before it."""

    clip: GuidedSample  # of P' + T frames
    before: int  # P'
    reset: NDArray[np.bool_]  # (T,)
    delay_s: float  # of the sound


def _assemble(plan: ClipPlan, drawn: Sequence[_Drawn]) -> DistillBatch:
    """Put clips of one length together."""
    clips = [window(d.clip, d.before, len(d.clip.sample.frames)) for d in drawn]
    delays = [d.delay_s for d in drawn]
    batch = collate([c.sample for c in clips], objects=plan.objects, delays_s=delays)
    return DistillBatch(
        batch.frames,
        batch.audio,
        batch.times_s,
        batch.truth,
        guide=_guide(plan, clips, batch),
        reset=torch.from_numpy(np.stack([d.reset for d in drawn])),
        before=_preroll(plan, drawn),
    )


def _guide(plan: ClipPlan, clips: Sequence[GuidedSample], batch: Batch) -> Guide:
    steps, objects = batch.truth.visible.shape[1:]
    rows, columns = ((side + -side % STRIDE) // CELL for side in (plan.height, plan.width))

    def put(values: Sequence[NDArray[Any]], fill: float = 0) -> Tensor:
        """(T, N', ...) or (N', ...) of each clip -> (B, T, N, ...)"""
        shape = (len(values), steps, objects, *values[0].shape[2:])
        made = np.full(shape, fill, values[0].dtype)
        for into, value in zip(made, values, strict=True):
            into[:, : value.shape[1]] = value
        return torch.from_numpy(made)

    masks = [np.full((*c.mask_logits.shape[:2], rows, columns), -20, np.float16) for c in clips]
    for mask, c in zip(masks, clips, strict=True):
        mask[..., : c.mask_logits.shape[2], : c.mask_logits.shape[3]] = c.mask_logits
    mask_logits = put(masks, -20)
    sounding, known = put([c.sounding for c in clips]), put([c.known for c in clips])
    steady = steady_frames(sounding > 0.5, batch.times_s, plan.onset_s)
    steady &= steady_frames(batch.truth.sounding == 1, batch.times_s, plan.onset_s)
    return Guide(
        class_logits=put([c.class_logits[None] for c in clips]),
        mask_logits=mask_logits,
        queries=put([c.queries[None] for c in clips]),
        sounding=sounding,
        known=known,
        shows=known & (mask_logits > 0).flatten(3).any(3),
        steady=steady,
    )


def _preroll(plan: ClipPlan, drawn: Sequence[_Drawn]) -> Preroll | None:
    """Each clip's frames end where its first part begins."""
    most = max(d.before for d in drawn)
    if not most:
        return None
    first = drawn[0].clip.sample
    width = first.frames.shape[1:3]
    frames = np.zeros((len(drawn), most, *width, 3), np.uint8)
    active = np.zeros((len(drawn), most), bool)
    times_ns = np.zeros((len(drawn), most), np.int64)
    audio = []
    for row, d in enumerate(drawn):
        s, free = d.clip.sample, most - d.before
        frames[row, free:] = s.frames[: d.before]
        active[row, free:] = True
        times_ns[row] = s.times_ns[0]
        times_ns[row, free:] = s.times_ns[: d.before]
        if s.features is not None:
            heard = np.zeros((most, s.features.shape[1]), np.float32)
            heard[free:] = s.features[: d.before]
        else:
            ends = times_ns[row] - round(d.delay_s * _NS)
            heard = audio_windows(s.waveform, s.waveform_start_ns, ends)
        audio.append(heard)
    return Preroll(
        torch.from_numpy(np.ascontiguousarray(frames.transpose(0, 1, 4, 2, 3))),
        torch.from_numpy(np.stack(audio)),
        torch.from_numpy(times_ns / _NS),
        torch.from_numpy(active),
    )


class DistillLoader:
    """Draws the batches of a distillation, ahead of time where there are workers.

    Attributes:
        waited_s: seconds that the trainer has waited for batches so far.
    """

    def __init__(
        self,
        pool: FixedClips,
        count: int,
        folder: Path,
        plan: ClipPlan,
        *,
        seed: int,
        rank: int = 0,
        workers: int = 0,
    ) -> None:
        """Prepare; no process starts before the first batch is asked for.

        Args:
            pool, count: the clips, and how many of them there are.
            folder: of the teacher's outputs on them.
            plan: see there.
            seed: of what is drawn; rank: of this process.
            workers: processes that make batches; 0 makes them in this one.

        Raises:
            ArgumentError: a clip of the plan is longer than those of the pool.
        """
        length = plan.frames * plan.parts
        if length > pool.shape.frames:
            raise ArgumentError(
                f"a training clip has {length} frames, but the clips the teacher has seen have "
                f"{pool.shape.frames}; use fewer parts or frames"
            )
        self.waited_s = 0.0
        self._plan, self._workers = plan, workers
        self._draws = _Draws(pool, count, folder, plan, seed, rank)

    def batches(self, number: int, total: int) -> Iterator[DistillBatch]:
        """Yield batches `number` .. `total`-1; the same whatever `workers` is.

        Raises:
            CapacityError: a worker process was killed.
            Exception: of the source or the teacher's files, as it was raised in the worker.
        """
        parts = self._plan.parts
        todo = list(range(number - number % parts, total, parts))
        if not self._workers:
            yield from self._taken(number, todo, map(self._draws, todo))
            return
        workers = Workers(self._draws, max(1, min(self._workers, len(todo))))
        with closing(workers):
            yield from self._taken(number, todo, workers.run(todo))

    def _taken(
        self, number: int, todo: Sequence[int], made: Iterator[Any]
    ) -> Iterator[DistillBatch]:
        for start in todo:
            began = time.monotonic()
            result = next(made)
            self.waited_s += time.monotonic() - began
            if isinstance(result, Exception):
                raise result
            batch = _batch(result)
            for part, one in enumerate(batch.parts(self._plan.frames)):
                if start + part >= number:
                    yield one


def _arrays(value: Any) -> Any:
    """Dataclasses as dicts, tensors as arrays: unlike tensors these are pickled as bytes."""
    if isinstance(value, Tensor):
        return value.numpy()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: _arrays(getattr(value, f.name)) for f in dataclasses.fields(value)}
    return value


def _batch(arrays: dict[str, Any]) -> DistillBatch:
    """The inverse of `_arrays`."""
    kinds: dict[str, type[Any]] = {"truth": Truth, "guide": Guide, "before": Preroll}
    kept: dict[str, Any] = {}
    for name, value in arrays.items():
        if isinstance(value, dict):
            tensors = {k: None if x is None else torch.from_numpy(x) for k, x in value.items()}
            kept[name] = kinds[name](**tensors)
        else:
            kept[name] = torch.from_numpy(value) if isinstance(value, np.ndarray) else value
    return DistillBatch(**kept)
