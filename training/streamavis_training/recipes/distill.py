"""Distillation of an AVISM teacher into StreamAVIS."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import torch

from streamavis import checkpoint
from streamavis.errors import InputError
from streamavis.model import StreamAVIS, StreamAVISConfig, nano, r50, swin_l
from streamavis.model.adopt import adopt_into
from streamavis.model.efficientnet import EfficientNetLite, EfficientNetLiteConfig
from streamavis.model.presets import nano_drawn
from streamavis_training.data.sample import ClipShape
from streamavis_training.distillation.clips import FixedClips
from streamavis_training.distillation.loader import ClipPlan, DistillLoader
from streamavis_training.distillation.network import DistillNet
from streamavis_training.distillation.teaching import fill, target_folder
from streamavis_training.imagenet import load_imagenet
from streamavis_training.losses import LossWeights
from streamavis_training.recipes.base import Phase
from streamavis_training.recipes.data import DataConfig
from streamavis_training.schedule import TrainerConfig
from streamavis_training.tasks.distill import DistillConfig, DistillTask

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from streamavis.model.avism import AVISM
    from streamavis_training.distillation.loader import DistillBatch

__all__ = [
    "DistillRecipe",
    "adopted_recipe",
    "distill_recipe",
    "drawn_recipe",
    "light_recipe",
    "preset_recipe",
]

_EARLY = ("backbone.stem", *(f"backbone.stages.{i}" for i in range(3)))
Start = Literal["teacher", "scratch"]
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class DistillRecipe:
    """A causal network guided by a teacher on a fixed set of clips."""

    teacher: str = ""  # its weights file, of an offline network; needed
    network: StreamAVISConfig | None = None  # None: the teacher's own shape, see `adopt`
    start: Start = "teacher"  # teacher: what fits of its weights; scratch: random
    trainer: TrainerConfig = field(default_factory=lambda: TrainerConfig(steps=1500, rate=1.5e-3))
    distill: DistillConfig = field(default_factory=DistillConfig)
    losses: LossWeights = field(default_factory=LossWeights)
    data: DataConfig = field(default_factory=DataConfig)
    plan: ClipPlan = field(default_factory=ClipPlan)
    fixed: int = 200  # clips that the teacher sees, all that are trained on
    length: int = 16  # frames of each
    cache: str = ""  # folder of the teacher's outputs; empty: in the run's folder
    imagenet: bool = False  # an EfficientNet-Lite0 starts from its published weights
    init: str | None = None  # taken after what is taken from the teacher

    def prepare(self, folder: Path, jobs: int, report: Callable[[str, int, int], None]) -> None:
        """Run the teacher over every clip, once."""
        self.data.prepare(folder, jobs, report)
        teacher = self._teacher()
        fill(
            self._targets(folder, teacher),
            self._file,
            self._pool(folder, teacher),
            self.fixed,
            jobs=jobs,
            device=self.trainer.device,
            progress=lambda done, total: report("running the teacher", done, total),
        )

    def phases(self, folder: Path) -> Sequence[Phase]:
        """The student as a whole."""
        return [Phase("distilling", folder, self.trainer, lambda: self._task(folder))]

    def notes(self) -> dict[str, str]:
        return {"data": self.data.described(), "teacher": self._file.name}

    @property
    def _file(self) -> Path:
        if not self.teacher:
            raise InputError(
                "distillation needs a teacher: give the weights of an offline network (trained by "
                "`streamavis train avism_light`, or converted) as --teacher FILE"
            )
        return Path(self.teacher)

    def _teacher(self) -> AVISM:
        return checkpoint.load_avism(self._file)

    def _pool(self, folder: Path, teacher: AVISM) -> FixedClips:
        """At the teacher's frame size, with the student's aspect."""
        short, p = teacher.config.short_side, self.plan
        scale = short / min(p.height, p.width)
        shape = ClipShape(
            self.length,
            round(p.height * scale),
            round(p.width * scale),
        )
        source = self.data.source(folder, teacher.config.classes)
        return FixedClips(source, shape, self.trainer.seed)

    def _targets(self, folder: Path, teacher: AVISM) -> Path:
        cache = Path(self.cache) if self.cache else folder / "teacher"
        pool = self._pool(folder, teacher)
        return target_folder(cache, self._file, pool, self.data.described())

    def _task(self, folder: Path) -> DistillTask:
        teacher = self._teacher()
        network = self._network(teacher)
        targets, pool = self._targets(folder, teacher), self._pool(folder, teacher)
        trainer, config = self.trainer, self.data

        def batches(step: int, rank: int, world: int) -> Iterator[DistillBatch]:
            loader = DistillLoader(
                pool,
                self.fixed,
                targets,
                self.plan,
                seed=trainer.seed,
                rank=rank,
                workers=config.workers,
            )
            return loader.batches(step, trainer.steps * trainer.accumulate)

        return DistillTask(
            network,
            batches,
            self.distill,
            weights=self.losses,
            evaluate=config.evaluate(),
            best=config.best,
        )

    def _network(self, teacher: AVISM) -> DistillNet:
        torch.manual_seed(self.trainer.seed)
        if self.network is None:
            adopted = StreamAVIS.from_avism(teacher, checkpoint.load_vggish(self._file))
            network = DistillNet(adopted.config, teacher.config.channels)
            network.load_state_dict(adopted.state_dict(), strict=False)
            return network
        config = replace(self.network, classes=teacher.config.classes)
        network = DistillNet(config, teacher.config.channels)
        if self.imagenet and isinstance(network.backbone, EfficientNetLite) and not self.init:
            load_imagenet(network.backbone)
        if self.start == "teacher":
            done = adopt_into(network, teacher)
            _log.info(
                "of the student's %d tensors %d start as the teacher's; %d have no counterpart, "
                "%d have another shape there",
                len(network.state_dict()),
                len(done.taken),
                len(done.new),
                len(done.other_shape),
            )
        return network


def distill_recipe() -> DistillRecipe:
    """`nano` from a small teacher, on two CPU cores."""
    config = DistillConfig(backbone=0.12, audio_encoder=0.2, frozen=_EARLY)
    return DistillRecipe(network=nano(()), distill=config, imagenet=True)


def light_recipe() -> DistillRecipe:
    """A causal network of `avism_light`'s dimensions, which starts from that teacher's weights.

    Sinks, the slots' gate, deformable fusion and the sounding and visible heads start anew.
    """
    network = StreamAVISConfig(
        classes=(),
        backbone=EfficientNetLiteConfig(),
        pixel_decoder="msdeform",
        short_side=128,
        channels=64,
        mask_channels=64,
        hidden=128,
        pixel_layers=2,
        pixel_hidden=128,
        frame_queries=16,
        slots=16,
        object_layers=3,
        audio_layers=3,
        video_layers=2,
        look=False,
        carry=0.0,
    )
    config = DistillConfig(backbone=0.1, attention=1.0, frozen=_EARLY)
    return DistillRecipe(
        network=network,
        trainer=TrainerConfig(steps=1500, rate=3e-4, clip_norm=1.0),
        distill=config,
        plan=ClipPlan(height=128, width=224),
        imagenet=True,
    )


def drawn_recipe() -> DistillRecipe:
    """The same without pretrained weights, for the procedural world."""
    return DistillRecipe(network=nano_drawn(()))


def preset_recipe(name: str) -> DistillRecipe:
    """A preset from a teacher of its size, on AVISeg: r50, swin_l.

    AVISeg has a frame a second: clips of ten with two detached parts, as memory rolls over.
    """
    network = {"r50": r50, "swin_l": swin_l}[name]()
    short = network.short_side
    return DistillRecipe(
        network=network,
        trainer=TrainerConfig(steps=20_000, rate=1e-4, clip_norm=0.1, betas=(0.9, 0.999)),
        distill=DistillConfig(backbone=0.1, attention=1.0, weight_decay=0.05),
        plan=ClipPlan(
            clips=1, frames=5, parts=2, height=short, width=round(short * 16 / 9), onset_s=0.96
        ),
        fixed=600,
        length=18,
    )


def adopted_recipe() -> DistillRecipe:
    """The teacher made causal, without new parts, trained to see without the future."""
    return replace(preset_recipe("r50"), network=None)
