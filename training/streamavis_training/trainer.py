"""The training loop: schedule, steps, checkpoints, exact resume, one or several processes.

Run under `torchrun` for several processes; each takes its own share of every batch.
"""

from __future__ import annotations

import logging
import math
import os
import time
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from streamavis.errors import CheckpointError, ModelOutputError
from streamavis.model import ModelState, StreamAVIS
from streamavis_training.losses import LossWeights, losses

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from streamavis_training.batch import Batch

__all__ = ["CHECKPOINT", "Progress", "Trainer", "TrainerConfig", "learning_rate"]

CHECKPOINT = "last.pt"  # in a run's folder
_CONVOLUTIONS = ("backbone", "audio_encoder")
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainerConfig:
    """How long and how fast to learn."""

    steps: int = 1800
    learning_rate: float = 1.5e-3  # of the convolutions
    attention_rate: float = 0.4  # of everything else, times that
    weight_decay: float = 0.03
    warmup: float = 0.03  # share of the steps
    flat: float = 0.3  # share of the steps at full rate, warm-up included; then cosine to zero
    clip_norm: float = 5.0
    ema_decay: float = 0.998
    checkpoint_every: int = 200
    seed: int = 0


def learning_rate(config: TrainerConfig, step: int) -> float:
    """Rate of step 0 .. steps-1: linear warm-up, flat, cosine to (nearly) zero."""
    share = (step + 1) / config.steps
    if share < config.warmup:
        return config.learning_rate * share / config.warmup
    if share < config.flat:
        return config.learning_rate
    angle = math.pi * (share - config.flat) / (1 - config.flat)
    return config.learning_rate * (0.5 * (1 + math.cos(angle)) + 0.002)


@dataclass
class Progress:
    """One training step, as reported."""

    step: int  # 1 .. steps
    terms: dict[str, float]  # weighted loss terms, running mean
    learning_rate: float
    grad_norm: float
    seconds: float  # wall time since this run began

    @property
    def loss(self) -> float:
        return sum(self.terms.values())


class Trainer:
    """Trains a network on batches and keeps everything it needs to go on."""

    def __init__(
        self,
        model: StreamAVIS,
        batches: Callable[[int], Iterator[Batch]],
        folder: Path,
        config: TrainerConfig,
        weights: LossWeights | None = None,
    ) -> None:
        """Set up, and resume if `folder` holds a checkpoint.

        Args:
            model: trained in place.
            batches: yields this process's batches from a step number on; the same number must
                give the same batches, which makes resuming exact.
            folder: for checkpoints; created.
            config, weights: see there.

        Raises:
            CheckpointError: the checkpoint in `folder` is of another network.
        """
        self.config, self.folder = config, folder
        self.weights = weights or LossWeights()
        self.model = model
        self._ema = {k: v.detach().clone() for k, v in model.state_dict().items()}
        self._optimizer = torch.optim.AdamW(_groups(model, config), betas=(0.9, 0.98))
        self._carried: ModelState | None = None
        self.step = 0
        self._batches = batches
        self._module: nn.Module = model
        folder.mkdir(parents=True, exist_ok=True)
        if self.checkpoint.exists():
            self._resume()
        if dist.is_available() and dist.is_initialized():
            # Batch norm keeps each process's own statistics; rank 0's are saved.
            self._module = DistributedDataParallel(
                model, broadcast_buffers=False, find_unused_parameters=True
            )

    @property
    def checkpoint(self) -> Path:
        return self.folder / CHECKPOINT

    @property
    def is_first(self) -> bool:
        """True in the process that writes files."""
        return int(os.environ.get("RANK", "0")) == 0

    def averaged(self) -> StreamAVIS:
        """A copy of the network with the running mean of its weights, for evaluation."""
        copy = StreamAVIS(self.model.config)
        copy.load_state_dict(self._ema)
        return copy.eval().requires_grad_(False)

    def run(self, report: Callable[[Progress], None], until: int | None = None) -> None:
        """Train to `until` steps (default: all), checkpointing on the way and at the end.

        Raises:
            ModelOutputError: the loss is not finite; the last checkpoint is from before it.
        """
        until = min(until or self.config.steps, self.config.steps)
        self.model.train()
        running: dict[str, float] = {}
        began = time.monotonic()
        batches, saved = self._batches(self.step), self.step
        while self.step < until:
            rate = learning_rate(self.config, self.step)
            batch = next(batches)
            terms, norm = self._learn(batch, rate)
            for name, value in terms.items():
                before = running.get(name, value)
                running[name] = before + 0.03 * (value - before)
            self.step += 1
            report(Progress(self.step, dict(running), rate, norm, time.monotonic() - began))
            # Only between clips: a carried state is not kept, so resuming stays exact.
            if batch.last and self.step - saved >= self.config.checkpoint_every:
                saved = self.step
                self.save()
        self.save()

    def _learn(self, batch: Batch, rate: float) -> tuple[dict[str, float], float]:
        for group in self._optimizer.param_groups:
            group["lr"] = rate * group["scale"]
        self._hold_norms(batch.frames.shape[1] > 1)
        carried = None if batch.first else self._carried
        output = self._module(batch.frames, batch.audio, batch.times_s, state=carried)
        self._carried = output.state
        terms = losses(output, batch.truth, self.weights)
        loss: Tensor = sum(terms.values(), torch.zeros(()))
        if not torch.isfinite(loss):
            raise ModelOutputError(
                f"the loss is {loss.item()} at step {self.step}: "
                + ", ".join(f"{k} {float(v):.3g}" for k, v in terms.items())
            )
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), self.config.clip_norm)
        self._optimizer.step()
        self._average()
        return {k: float(v.detach()) for k, v in terms.items()}, float(norm)

    def _hold_norms(self, hold: bool) -> None:
        """Keep batch norm as it is while clips are seen: their frames are too alike to judge by."""
        for module in self.model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.train(not hold)

    @torch.no_grad()
    def _average(self) -> None:
        # A short memory at first, so that the mean is not stuck at the random start.
        decay = min(self.config.ema_decay, (self.step + 1) / (self.step + 10))
        for name, value in self.model.state_dict().items():
            if value.is_floating_point():
                self._ema[name].lerp_(value, 1 - decay)
            else:
                self._ema[name].copy_(value)

    def save(self) -> None:
        """Write the checkpoint, whole or not at all. Only the first process does."""
        if not self.is_first:
            return
        state: dict[str, Any] = {
            "step": self.step,
            "model": self.model.state_dict(),
            "ema": self._ema,
            "optimizer": self._optimizer.state_dict(),
            "config": asdict(self.config),
            "network": _fields(self.model),
        }
        part = self.checkpoint.with_suffix(".part")
        torch.save(state, part)
        part.replace(self.checkpoint)

    def _resume(self) -> None:
        state = torch.load(self.checkpoint, weights_only=True)
        ours = _fields(self.model)
        for name, theirs in state.get("network", ours).items():
            if theirs != ours.get(name):
                raise CheckpointError(
                    f"{self.checkpoint} is of a network whose {name} is {theirs}, but this run's "
                    f"is {ours.get(name)}; go on with the same one, or choose another folder"
                )
        self.model.load_state_dict(state["model"])
        self._ema = state["ema"]
        self._optimizer.load_state_dict(state["optimizer"])
        self.step = state["step"]
        _log.info("resumed %s at step %d", self.checkpoint, self.step)


def _fields(model: StreamAVIS) -> dict[str, str]:
    """The network's configuration, to compare."""
    return {f.name: repr(getattr(model.config, f.name)) for f in fields(model.config)}


def _groups(model: StreamAVIS, config: TrainerConfig) -> list[dict[str, Any]]:
    """Parameters by learning rate and weight decay; vectors are not decayed."""
    groups = []
    for convolution in (True, False):
        for vector in (True, False):
            parameters = [
                p
                for name, p in model.named_parameters()
                if name.startswith(_CONVOLUTIONS) == convolution and (p.ndim <= 1) == vector
            ]
            scale = 1.0 if convolution else config.attention_rate
            decay = 0.0 if vector else config.weight_decay
            groups.append({"params": parameters, "scale": scale, "weight_decay": decay})
    return groups
