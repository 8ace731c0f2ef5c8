"""How the shipped weights are made: one function per network."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch

from streamavis.model import StreamAVIS, StreamAVISConfig, nano_drawn
from streamavis_training.losses import LossWeights, hearing_losses
from streamavis_training.pool import BatchConfig, Pool, PoolConfig
from streamavis_training.trainer import CHECKPOINT, Progress, Trainer, TrainerConfig
from streamavis_training.world import CLASSES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from torch import nn

    from streamavis_training.batch import Batch

__all__ = ["STAGES", "NanoRecipe", "Stage", "train_ear", "train_nano"]


@dataclass(frozen=True)
class Stage:
    """A stretch of the schedule."""

    until: float  # share of the steps
    batch: BatchConfig  # per process


STAGES = (
    # Single small frames of many clips teach what is what, at a third of the price of large ones;
    Stage(0.61, BatchConfig(clips=15, frames=1, parts=1, height=126)),
    # clips teach what stays the same and what moves with its sound;
    Stage(0.75, BatchConfig(clips=3, frames=5, parts=3, height=126)),
    # then both again at the size the network is used at.
    Stage(0.88, BatchConfig(clips=15, frames=1, parts=1, height=192)),
    Stage(1.0, BatchConfig(clips=3, frames=5, parts=3, height=192)),
)


@dataclass(frozen=True)
class NanoRecipe:
    """`nano` on the procedural world, in two processes."""

    network: StreamAVISConfig = field(default_factory=lambda: nano_drawn(CLASSES))
    trainer: TrainerConfig = field(default_factory=TrainerConfig)
    pool: PoolConfig = field(default_factory=PoolConfig)
    stages: tuple[Stage, ...] = STAGES
    ear_steps: int = 600  # of 128 sounds, before the first picture is seen


def train_ear(encoder: nn.Module, pool: Pool, recipe: NanoRecipe) -> float:
    """Teach the ear alone what sounds and how loud: a thousand times cheaper than with pictures.

    Args:
        encoder: hears as `CausalAudioEncoder` does, and has something to learn.
        pool: the sounds; recipe: how many, and how fast.

    Returns:
        The last loss, a running mean.
    """
    rng = np.random.default_rng([recipe.trainer.seed, 1])
    steps, mean = recipe.ear_steps, 0.0
    optimizer = torch.optim.AdamW(encoder.parameters(), weight_decay=recipe.trainer.weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=steps)
    for step in range(steps):
        audio, times_s, truth = pool.hearing(recipe.stages[0].batch, 128, rng)
        heard = encoder(audio, times_s)
        logits, level = heard.heard_logits[:, None], heard.heard_level[:, None]
        loss = sum(hearing_losses(logits, level, truth, LossWeights()).values(), torch.zeros(()))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        mean += (float(loss.detach()) - mean) / min(step + 1, 50)
    return mean


def train_nano(
    folder: Path,
    recipe: NanoRecipe,
    pool_folder: Path,
    *,
    rank: int,
    report: Callable[[Progress], None],
) -> Trainer:
    """Train, or go on where the checkpoint in `folder` stands.

    Args:
        folder: for the checkpoint.
        pool_folder: a pool that `pool.render` made with `recipe.pool`.
        rank: of this process among those that train together.
        report: called after every step.
    """
    torch.manual_seed(recipe.trainer.seed)
    model = StreamAVIS(recipe.network)
    # Twice as fast on a CPU; torch's stubs do not know the keyword.
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    pool = Pool(pool_folder, recipe.pool)

    def batches(step: int) -> Iterator[Batch]:
        start = 0
        for stage in recipe.stages:
            # A stage begins with the first part of a clip and ends with the last of one.
            parts = stage.batch.parts
            share = stage.until * recipe.trainer.steps - start
            until = start + math.ceil(share / parts) * parts
            if step < until:
                from_step = pool.batches(stage.batch, recipe.trainer.seed, rank)
                yield from itertools.islice(from_step(step - start), until - step)
                step = until
            start = until

    learns = any(p.requires_grad for p in model.audio_encoder.parameters())
    if learns and not (folder / CHECKPOINT).exists():
        train_ear(model.audio_encoder, pool, recipe)
    trainer = Trainer(model, batches, folder, recipe.trainer)
    trainer.run(report)
    return trainer
