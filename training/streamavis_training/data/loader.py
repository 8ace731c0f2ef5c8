"""Batches for training: the same ones for the same seed and step, made by worker processes.

The clips of one draw are cut into `parts` that follow one another; each part is a step's batch.
Every clip has random numbers of its own, which depend on the seed, the step at which it begins
and its place among the clips of all ranks: two processes with 4 clips each train on the clips
that one process with 8 trains on.
"""

from __future__ import annotations

import math
import pickle
import time
import traceback
from collections import deque
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from streamavis.errors import ArgumentError
from streamavis_training.batch import Batch, Truth
from streamavis_training.data.sample import ClipShape, collate
from streamavis_training.data.workers import Workers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from streamavis_training.data.sample import Source

    _Packed = dict[str, NDArray[Any]]

__all__ = ["Loader", "Stage"]

_TRUTH = tuple(field.name for field in fields(Truth))


@dataclass(frozen=True)
class Stage:
    """A stretch of the schedule."""

    until: float  # share of the steps or of the minutes, 0..1
    clips: int  # of a batch, per process
    shape: ClipShape  # `frames` of one part; a clip has `parts` times as many
    parts: int = 1  # that follow one another, with the network's state carried

    def __post_init__(self) -> None:
        if self.clips < 1 or self.parts < 1 or not 0 < self.until <= 1:
            raise ArgumentError(
                f"a stage of {self.clips} clips in {self.parts} parts until {self.until} of the"
                " steps; clips and parts must be at least 1, until within 0..1"
            )


@dataclass(frozen=True)
class _Draw:
    """The clips that begin together at one step."""

    step: int
    stage: Stage


class _Draws:
    """Makes the batches; a copy of it is in every worker process."""

    def __init__(
        self, source: Source, *, seed: int, rank: int, objects: int, delay: tuple[float, float]
    ) -> None:
        self.source, self._seed, self._rank = source, seed, rank
        self._objects = objects
        self._share, self._max_delay_s = delay

    def __call__(self, draw: _Draw) -> _Packed | Exception:
        try:
            return _packed(self._make(draw))
        except Exception as error:
            return _portable(error, draw.step)

    def _make(self, draw: _Draw) -> Batch:
        stage = draw.stage
        shape = replace(stage.shape, frames=stage.shape.frames * stage.parts)
        samples, delays = [], []
        for clip in range(stage.clips):
            place = self._rank * stage.clips + clip
            rng = np.random.default_rng([self._seed, draw.step, place])
            late = rng.random() < self._share
            delays.append(late * rng.uniform(0, self._max_delay_s))
            samples.append(self.source.draw(shape, rng))
        return collate(samples, objects=self._objects, delays_s=delays)


class Loader:
    """Draws the batches of a training run, ahead of time where there are workers.

    Attributes:
        waited_s: seconds that the trainer has waited for batches so far.
    """

    def __init__(
        self,
        source: Source,
        stages: Sequence[Stage],
        steps: int,
        *,
        seed: int,
        rank: int = 0,
        world: int = 1,
        workers: int = 0,
        objects: int = 12,
        max_delay_s: float = 0.2,
        delayed: float = 0.25,
        gone: Callable[[int], float] | None = None,
    ) -> None:
        """Prepare; no process starts before the first batch is asked for.

        Args:
            source: is copied to every worker.
            stages: in order; the last one ends with the steps.
            steps: of the whole run.
            seed: of the clips.
            rank, world: of this process among those that train together.
            workers: processes that make batches; 0 makes them in this one.
            objects: rows of the truth; a clip with more loses its smallest to the ignored area.
            max_delay_s: the sound of some clips arrives up to this late, as a microphone's does.
            delayed: share of these clips.
            gone: share of the schedule that is over after a number of steps, where time decides;
                the batches then depend on it. None: `until` is of the steps.

        Raises:
            ArgumentError: the stages do not cover the steps in order, or a number is out of range.
        """
        ends = [stage.until for stage in stages]
        if not ends or ends != sorted(ends) or ends[-1] != 1:
            raise ArgumentError(f"the stages end at {ends} of the steps; must rise and end at 1.0")
        if not 0 <= rank < world:
            raise ArgumentError(f"rank is {rank} of {world} processes; must be 0..{world - 1}")
        if workers < 0 or steps < 0 or not 0 <= delayed <= 1 or max_delay_s < 0:
            raise ArgumentError(
                f"workers {workers}, steps {steps}, max_delay_s {max_delay_s} must not be"
                f" negative, delayed {delayed} must be 0..1"
            )
        self.waited_s = 0.0
        self._stages, self._steps, self._seed = tuple(stages), steps, seed
        self._workers, self._gone = workers, gone
        self._draws = _Draws(
            source, seed=seed, rank=rank, objects=objects, delay=(delayed, max_delay_s)
        )

    @property
    def classes(self) -> tuple[str, ...]:
        """Of the source."""
        return self._draws.source.classes

    def batches(self, step: int = 0) -> Iterator[Batch]:
        """Yield the batches from `step` on; the same whatever `workers` is.

        Worker processes end with the iterator: at its end, at an error, when it is closed.

        Raises:
            CapacityError: a worker process was killed.
            Exception: of the source, as it was raised in the worker, with a note that says where.
        """
        drawn: deque[_Draw] = deque()

        def todo() -> Iterator[_Draw]:
            for draw in self._schedule() if self._gone is None else self._timed(step):
                if draw.step + draw.stage.parts > step:
                    drawn.append(draw)
                    yield draw

        with self._making(todo(), self._steps - step) as made:
            while True:
                began = time.monotonic()
                result = next(made, None)
                self.waited_s += time.monotonic() - began
                if result is None:
                    return
                draw = drawn.popleft()
                if isinstance(result, Exception):
                    raise result
                whole = _unpacked(result)
                for part, batch in enumerate(whole.parts(draw.stage.shape.frames)):
                    if draw.step + part >= step:
                        yield batch

    @contextmanager
    def _making(self, todo: Iterable[_Draw], most: int) -> Iterator[Iterator[_Packed | Exception]]:
        if not self._workers:
            yield map(self._draws, todo)
            return
        workers = Workers(self._draws, min(self._workers, max(most, 1)))
        try:
            yield workers.run(todo)
        finally:
            workers.close()

    def _schedule(self) -> Iterator[_Draw]:
        start = 0
        for stage in self._stages:
            # A stage begins with the first part of a clip and ends with the last of one.
            length = math.ceil((stage.until * self._steps - start) / stage.parts) * stage.parts
            for step in range(start, start + max(length, 0), stage.parts):
                yield _Draw(step, stage)
            start += max(length, 0)

    def _timed(self, step: int) -> Iterator[_Draw]:
        """From `step` on, of the stage that is due when a draw is begun."""
        assert self._gone is not None, "time decides"
        while step < self._steps:
            gone = self._gone(step)
            stage = next((s for s in self._stages if gone < s.until), self._stages[-1])
            yield _Draw(step, stage)
            step += stage.parts


def _packed(batch: Batch) -> _Packed:
    """Arrays by name: unlike tensors they are pickled as what they are, bytes."""
    tensors = [(batch, ("frames", "audio", "times_s")), (batch.truth, _TRUTH)]
    arrays = {
        name: getattr(owner, name).numpy()
        for owner, names in tensors
        for name in names
        if getattr(owner, name) is not None
    }
    return arrays | {"names": np.array(batch.names, str)}


def _unpacked(arrays: _Packed) -> Batch:
    names = tuple(arrays["names"].tolist())
    tensors = {name: torch.from_numpy(x) for name, x in arrays.items() if name != "names"}
    truth = Truth(**{name: tensors[name] for name in _TRUTH if name in tensors})
    return Batch(tensors["frames"], tensors["audio"], tensors["times_s"], truth, names=names)


def _portable(error: Exception, step: int) -> Exception:
    """The error with a note that says where it happened, fit to be sent to another process."""
    note = f"while the clips of step {step} were drawn:\n{traceback.format_exc()}"
    error.add_note(note)
    try:
        same = pickle.loads(pickle.dumps(error))
    except Exception:
        same = None
    if type(same) is not type(error):
        return RuntimeError(f"{type(error).__name__}: {error}; {note}")
    return error
