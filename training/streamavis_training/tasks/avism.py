"""Training AVISM, the offline teacher."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn

from streamavis import checkpoint
from streamavis.types import WINDOW_SAMPLES
from streamavis_training.avism_losses import AVISMWeights, Compat, PointSource, avism_losses
from streamavis_training.avism_training import (
    TeacherNet,
    TeacherOutput,
    clip_truths,
    decayed,
    vggish_features,
)
from streamavis_training.losses import LossWeights, hearing_losses
from streamavis_training.pictures import comparison
from streamavis_training.tasks.base import ParamGroup, freeze, hold_norms

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from streamavis.audio.vggish import VGGish
    from streamavis.model import ClipOutput
    from streamavis.model.avism import AVISM, Lesson
    from streamavis_training.batch import Batch

__all__ = ["AVISMTask", "TeacherConfig"]


@dataclass(frozen=True)
class TeacherConfig:
    """Which parts are trained, and how."""

    backbone: float = 0.1  # of the trainer's rate
    weight_decay: float = 0.05  # of all but norms and embeddings
    heard: float = 0.0  # of the audio encoder's own classes and loudness, where there is one
    compat: Compat = "paper"  # reference: as the published code, see `avism_losses`
    frozen: tuple[str, ...] = ()  # names of parts, such as "backbone.stem", that stay as they are
    hold_norms: bool = False  # keep batch norms as they were initialised


@dataclass
class _Shown:
    """The last layers of a training output, for `comparison`."""

    class_logits: Tensor  # (B, T, V, K+1)
    mask_logits: Tensor  # (B, T, V, H4, W4)
    sounding_logits: Tensor  # (B, T, V): whatever has a mask sounds

    @classmethod
    def of(cls, lesson: Lesson) -> _Shown:
        said = lesson.clip_predictions[-1]
        embed, features = said.mask_embed[-1], lesson.video_mask_features
        masks = torch.einsum("bvc,btchw->btvhw", embed, features)
        classes = said.class_logits[-1][:, None].expand(-1, masks.shape[1], -1, -1)
        return cls(classes, masks, masks.amax((-2, -1)))


class AVISMTask:
    """AVISM with its losses."""

    def __init__(
        self,
        network: TeacherNet,
        batches: Callable[[int, int, int], Iterator[Batch]],
        config: TeacherConfig | None = None,
        *,
        weights: AVISMWeights | None = None,
        points: PointSource | None = None,
        vggish: VGGish | None = None,
        evaluate: Callable[[AVISM], dict[str, float]] | None = None,
        best: str | None = None,
        name: str = "avism",
    ) -> None:
        """Make a task of it.

        Args:
            network: trained in place.
            batches: from a batch's number, rank and world; the same numbers give the same batch.
            config: see there.
            weights: of the loss terms; points: where masks are compared, random by default.
            vggish: frozen; for audio features where the batches hold sound, and kept in
                its file. None: the batches hold ready features, or the network has an audio
                encoder of its own.
            evaluate: gives figures of a network in evaluation mode; best: of these, see `Task`.
            name: of the weights file.
        """
        self.name, self.best = name, best
        self._config = config or TeacherConfig()
        freeze(network, self._config.frozen)
        self._network, self._batches = network, batches
        self._weights = weights or AVISMWeights()
        self._points, self._vggish, self._evaluate = points, vggish, evaluate

    @property
    def network(self) -> TeacherNet:
        return self._network

    def groups(self) -> list[ParamGroup]:
        """Backbone and the rest, each with and without weight decay."""
        c, decays = self._config, decayed(self._network)
        found: dict[tuple[str, bool], list[nn.Parameter]] = {}
        for name, parameter in self._network.named_parameters():
            if parameter.requires_grad:
                part = "backbone" if name.startswith("backbone.") else "rest"
                found.setdefault((part, decays[name]), []).append(parameter)
        return [
            ParamGroup(
                part if decay else f"{part}, not decayed",
                parameters,
                c.backbone if part == "backbone" else 1.0,
                c.weight_decay if decay else 0.0,
            )
            for (part, decay), parameters in sorted(found.items())
        ]

    def batches(self, step: int, rank: int, world: int) -> Iterator[Batch]:
        return self._batches(step, rank, world)

    def loss(
        self, module: nn.Module, batch: Batch, carried: None
    ) -> tuple[dict[str, Tensor], None]:
        """AVISM's losses; nothing is carried from clip to clip."""
        c = self._config
        hold_norms(self._network, c.hold_norms, c.frozen)
        output: TeacherOutput = module(batch.frames, self._heard(batch), batch.times_s)
        terms, _, _ = avism_losses(
            output.lesson,
            clip_truths(batch.truth),
            self._weights,
            compat=c.compat,
            points=self._points,
        )
        if c.heard and output.heard_logits is not None and output.heard_level is not None:
            said = output.heard_logits, output.heard_level
            terms |= hearing_losses(*said, batch.truth, LossWeights(heard=c.heard, level=c.heard))
        return terms, None

    def _heard(self, batch: Batch) -> Tensor:
        """What `TeacherNet` takes."""
        own = self._network.audio_encoder is not None
        if own or batch.audio.shape[-1] != WINDOW_SAMPLES:
            return batch.audio
        if self._vggish is not None:
            self._vggish.to(batch.audio.device)
            return vggish_features(self._vggish, batch.audio)
        if batch.audio.any():
            return batch.audio  # refused with what is missing
        width = self._network.config.audio_channels
        return batch.audio.new_zeros(*batch.audio.shape[:2], width)

    def evaluate(self, network: nn.Module) -> dict[str, float]:
        return self._evaluate(cast("AVISM", network)) if self._evaluate else {}

    def pictures(self, network: nn.Module) -> dict[str, Tensor]:
        """The first clip's objects: truth beside prediction."""
        teacher = cast("TeacherNet", network)
        device = next(teacher.parameters()).device
        batch = next(self._batches(0, 0, 1))
        with torch.no_grad():
            seen = batch.frames.to(device), self._heard(batch).to(device), batch.times_s.to(device)
            lesson = teacher(*seen).lesson
        return {"truth | prediction": comparison(batch, cast("ClipOutput", _Shown.of(lesson)))}

    def save(self, network: nn.Module, path: Path, notes: Mapping[str, str]) -> None:
        checkpoint.save(cast("AVISM", network), path, notes, vggish=self._vggish)
