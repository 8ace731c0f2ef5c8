"""The trainer's settings and its learning rate at every step."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from streamavis.errors import ArgumentError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Pace", "Precision", "Schedule", "TrainerConfig", "learning_rate"]

Schedule = Literal["cosine", "step", "wsd"]
Precision = Literal["fp32", "bf16", "fp16"]


@dataclass(frozen=True)
class TrainerConfig:
    """How long, how fast and on what to train. Shares are of the schedule, 0 to 1.

    The schedule ends with `steps`, or after `minutes` where those are over first. With `minutes`
    a run depends on the machine's speed: it can go on from a checkpoint, but not to the bit.
    """

    steps: int = 1800  # of the optimizer
    minutes: float = 0.0  # wall time in which the whole schedule is passed; 0: steps alone count
    rate: float = 1.5e-3  # the highest; a task's groups scale it
    schedule: Schedule = "cosine"
    warmup: float = 0.03  # share of linear rise, in every schedule
    flat: float = 0.3  # share until which the rate stays; then cosine or (wsd) a line to zero
    milestones: tuple[float, ...] = (2 / 3, 11 / 12)  # step: shares at which the rate falls
    decay: float = 0.1  # step: to this part of it
    clip_norm: float = 5.0  # of the gradient of all parameters; 0: not clipped
    betas: tuple[float, float] = (0.9, 0.98)  # of AdamW
    ema_decay: float = 0.998  # of the averaged weights
    accumulate: int = 1  # batches per step
    precision: Precision = "fp32"  # of the network; losses are always fp32
    device: str = "auto"  # auto: cuda where it can be used | cpu | cuda | cuda:N
    evaluate_every: int = 0  # steps; 0: only at the end
    checkpoint_every: int = 200  # steps
    keep_every: int = 0  # steps between checkpoints that are kept; 0: only the last
    rewarm: int = 100  # steps of linear rise after a start without the optimizer's moments
    tensorboard: bool = False  # write its files beside curve.jsonl
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("steps", "accumulate", "checkpoint_every"):
            if getattr(self, name) < 1:
                raise ArgumentError(f"{name} is {getattr(self, name)}, expected at least 1")
        for name in ("warmup", "flat"):
            if not 0 <= getattr(self, name) <= 1:
                raise ArgumentError(f"{name} is {getattr(self, name)}, expected a share, 0 to 1")
        if self.minutes < 0:
            raise ArgumentError(f"minutes is {self.minutes}, expected at least 0")
        if not 0 <= self.ema_decay < 1:
            raise ArgumentError(f"ema_decay is {self.ema_decay}, expected 0 to below 1")


class Pace:
    """How much of a schedule is over: of its steps, or of its minutes if that is more."""

    def __init__(self, config: TrainerConfig, clock: Callable[[], float] = time.monotonic) -> None:
        """Take the schedule; its minutes count from `begin`, in seconds of `clock`."""
        self._steps, self._seconds, self._clock = config.steps, 60 * config.minutes, clock
        self._began: float | None = None

    @property
    def timed(self) -> bool:
        """Minutes count."""
        return self._seconds > 0

    def begin(self, gone: float = 0.0) -> None:
        """Count from now on, the share `gone` being over."""
        self._began = self._clock() - gone * self._seconds

    def gone(self, steps: int) -> float:
        """The share that is over after so many steps, 1 at the end."""
        share = steps / self._steps
        if self.timed and self._began is not None:
            share = max(share, (self._clock() - self._began) / self._seconds)
        return min(share, 1.0)


def learning_rate(
    config: TrainerConfig, step: int, fresh_from: int | None = None, gone: float = 0.0
) -> float:
    """The rate of step 0 .. steps-1.

    Args:
        fresh_from: the step at which training went on with a new optimizer.
        gone: share of the schedule that is over, where its minutes have passed faster.
    """
    share = max((step + 1) / config.steps, gone)
    rate = config.rate * _part(config, share)
    if share < config.warmup:
        rate *= share / config.warmup
    if fresh_from is not None:
        rate *= min(1.0, (step - fresh_from + 1) / max(config.rewarm, 1))
    return rate


def _part(config: TrainerConfig, share: float) -> float:
    """Of the highest rate, after the warm-up."""
    if config.schedule == "step":
        return config.decay ** sum(share > milestone for milestone in config.milestones)
    if share <= max(config.flat, config.warmup):
        return 1.0
    gone = (share - config.flat) / (1 - config.flat)
    if config.schedule == "wsd":
        return 1 - gone
    return 0.5 * (1 + math.cos(math.pi * gone)) + 0.002
