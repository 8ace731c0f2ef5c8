"""How many streams this machine can take: measured, not guessed."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

import torch

from streamavis.errors import CapacityError
from streamavis.warmup import Trial

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streamavis.clock import Clock
    from streamavis.runtime.step import StepModel

__all__ = ["LEAST_HZ", "Cost", "admit", "measure"]

LEAST_HZ = 5.0  # results per second below which a stream is not worth having
_WARM_UP = 2  # the first steps compile kernels and fill caches
_TIMED = 3


@dataclass(frozen=True)
class Cost:
    """What one step of all streams together takes."""

    streams: int
    batch_s: float  # frame to result
    device: str
    threads: int  # of torch

    @property
    def results_hz(self) -> float:
        """Results per second each stream can have, if nothing else is going on."""
        return 1 / max(self.batch_s, 1e-9)


def measure(model: StepModel, sizes: Sequence[tuple[int, int]], clock: Clock | None = None) -> Cost:
    """Run `model` a few times over streams of these picture sizes (H, W); warms it up as well."""
    trial = Trial(model, sizes, clock)
    taken_s = [trial.step() for _ in range(_WARM_UP + _TIMED)]
    return Cost(len(sizes), median(taken_s[_WARM_UP:]), trial.device, torch.get_num_threads())


def admit(cost: Cost, least_hz: float = LEAST_HZ) -> None:
    """Refuse streams that this machine cannot serve `least_hz` times a second each.

    One stream is never refused: it takes what it can have.

    Raises:
        CapacityError: it cannot; says what was measured and how many streams it could take.
    """
    if cost.streams == 1 or cost.results_hz >= least_hz:
        return
    fit = max(1, int(cost.streams * cost.results_hz / least_hz))
    raise CapacityError(
        f"{cost.streams} streams take {1e3 * cost.batch_s:.0f} ms a frame on {cost.device} with "
        f"{cost.threads} thread{'s' * (cost.threads > 1)}: {cost.results_hz:.1f} results/s each, "
        f"at least {least_hz:g} are asked for; about {fit} would fit"
    )
