"""How the shipped weights are made: one function per network."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from streamavis.model import StreamAVIS, nano
from streamavis_training.losses import LossWeights, hearing_losses
from streamavis_training.pool import BatchConfig, Pool, PoolConfig
from streamavis_training.trainer import CHECKPOINT, Progress, Trainer, TrainerConfig
from streamavis_training.world import CLASSES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from streamavis.audio.causal import CausalAudioEncoder
    from streamavis_training.batch import Batch

__all__ = ["NanoRecipe", "train_ear", "train_nano"]


@dataclass(frozen=True)
class NanoRecipe:
    """`nano` on the procedural world. Small pictures first: they teach what is what at a third
    of the price; the last part of the schedule sees the size the network is used at."""

    trainer: TrainerConfig = field(default_factory=TrainerConfig)
    pool: PoolConfig = field(default_factory=PoolConfig)
    batch: BatchConfig = field(default_factory=BatchConfig)  # per process
    small_height: int = 126
    small_share: float = 0.8  # of the steps
    ear_steps: int = 600  # of 128 sounds, before the first picture is seen


def train_ear(encoder: CausalAudioEncoder, pool: Pool, recipe: NanoRecipe) -> float:
    """Teach the ear alone what sounds and how loud: a thousand times cheaper than with pictures.

    Returns:
        The last loss, a running mean.
    """
    rng = np.random.default_rng([recipe.trainer.seed, 1])
    steps, mean = recipe.ear_steps, 0.0
    optimizer = torch.optim.AdamW(encoder.parameters(), weight_decay=recipe.trainer.weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=steps)
    for step in range(steps):
        audio, times_s, truth = pool.hearing(recipe.batch, 128, rng)
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
    model = StreamAVIS(nano(CLASSES))
    # Twice as fast on a CPU; torch's stubs do not know the keyword.
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    pool = Pool(pool_folder, recipe.pool)
    parts = recipe.batch.parts
    switch = int(recipe.small_share * recipe.trainer.steps) // parts * parts
    shrunk = replace(recipe.batch, height=recipe.small_height)
    small = pool.batches(shrunk, recipe.trainer.seed, rank)
    full = pool.batches(recipe.batch, recipe.trainer.seed, rank)

    def batches(step: int) -> Iterator[Batch]:
        if step < switch:
            for batch, _ in zip(small(step), range(step, switch), strict=False):
                yield batch
        yield from full(max(step, switch))

    if not (folder / CHECKPOINT).exists():
        train_ear(model.audio_encoder, pool, recipe)
    trainer = Trainer(model, batches, folder, recipe.trainer)
    trainer.run(report)
    return trainer
