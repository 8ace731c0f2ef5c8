"""Choosing a model's score thresholds on the split `val`: one pass through the network for all."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch

from streamavis import checkpoint
from streamavis.runtime.tracks import TrackConfig
from streamavis_benchmarks.real.measured import Setting
from streamavis_benchmarks.real.wrapped import WrappedNetwork

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from streamavis.runtime.post import SlotOutput
    from streamavis.runtime.step import StepModel
    from streamavis_benchmarks.real.measured import Unit

__all__ = ["GRID", "KEEP", "Choice", "choose", "sweep", "write"]

GRID = tuple(round(0.25 + 0.05 * n, 2) for n in range(15))  # of score_on
KEEP = 0.75  # score_off over score_on: a known object is in view down to this part of a birth's


@dataclass(frozen=True)
class Choice:
    """What one threshold gives. NaN: nothing of that was there."""

    score_on: float
    recall: float  # of objects of 2 % and more in whole pictures
    persons: float  # the same of persons
    precision: float  # of reports there
    sounding_precision: float  # of composed clips under their own sound
    sounding_recall: float

    @property
    def score_off(self) -> float:
        return round(self.score_on * KEEP, 3)

    @property
    def f1(self) -> float:
        return 2 * self.recall * self.precision / max(self.recall + self.precision, 1e-9)


class _Recorded(WrappedNetwork):
    """A network whose outputs are kept in order, to be given again without computing."""

    def __init__(self, network: StepModel) -> None:
        super().__init__(network)
        self._outputs: list[SlotOutput] = []
        self._next: int | None = None  # None: recording

    def step(self, *args: Any, **kwargs: Any) -> SlotOutput:
        if self._next is None:
            self._outputs.append(self._network.step(*args, **kwargs))
            return self._outputs[-1]
        self._next += 1
        return self._outputs[self._next - 1]

    def record(self) -> None:
        """Forget what was kept, and keep what follows."""
        self._outputs, self._next = [], None

    def repeat(self) -> None:
        """Give the kept outputs again, from the first."""
        self._next = 0


def sweep(
    network: StepModel, units: Sequence[Unit], fps: float, step: Callable[[int], None]
) -> list[Choice]:
    """Measure every threshold of `GRID`.

    Args:
        network: in evaluation mode.
        units: pictures, and composed clips under their own sound.
        fps: looked at, of recordings.
        step: called with the number of units done.
    """
    recorded = _Recorded(network)
    counts: dict[float, Counter[str]] = {score: Counter() for score in GRID}
    torch.set_num_threads(1)
    for done, unit in enumerate(units, 1):
        recorded.record()
        for score in GRID:
            tracks = TrackConfig(score_on=score, score_off=score * KEEP)
            counts[score].update(unit.measure(Setting(recorded, tracks, fps)).counts)
            recorded.repeat()
        step(done)
    return [_choice(score, counts[score]) for score in GRID]


def _choice(score: float, counts: Counter[str]) -> Choice:
    def share(part: str, whole: str) -> float:
        return counts[part] / counts[whole] if counts[whole] else float("nan")

    return Choice(
        score_on=score,
        recall=share("pictures/found", "pictures/objects"),
        persons=share("pictures, person/found", "pictures, person/objects"),
        precision=share("pictures/reported right", "pictures/reported"),
        sounding_precision=share("composed, own/hits", "composed, own/detections"),
        sounding_recall=share("composed, own/hits", "composed, own/sounding_objects"),
    )


def choose(found: Sequence[Choice]) -> Choice:
    """The threshold with the best F1 on whole pictures."""
    return max(found, key=lambda one: one.f1)


def write(model: str | Path, chosen: Choice) -> Path:
    """Store the thresholds in the weights file.

    Raises:
        CheckpointError: the file cannot be read or written.
    """
    path = checkpoint.find(model)
    network = checkpoint.load(path)
    ours = ("kind", "version", "config")
    notes = {k: v for k, v in checkpoint.metadata(path).items() if k not in ours}
    network.config = replace(network.config, score_on=chosen.score_on, score_off=chosen.score_off)
    part = path.with_suffix(".part")
    checkpoint.save(network, part, notes)
    part.replace(path)
    return path
