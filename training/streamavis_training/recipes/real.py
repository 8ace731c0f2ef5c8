"""`nano` on real pictures and sounds: how the default weights are made."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from streamavis.model import StreamAVIS, StreamAVISConfig, nano
from streamavis.model.efficientnet import EfficientNetLite
from streamavis_training.batch import Batch, Truth
from streamavis_training.data.compose.composer import Composer
from streamavis_training.data.compose.hearing import Hearing
from streamavis_training.data.compose.library import Library
from streamavis_training.data.compose.look import Look
from streamavis_training.data.compose.vocabulary import REAL_WORLD
from streamavis_training.data.loader import Loader, Stage
from streamavis_training.data.sample import ClipShape
from streamavis_training.imagenet import load_imagenet
from streamavis_training.losses import LossWeights
from streamavis_training.recipes.base import Phase
from streamavis_training.schedule import TrainerConfig
from streamavis_training.tasks.audio import AudioTask, fill_encoder
from streamavis_training.tasks.student import StudentConfig, StudentTask

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

__all__ = ["RealRecipe"]

# Single small frames of many clips teach what is what, at a third of the price of large ones;
# clips teach what stays the same and what moves with its sound; then both at the size of use.
STAGES = (
    Stage(0.55, 8, ClipShape(1, 128, 224)),
    Stage(0.68, 2, ClipShape(4, 128, 224), parts=3),
    Stage(0.86, 5, ClipShape(1, 192, 341)),
    Stage(1.0, 2, ClipShape(3, 192, 341), parts=3),
)


@dataclass(frozen=True)
class RealRecipe:
    """`nano` with a pretrained backbone on composed clips of real material."""

    material: tuple[str, ...] = ()  # folders with index.json and scenes, or such files
    tiers: tuple[str, ...] = ("open", "check")  # of licences that are trained on
    cache: str = "material-cache"  # folder for the decoded material, about 1 GB
    network: StreamAVISConfig = field(default_factory=lambda: nano(REAL_WORLD.classes))
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
    look: Look = field(default_factory=Look)
    stages: tuple[Stage, ...] = STAGES
    # The audio encoder first, alone: cheap, and sound is right before pictures are seen.
    audio: TrainerConfig = field(
        default_factory=lambda: TrainerConfig(
            steps=2_400, rate=3e-3, warmup=0.1, flat=0.1, betas=(0.9, 0.999), ema_decay=0.99
        )
    )
    sounds: int = 96  # in a batch, while the audio encoder is trained alone
    workers: int = 1  # processes that compose clips, of each training process
    imagenet: bool = True  # the backbone starts from published weights
    init: str | None = None

    def prepare(self, folder: Path, jobs: int, report: Callable[[str, int, int], None]) -> None:
        """Decode the material once."""
        self._library(jobs, lambda done, of: report("decoding material", done, of))

    def phases(self, folder: Path) -> Sequence[Phase]:
        """The audio encoder, unless weights are given to start from; then the whole network."""
        found, heard = [], None
        if self.init is None:
            trainer = replace(self.audio, seed=self.trainer.seed, device=self.trainer.device)
            found.append(Phase("audio encoder", folder / "audio", trainer, self._audio_task))
            heard = folder / "audio" / "audio.safetensors"
        found.append(Phase("training", folder, self.trainer, lambda: self._task(heard)))
        return found

    def notes(self) -> dict[str, str]:
        return {"data": f"composed from {', '.join(self.material)}, tiers {', '.join(self.tiers)}"}

    def _library(
        self, jobs: int = 1, progress: Callable[[int, int], None] | None = None
    ) -> Library:
        paths = [Path(path) for path in self.material]
        return Library.read(
            paths, "train", self.tiers, cache=Path(self.cache), jobs=jobs, progress=progress
        )

    def _network(self) -> StreamAVIS:
        torch.manual_seed(self.trainer.seed)
        network = StreamAVIS(self.network)
        if isinstance(network.backbone, EfficientNetLite) and self.imagenet and self.init is None:
            load_imagenet(network.backbone)
        return network

    def _audio_task(self) -> AudioTask:
        hearing, seed, count = Hearing(self._library()), self.trainer.seed, self.sounds

        def batches(step: int, rank: int, world: int) -> Iterator[Batch]:
            for number in itertools.count(step):
                yield _sounds(*hearing.draw(count, np.random.default_rng([seed, rank, number, 1])))

        return AudioTask(self._network().audio_encoder, batches, weights=self.losses)

    def _task(self, heard: Path | None) -> StudentTask:
        network = self._network()
        if heard is not None:
            fill_encoder(network.audio_encoder, heard)
        composer, trainer = Composer(self._library(), self.look), self.trainer

        def batches(step: int, rank: int, world: int) -> Iterator[Batch]:
            loader = Loader(
                composer,
                self.stages,
                trainer.steps * trainer.accumulate,
                seed=trainer.seed,
                rank=rank,
                world=world,
                workers=self.workers,
            )
            return loader.batches(step)

        return StudentTask(network, batches, self.student, weights=self.losses)


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
