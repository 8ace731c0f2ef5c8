"""`nano_drawn` on the procedural world: needs no data set."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from streamavis.model import StreamAVIS, StreamAVISConfig, nano_drawn
from streamavis_training.losses import LossWeights
from streamavis_training.pool import BatchConfig, Pool, PoolConfig, render
from streamavis_training.recipes.base import Phase
from streamavis_training.schedule import TrainerConfig
from streamavis_training.tasks.audio import AudioTask, fill_encoder
from streamavis_training.tasks.student import StudentConfig, StudentTask
from streamavis_training.world import CLASSES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from streamavis_training.batch import Batch

__all__ = ["STAGES", "NanoDrawnRecipe", "WorldStage", "audio_recipe", "staged"]

AUDIO = TrainerConfig(
    steps=600, rate=3e-3, warmup=0.3, flat=0.3, clip_norm=0.0, betas=(0.9, 0.999), ema_decay=0.9
)


@dataclass(frozen=True)
class WorldStage:
    """A stretch of the schedule."""

    until: float  # share of the steps
    batch: BatchConfig  # per process


STAGES = (
    # Single small frames of many clips teach what is what, at a third of the price of large ones;
    WorldStage(0.61, BatchConfig(clips=15, frames=1, parts=1, height=126)),
    # clips teach what stays the same and what moves with its sound;
    WorldStage(0.75, BatchConfig(clips=3, frames=5, parts=3, height=126)),
    # then both again at the size the network is used at.
    WorldStage(0.88, BatchConfig(clips=15, frames=1, parts=1, height=192)),
    WorldStage(1.0, BatchConfig(clips=3, frames=5, parts=3, height=192)),
)


@dataclass(frozen=True)
class NanoDrawnRecipe:
    """`nano_drawn` on the procedural world, in two processes."""

    network: StreamAVISConfig = field(default_factory=lambda: nano_drawn(CLASSES))
    trainer: TrainerConfig = field(default_factory=TrainerConfig)
    student: StudentConfig = field(default_factory=StudentConfig)
    losses: LossWeights = field(default_factory=LossWeights)
    pool: PoolConfig = field(default_factory=PoolConfig)
    stages: tuple[WorldStage, ...] = STAGES
    # Before the first picture is seen: a thousand times cheaper than with pictures.
    audio: TrainerConfig | None = AUDIO
    sounds: int = 64  # in a batch of a process, while the audio encoder is trained alone
    pictures: bool = True  # train the whole network; False: the audio encoder alone
    init: str | None = None

    def prepare(self, folder: Path, jobs: int, report: Callable[[str, int, int], None]) -> None:
        """Render the pool."""
        render(
            folder / "pool",
            self.pool,
            jobs=jobs,
            progress=lambda done: report("rendering clips", done, self.pool.clips),
        )

    def phases(self, folder: Path) -> Sequence[Phase]:
        """The audio encoder, unless there is nothing to train in it or weights are given."""
        seed = self.trainer.seed
        found = []
        audio_folder = folder / "audio" if self.pictures else folder
        alone = self.init is None or not self.pictures
        if self.audio is not None and self.network.audio == "causal" and alone:
            trainer = replace(
                self.audio,
                seed=seed,
                device=self.trainer.device,
                tensorboard=self.trainer.tensorboard,
            )
            task = self._audio_task
            found.append(Phase("audio encoder", audio_folder, trainer, lambda: task(folder)))
        if self.pictures:
            heard = audio_folder / "audio.safetensors" if found else None
            found.append(Phase("training", folder, self.trainer, lambda: self._task(folder, heard)))
        return found

    def notes(self) -> dict[str, str]:
        pool = self.pool
        return {"data": f"procedural world, {pool.clips} clips from seed {pool.seed}"}

    def _network(self) -> StreamAVIS:
        torch.manual_seed(self.trainer.seed)
        return StreamAVIS(self.network)

    def _audio_task(self, folder: Path) -> AudioTask:
        pool, seed, shape = Pool(folder / "pool", self.pool), self.trainer.seed, self.stages[0]

        def batches(step: int, rank: int, world: int) -> Iterator[Batch]:
            for number in itertools.count(step):
                rng = np.random.default_rng([seed, rank, number, 1])
                yield pool.sounds(shape.batch, self.sounds, rng)

        encoder = self._network().audio_encoder
        return AudioTask(encoder, batches, weights=self.losses)

    def _task(self, folder: Path, heard: Path | None) -> StudentTask:
        network = self._network()
        if heard is not None:
            fill_encoder(network.audio_encoder, heard)
        pool = Pool(folder / "pool", self.pool)

        def batches(step: int, rank: int, world: int) -> Iterator[Batch]:
            return staged(pool, self.stages, self.trainer, step, rank)

        return StudentTask(network, batches, self.student, weights=self.losses)


def audio_recipe() -> NanoDrawnRecipe:
    """The audio encoder alone."""
    return NanoDrawnRecipe(pictures=False)


def staged(
    pool: Pool, stages: Sequence[WorldStage], trainer: TrainerConfig, step: int, rank: int
) -> Iterator[Batch]:
    """Batches of the stages in order, from number `step` on."""
    start, total = 0, trainer.steps * trainer.accumulate
    for stage in stages:
        # A stage begins with the first part of a clip and ends with the last of one.
        parts = stage.batch.parts
        until = start + math.ceil((stage.until * total - start) / parts) * parts
        if step < until:
            from_step = pool.batches(stage.batch, trainer.seed, rank)
            yield from itertools.islice(from_step(step - start), until - step)
            step = until
        start = max(until, start)
