"""How the shipped weights are made: one function per network."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import torch

from streamavis.model import StreamAVIS, nano
from streamavis_training.pool import BatchConfig, Pool, PoolConfig
from streamavis_training.trainer import Progress, Trainer, TrainerConfig
from streamavis_training.world import CLASSES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from streamavis_training.batch import Batch

__all__ = ["NanoRecipe", "train_nano"]


@dataclass(frozen=True)
class NanoRecipe:
    """`nano` on the procedural world. Small pictures first: they teach what is what at a third
    of the price; the last part of the schedule sees the size the network is used at."""

    trainer: TrainerConfig = field(default_factory=TrainerConfig)
    pool: PoolConfig = field(default_factory=PoolConfig)
    batch: BatchConfig = field(default_factory=BatchConfig)  # per process
    small_height: int = 126
    small_share: float = 0.65  # of the steps


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

    trainer = Trainer(model, batches, folder, recipe.trainer)
    trainer.run(report)
    return trainer
