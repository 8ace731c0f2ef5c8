"""The trainer's settings and its learning rate at every step."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from streamavis.errors import ArgumentError

__all__ = ["Precision", "Schedule", "TrainerConfig", "learning_rate"]

Schedule = Literal["cosine", "step", "wsd"]
Precision = Literal["fp32", "bf16", "fp16"]


@dataclass(frozen=True)
class TrainerConfig:
    """How long, how fast and on what to train. Shares are of `steps`, 0 to 1."""

    steps: int = 1800  # of the optimizer
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
        if not 0 <= self.ema_decay < 1:
            raise ArgumentError(f"ema_decay is {self.ema_decay}, expected 0 to below 1")


def learning_rate(config: TrainerConfig, step: int, fresh_from: int | None = None) -> float:
    """The rate of step 0 .. steps-1.

    Args:
        fresh_from: the step at which training went on with a new optimizer.
    """
    share = (step + 1) / config.steps
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
