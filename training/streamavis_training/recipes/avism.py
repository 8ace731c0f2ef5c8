"""AVISM, the offline teacher: the paper's recipes, and one that two CPU cores can train."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from streamavis import checkpoint
from streamavis.errors import ArgumentError
from streamavis.model.avism import AVISMConfig, avism_r50, avism_r101, avism_swin_l
from streamavis.model.efficientnet import EfficientNetLite, EfficientNetLiteConfig
from streamavis.model.light_backbone import NanoConfig
from streamavis_training.avism_losses import AVISMWeights
from streamavis_training.avism_training import TeacherNet
from streamavis_training.data import media
from streamavis_training.data.loader import Loader, Stage
from streamavis_training.data.sample import ClipShape
from streamavis_training.data.sampling import ClipSampler, SamplingConfig
from streamavis_training.data.teacher import SampledSource
from streamavis_training.data.vggish import FeatureCache, Recording
from streamavis_training.imagenet import load_imagenet
from streamavis_training.points import POINTS, RandomPoints
from streamavis_training.recipes.base import Phase
from streamavis_training.recipes.data import DataConfig
from streamavis_training.schedule import TrainerConfig
from streamavis_training.tasks.avism import AVISMTask, TeacherConfig

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from streamavis.audio.vggish import VGGish
    from streamavis_training.batch import Batch
    from streamavis_training.data.sample import Source

__all__ = ["AvismRecipe", "avism_drawn_recipe", "avism_light_recipe", "avism_recipe"]

# Of the published configuration. It takes two clips a step, one on each of two GPUs: with one
# process two batches are accumulated.
PAPER = TrainerConfig(
    steps=48_000,
    rate=1e-4,
    schedule="step",
    warmup=0.0,
    milestones=(2 / 3,),
    clip_norm=0.01,
    betas=(0.9, 0.999),
    ema_decay=0.0,
    accumulate=2,
    checkpoint_every=1000,
    evaluate_every=8000,
)
# AVISM small enough for two CPU cores.
LIGHT = AVISMConfig(
    classes=(),
    backbone=EfficientNetLiteConfig(),
    short_side=128,
    channels=64,
    audio_channels=128,
    heads=8,
    hidden=128,
    pixel_layers=2,
    pixel_hidden=128,
    frame_queries=16,
    frame_layers=3,
    object_layers=3,
    video_queries=16,
    video_layers=2,
    audio="causal",
)
_EARLY = ("backbone.stem", *(f"backbone.stages.{i}" for i in range(3)))
LIGHT_TRAINER = TrainerConfig(
    steps=1500, rate=1e-3, clip_norm=1.0, betas=(0.9, 0.98), ema_decay=0.995
)


@dataclass(frozen=True)
class AvismRecipe:
    """AVISM on a data set in AVISeg's layout, or on the procedural world."""

    network: AVISMConfig = field(default_factory=avism_r50)  # no classes: those of the data set
    trainer: TrainerConfig = PAPER
    teacher: TeacherConfig = field(default_factory=TeacherConfig)
    losses: AVISMWeights = field(default_factory=AVISMWeights)
    data: DataConfig = field(default_factory=DataConfig)
    sampling: SamplingConfig | None = field(default_factory=SamplingConfig)  # the paper's clips
    shape: ClipShape = field(default_factory=lambda: ClipShape(5, 128, 224))  # where it is None
    clips: int = 1  # of a batch; 1 where the paper's clips differ in size
    points: int = POINTS  # at which masks are compared
    vggish: str = ""  # VGGish's published weights; empty: the data set has ready features
    cache: str = ""  # folder of computed features; empty: in the run's folder
    imagenet: bool = False  # an EfficientNet-Lite0 starts from its published weights
    init: str | None = None

    def __post_init__(self) -> None:
        if self.sampling is not None and self.clips != 1:
            raise ArgumentError(
                f"clips is {self.clips}, but the paper's clips differ in size and make batches of "
                "1; set trainer.accumulate instead, or sampling=none for clips of one shape"
            )

    def prepare(self, folder: Path, jobs: int, report: Callable[[str, int, int], None]) -> None:
        """Compute the audio features, or render clips, where they are needed and missing."""
        self.data.prepare(folder, jobs, report)
        if self._ready_features:
            self._features(
                folder, self._vggish(), lambda *done: report("computing audio features", *done)
            )

    def phases(self, folder: Path) -> Sequence[Phase]:
        """The network as a whole."""
        return [Phase("training", folder, self.trainer, lambda: self._task(folder))]

    def notes(self) -> dict[str, str]:
        return {"data": self.data.described()}

    @property
    def _ready_features(self) -> bool:
        """Whether features are computed beforehand, from sound in files."""
        return self.network.audio == "vggish" and self.sampling is not None

    def _vggish(self) -> VGGish | None:
        if not self.vggish:
            return None
        return checkpoint.vggish_from_reference(checkpoint.read_foreign(Path(self.vggish)))

    def _features(
        self, folder: Path, vggish: VGGish | None, progress: Callable[[int, int], None]
    ) -> dict[Path, Path]:
        """File of features by sound file."""
        recordings = [
            Recording(v.wav, len(v.frames), v.fps)
            for v in self.data.videos()[1]
            if v.wav is not None
        ]
        place = Path(self.cache) if self.cache else folder / "vggish"
        paths = FeatureCache(place, vggish, _waveform).fill(recordings, progress)
        return {r.wav: path for r, path in zip(recordings, paths, strict=True)}

    def _task(self, folder: Path) -> AVISMTask:
        torch.manual_seed(self.trainer.seed)
        classes = self.network.classes or self.data.classes()
        network = TeacherNet(replace(self.network, classes=classes), compat=self.teacher.compat)
        if self.imagenet and isinstance(network.backbone, EfficientNetLite) and not self.init:
            load_imagenet(network.backbone)
        vggish = self._vggish() if self.network.audio == "vggish" else None
        source = self._source(folder, classes, vggish)
        shape = self.shape
        if self.sampling is not None:
            shape = replace(shape, frames=self.sampling.frames)
        trainer, config = self.trainer, self.data

        def batches(step: int, rank: int, world: int) -> Iterator[Batch]:
            return Loader(
                source,
                [Stage(1.0, self.clips, shape)],
                trainer.steps * trainer.accumulate,
                seed=trainer.seed,
                rank=rank,
                world=world,
                workers=config.workers,
                delayed=0.0,
            ).batches(step)

        return AVISMTask(
            network,
            batches,
            self.teacher,
            weights=self.losses,
            points=RandomPoints(self.points),
            vggish=vggish,
            evaluate=config.evaluate(vggish),
            best=config.best,
        )

    def _source(self, folder: Path, classes: tuple[str, ...], vggish: VGGish | None) -> Source:
        if self.sampling is None:
            return self.data.source(folder, classes)
        labels, videos = self.data.videos()
        ready = self._features(folder, vggish, _silently) if self._ready_features else None
        return SampledSource(
            ClipSampler(videos, labels, classes, self.sampling, sound=ready is None),
            self.sampling,
            features=ready,
            pictures=self.data.pictures(classes),
            share=self.data.coco_share,
        )


def avism_recipe(name: str) -> AvismRecipe:
    """The paper's recipe with one of its backbones: r50, r101, swin_l."""
    networks = {"r50": avism_r50, "r101": avism_r101, "swin_l": avism_swin_l}
    return AvismRecipe(network=networks[name]())


def avism_light_recipe() -> AvismRecipe:
    """A small AVISM with a pretrained backbone, in minutes on two CPU cores."""
    return AvismRecipe(
        network=LIGHT,
        trainer=LIGHT_TRAINER,
        teacher=TeacherConfig(backbone=0.1, heard=1.0, frozen=_EARLY),
        sampling=None,
        clips=2,
        points=1024,
        imagenet=True,
    )


def avism_drawn_recipe() -> AvismRecipe:
    """The same from nothing, for the procedural world."""
    return replace(
        avism_light_recipe(),
        network=replace(LIGHT, backbone=NanoConfig()),
        teacher=TeacherConfig(backbone=1.0, heard=1.0),
        imagenet=False,
    )


def _waveform(path: Path) -> NDArray[Any]:
    return media.sound(path)[0]


def _silently(done: int, total: int) -> None:
    """Nothing is left to do, so that there is nothing to report."""
