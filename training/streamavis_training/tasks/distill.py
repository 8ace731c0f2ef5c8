"""Distillation: a causal network learns from the truth and from a teacher's cached outputs."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from streamavis import checkpoint
from streamavis_training.distillation.guide import (
    Guide,
    GuideWeights,
    guidance_losses,
    own_guide,
)
from streamavis_training.distributed import normaliser
from streamavis_training.losses import LossWeights, losses
from streamavis_training.matcher import Match, match
from streamavis_training.pictures import comparison
from streamavis_training.tasks.base import ParamGroup, freeze, hold_norms, parameter_groups

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from streamavis.model import ModelState, StreamAVIS
    from streamavis_training.batch import Truth
    from streamavis_training.distillation.loader import DistillBatch
    from streamavis_training.distillation.network import DistillNet, DistillOutput

__all__ = ["DistillConfig", "DistillTask"]


@dataclass(frozen=True)
class DistillConfig:
    """What the student learns from, and which parts are trained how fast."""

    teacher: GuideWeights = field(default_factory=GuideWeights)  # the teacher guides both contexts
    # The student with later frames in view guides the causal one, without gradient to itself.
    own: GuideWeights = field(default_factory=lambda: GuideWeights(bce=1.0, dice=1.0, query=0.0))
    full: float = 0.5  # of the full-context output's losses; 0: later frames are never in view
    silent: float = 1.0  # of empty masks where an object is silent; for students that have no
    # sounding head and so show by their masks what sounds
    backbone: float = 1.0  # of the trainer's rate; a pretrained one needs less
    audio_encoder: float = 1.0
    attention: float = 0.4  # everything else
    weight_decay: float = 0.03  # of matrices and kernels
    frozen: tuple[str, ...] = ()  # names of parts that stay as they are
    held_norms: tuple[str, ...] = ()  # parts whose batch norms are never trained


class DistillTask:
    """StreamAVIS with the truth's losses and a guide's."""

    def __init__(
        self,
        network: DistillNet,
        batches: Callable[[int, int, int], Iterator[DistillBatch]],
        config: DistillConfig | None = None,
        *,
        weights: LossWeights | None = None,
        evaluate: Callable[[StreamAVIS], dict[str, float]] | None = None,
        best: str | None = None,
        name: str = "student",
    ) -> None:
        """Make a task of it.

        Args:
            network: trained in place.
            batches: from a batch's number, rank and world; the same numbers give the same batch.
            config: see there.
            weights: of the truth's loss terms.
            evaluate: gives figures of a network in evaluation mode; best: of these, see `Task`.
            name: of the weights file.
        """
        self.name, self.best = name, best
        self._config = config or DistillConfig()
        # Twice as fast on a CPU; torch's stubs do not know the keyword.
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        network.full_context = self._config.full > 0 or self._config.own.any
        freeze(network, self._config.frozen)
        self._network, self._batches = network, batches
        self._weights = weights or LossWeights()
        self._evaluate = evaluate

    @property
    def network(self) -> DistillNet:
        return self._network

    def groups(self) -> list[ParamGroup]:
        c = self._config
        scales = {"backbone": c.backbone, "audio_encoder": c.audio_encoder}
        return parameter_groups(self._network, scales, c.weight_decay, default=c.attention)

    def batches(self, step: int, rank: int, world: int) -> Iterator[DistillBatch]:
        return self._batches(step, rank, world)

    def loss(
        self, module: nn.Module, batch: DistillBatch, carried: ModelState | None
    ) -> tuple[dict[str, Tensor], ModelState | None]:
        """The truth's losses, the teacher's, and the student's own in full context.

        The state goes on to the next part of the same clips. Before the first part the network
        sees the frames that come before it, without gradient.
        """
        alike = batch.frames.shape[1] > 1
        hold_norms(self._network, alike, (*self._config.held_norms, *self._config.frozen))
        state = None if batch.first else carried
        if batch.before is not None:
            b = batch.before
            with torch.no_grad():
                state = self._network.advance(b.frames, b.audio, b.times_s, b.active)
        output: DistillOutput = module(
            batch.frames, batch.audio, batch.times_s, reset=batch.reset, state=state
        )
        assert batch.guide is not None, "batches of a distillation have a guide"
        terms = self._terms(output, batch.truth, batch.guide)
        return terms, None if batch.last else output.causal.state

    def _terms(self, output: DistillOutput, truth: Truth, guide: Guide) -> dict[str, Tensor]:
        c = self._config
        shows_silent = output.causal.pose_level is not None  # masks are of all that is visible
        truth = truth if shows_silent else _audible(truth)
        causal = output.causal
        terms = losses(causal, truth, self._weights)
        pairs = match(causal.class_logits, causal.mask_logits, truth)
        if not shows_silent and c.silent:
            terms["silent"] = c.silent * _silent_loss(causal.mask_logits, pairs, truth)
        terms |= _named(
            "teacher", guidance_losses(causal, output.queries, pairs, guide, truth, c.teacher)
        )
        if output.full is None:
            return terms
        full = output.full
        full_pairs = match(full.class_logits, full.mask_logits, truth)
        if c.own.any:
            own = own_guide(full, full_pairs, truth, guide.steady)
            found = guidance_losses(causal, causal.video_queries, pairs, own, truth, c.own)
            terms |= _named("own", found)
        if c.full:
            # What does not depend on the context has been counted.
            alone = replace(
                full, frame_predictions=[], heard_logits=None, heard_level=None, pose_map=None
            )
            found = losses(alone, truth, self._weights)
            if not shows_silent and c.silent:
                found["silent"] = c.silent * _silent_loss(full.mask_logits, full_pairs, truth)
            found |= _named(
                "teacher",
                guidance_losses(full, output.full_queries, full_pairs, guide, truth, c.teacher),
            )
            terms |= {f"full_{name}": c.full * value for name, value in found.items()}
        return terms

    def evaluate(self, network: nn.Module) -> dict[str, float]:
        if self._evaluate is None:
            return {}
        return self._evaluate(cast("DistillNet", network).student())

    def pictures(self, network: nn.Module) -> dict[str, Tensor]:
        """The first clip of the first batch: truth beside prediction."""
        student = cast("DistillNet", network).student()
        device = next(student.parameters()).device
        batch = next(self._batches(0, 0, 1))
        with torch.no_grad():
            sees = batch.frames.to(device), batch.audio.to(device), batch.times_s.to(device)
            output = student(*sees)
        return {"truth | prediction": comparison(batch, output)}

    def save(self, network: nn.Module, path: Path, notes: Mapping[str, str]) -> None:
        checkpoint.save(cast("DistillNet", network).student(), path, notes)


def _named(prefix: str, terms: dict[str, Tensor]) -> dict[str, Tensor]:
    return {f"{prefix}_{name}": value for name, value in terms.items()}


def _audible(truth: Truth) -> Truth:
    """The truth for a network whose objects are those that sound: what is silent is absent."""
    return replace(truth, visible=torch.where(truth.sounding == 0, 0.0, truth.visible))


def _silent_loss(mask_logits: Tensor, pairs: Match, truth: Truth) -> Tensor:
    """Matched queries have an empty mask where their object is known to be absent or silent."""
    absent = truth.visible[pairs.clip, :, pairs.object] == 0  # (n, T)
    logits = mask_logits[pairs.clip, :, pairs.query][absent].float().flatten(1)
    return F.softplus(logits).mean(1).sum() / normaliser(absent.sum())
