"""The model's first steps, made before any clock starts: they build kernels and fill caches."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING

import numpy as np
from streamavis_kernels import telling_builds

from streamavis.clock import Clock, MonotonicClock
from streamavis.runtime.batch import StreamBatch
from streamavis.session import Session
from streamavis.types import VideoFrame

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from streamavis.runtime.step import StepModel

__all__ = ["Trial", "warm_up"]

_STEPS = 2  # the second finds all memory allocated
_PERIOD_NS = 33_000_000


class Trial:
    """Streams of noise on a model: what a step does, without a source and without a trace."""

    def __init__(
        self, model: StepModel, sizes: Sequence[tuple[int, int]], clock: Clock | None = None
    ) -> None:
        """Prepare one stream for each picture size (H, W)."""
        self._clock = clock or MonotonicClock()
        self._sessions = [
            Session(model, stream=f"trial-{n}", clock=self._clock) for n in range(len(sizes))
        ]
        self._batch = StreamBatch(self._sessions)
        rng = np.random.default_rng(0)
        self._images = [rng.integers(0, 255, (*size, 3), dtype=np.uint8) for size in sizes]
        self._steps = 0

    @property
    def device(self) -> str:
        """Where the model is."""
        return str(self._sessions[0].device)

    def step(self) -> float:
        """Give every stream a frame; seconds it took from frames to results.

        Raises:
            Exception: what the model raises.
        """
        begin_ns = self._clock.now_ns()
        time_ns = self._steps * _PERIOD_NS
        ready = {
            slot: session.begin(VideoFrame(self._images[slot], time_ns, self._steps, "driver"))
            for slot, session in enumerate(self._sessions)
        }
        for slot, outcome in self._batch.step(ready).items():
            if isinstance(outcome, Exception):
                raise outcome
            self._sessions[slot].finish(ready[slot], outcome)
        self._steps += 1
        return (self._clock.now_ns() - begin_ns) / 1e9


def warm_up(
    model: StepModel,
    sizes: Sequence[tuple[int, int]],
    *,
    on_build: Callable[[str], None] | None = None,
) -> None:
    """Run a model on pictures of these sizes (H, W), so that its first real frame is not late.

    Streams of their own are used: the model's weights are all that it shares with later ones.

    Args:
        model: in evaluation mode, on its device.
        sizes: one for each stream.
        on_build: called with a kernel's name before it is compiled, which takes seconds and
            happens once on a machine.

    Raises:
        Exception: what the model raises.
    """
    with nullcontext() if on_build is None else telling_builds(on_build):
        trial = Trial(model, sizes)
        for _ in range(_STEPS):
            trial.step()
