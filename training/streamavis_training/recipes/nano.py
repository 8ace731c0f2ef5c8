"""`nano` on real pictures and sounds: how the default weights are made."""

from __future__ import annotations

import functools
import itertools
import math
import os
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from streamavis.model import StreamAVIS, StreamAVISConfig, nano
from streamavis.model.efficientnet import EfficientNetLite
from streamavis_training.batch import Batch, Truth
from streamavis_training.data.compose.hearing import Hearing
from streamavis_training.data.loader import Loader, Stage
from streamavis_training.data.sample import ClipShape
from streamavis_training.imagenet import load_imagenet
from streamavis_training.losses import LossWeights
from streamavis_training.recipes.base import Phase
from streamavis_training.recipes.data import DataConfig
from streamavis_training.schedule import Pace, TrainerConfig
from streamavis_training.tasks.audio import AudioTask, fill_encoder
from streamavis_training.tasks.student import StudentConfig, StudentTask

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

__all__ = ["NanoRecipe", "nano_gpu_recipe"]

# Single small frames of many clips teach what is what, at a third of the price of large ones;
# clips teach what stays the same and what moves with its sound; then both at the size of use.
STAGES = (
    Stage(0.55, 8, ClipShape(1, 128, 224)),
    Stage(0.68, 2, ClipShape(4, 128, 224), parts=3),
    Stage(0.86, 5, ClipShape(1, 192, 341)),
    Stage(1.0, 2, ClipShape(3, 192, 341), parts=3),
)
_LARGER = 8  # times the clips of a batch of `nano`, in a batch of `nano_gpu`


@dataclass(frozen=True)
class NanoRecipe:
    """`nano` with a pretrained backbone on clips composed of real material, or on a data set."""

    data: DataConfig = field(default_factory=DataConfig)
    # None: `nano` with the classes of the data.
    network: StreamAVISConfig | None = None
    trainer: TrainerConfig = field(
        default_factory=lambda: TrainerConfig(steps=12_000, rate=1.2e-3, ema_decay=0.999)
    )
    student: StudentConfig = field(
        default_factory=lambda: StudentConfig(
            backbone=0.12,
            audio_encoder=0.2,
            attention=0.4,
            frozen=("backbone.stem", *(f"backbone.stages.{i}" for i in range(3))),
        )
    )
    losses: LossWeights = field(default_factory=LossWeights)
    stages: tuple[Stage, ...] = STAGES
    # The audio encoder first, alone: cheap, and sound is right before pictures are seen.
    audio: TrainerConfig = field(
        default_factory=lambda: TrainerConfig(
            steps=2_400, rate=3e-3, warmup=0.1, flat=0.1, betas=(0.9, 0.999), ema_decay=0.99
        )
    )
    sounds: int = 96  # in a batch, while the audio encoder is trained alone
    imagenet: bool = True  # the backbone starts from published weights
    init: str | None = None

    def prepare(self, folder: Path, jobs: int, report: Callable[[str, int, int], None]) -> None:
        """Decode the material once."""
        self.data.prepare(folder, jobs, report)

    def phases(self, folder: Path) -> Sequence[Phase]:
        """The audio encoder alone on composed sounds, unless weights are given; then the whole."""
        found, heard = [], None
        if self.init is None and self.data.material:
            trainer = replace(self.audio, seed=self.trainer.seed, device=self.trainer.device)
            found.append(Phase("audio encoder", folder / "audio", trainer, self._audio_task))
            heard = folder / "audio" / "audio.safetensors"
        pace = Pace(self.trainer)
        task = functools.partial(self._task, folder, heard, pace)
        found.append(Phase("training", folder, self.trainer, task, pace))
        return found

    def notes(self) -> dict[str, str]:
        return {"data": self.data.described()}

    def _network(self) -> StreamAVIS:
        torch.manual_seed(self.trainer.seed)
        network = StreamAVIS(self.network or nano(self.data.classes()))
        if isinstance(network.backbone, EfficientNetLite) and self.imagenet and self.init is None:
            load_imagenet(network.backbone)
        return network

    def _audio_task(self) -> AudioTask:
        hearing, seed, count = Hearing(self.data.library()), self.trainer.seed, self.sounds

        def batches(step: int, rank: int, world: int) -> Iterator[Batch]:
            for number in itertools.count(step):
                yield _sounds(*hearing.draw(count, np.random.default_rng([seed, rank, number, 1])))

        return AudioTask(self._network().audio_encoder, batches, weights=self.losses)

    def _task(self, folder: Path, heard: Path | None, pace: Pace) -> StudentTask:
        network = self._network()
        if heard is not None:
            fill_encoder(network.audio_encoder, heard)
        source, trainer = self.data.source(folder, network.config.classes), self.trainer

        def batches(step: int, rank: int, world: int) -> Iterator[Batch]:
            loader = Loader(
                source,
                self.stages,
                trainer.steps * trainer.accumulate,
                seed=trainer.seed,
                rank=rank,
                world=world,
                workers=self.data.workers,
                gone=pace.gone if pace.timed else None,
            )
            return loader.batches(step)

        return StudentTask(
            network,
            batches,
            self.student,
            weights=self.losses,
            evaluate=self.data.evaluate(),
            best=self.data.best,
        )


def nano_gpu_recipe() -> NanoRecipe:
    """`NanoRecipe` for one large GPU: the same frames in an eighth of the steps.

    The rate rises with the square root of the batch; the averaged weights remember as many frames.
    With `trainer.minutes` the whole schedule is passed in that time, however fast the machine is.
    """
    recipe = NanoRecipe()
    trainer = replace(
        recipe.trainer,
        steps=recipe.trainer.steps // _LARGER,
        rate=recipe.trainer.rate * math.sqrt(_LARGER),
        ema_decay=recipe.trainer.ema_decay**_LARGER,
        precision="bf16",
    )
    return replace(
        recipe,
        # One core is left for the process that trains.
        data=replace(recipe.data, workers=max(len(os.sched_getaffinity(0)) - 1, 1)),
        trainer=trainer,
        stages=tuple(replace(stage, clips=stage.clips * _LARGER) for stage in recipe.stages),
    )


def _sounds(
    audio: np.ndarray[tuple[int, ...], np.dtype[np.float32]],
    times_s: np.ndarray[tuple[int, ...], np.dtype[np.float64]],
    heard: np.ndarray[tuple[int, ...], np.dtype[np.float32]],
) -> Batch:
    """Windows as clips of one frame without pictures and objects."""
    count = len(audio)
    nothing = torch.zeros(count, 1, 0)
    return Batch(
        frames=torch.zeros(count, 1, 3, 0, 0, dtype=torch.uint8),
        audio=torch.from_numpy(audio)[:, None],
        times_s=torch.from_numpy(times_s)[:, None],
        truth=Truth(
            masks=torch.zeros(count, 1, 0, 0, 0),
            class_ids=torch.zeros(count, 0, dtype=torch.int64),
            visible=nothing,
            sounding=nothing,
            heard=torch.from_numpy(heard)[:, None],
            level=nothing,
        ),
    )
