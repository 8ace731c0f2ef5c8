"""The training loop of every network: steps, averages, validation, checkpoints, exact resume."""

from __future__ import annotations

import contextlib
import copy
import logging
import math
import time
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from streamavis.errors import ModelOutputError
from streamavis_training import distributed
from streamavis_training.curve import Curve
from streamavis_training.devices import Mixed, device_of
from streamavis_training.run_state import CHECKPOINT, RunState, network_shape, read, write
from streamavis_training.schedule import Pace, TrainerConfig, learning_rate
from streamavis_training.trees import from_plain, to_device, to_plain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from streamavis_training.tasks.base import Task

__all__ = ["CHECKPOINT", "Progress", "Trainer", "TrainerConfig"]

_log = logging.getLogger(__name__)
_SMOOTH = 0.03  # of a new step in the running means that are reported


@dataclass
class Progress:
    """One training step, as reported."""

    step: int  # 1 .. steps
    terms: dict[str, float]  # weighted loss terms, running means over steps and processes
    learning_rate: float
    grad_norm: float
    seconds: float  # wall time since this run began
    waited_s: float  # of these, spent waiting for data

    @property
    def loss(self) -> float:
        return sum(self.terms.values())


class Trainer:
    """Trains a task's network and keeps everything it needs to go on."""

    def __init__(
        self,
        task: Task,
        folder: Path,
        config: TrainerConfig,
        *,
        notes: Mapping[str, str] | None = None,
        resume: Path | None = None,
        pace: Pace | None = None,
    ) -> None:
        """Set up, and go on where the checkpoint in `folder` stands, if there is one.

        Where processes train together, each builds its trainer after `distributed.join`.

        Args:
            task: its network is trained in place, moved to the device.
            folder: for checkpoints, weights and the curve; created.
            config: see there.
            notes: kept in the weights files.
            resume: a checkpoint, whole or packed, to go on from where `folder` has none.
            pace: of the schedule, shared with what makes the batches; its minutes count from `run`.

        Raises:
            CheckpointError: the checkpoint is of another network, or no parameter is trained.
            ArgumentError: the device cannot be used.
        """
        self.task, self.folder, self.config = task, folder, config
        self.device = device_of(config.device, distributed.rank())
        self._notes = dict(notes or {})
        self._network = task.network.to(self.device)
        self._groups = task.groups()
        _check_groups(self._network, self._groups)
        self._optimizer = torch.optim.AdamW(
            [
                {"params": g.parameters, "scale": g.scale, "weight_decay": g.weight_decay}
                for g in self._groups
            ],
            lr=config.rate,
            betas=config.betas,
        )
        self._scaler = torch.amp.GradScaler(
            self.device.type, enabled=config.precision == "fp16", init_scale=2.0**12
        )
        self.step = 0
        self._pace = pace or Pace(config)
        self._gone = 0.0  # share of the schedule, the same in all processes
        self._fresh_from: int | None = None
        self._best: float | None = None
        self._carried: Any = None
        self._latest: tuple[Any, Any] = (None, None)  # batch, and what was carried into it
        folder.mkdir(parents=True, exist_ok=True)
        start = self.checkpoint if self.checkpoint.exists() else resume
        self._ema = {k: v.detach().clone() for k, v in self._network.state_dict().items()}
        if start is not None:
            self._resume(start)
        mixed = Mixed(self._network, self.device, config.precision)
        self._module: nn.Module = mixed
        if distributed.world() > 1:
            self._module = _wrapped(mixed, self.device)

    @property
    def checkpoint(self) -> Path:
        return self.folder / CHECKPOINT

    @property
    def is_first(self) -> bool:
        """True in the process that writes files."""
        return distributed.rank() == 0

    @property
    def done(self) -> bool:
        """All steps are taken, or the schedule's minutes are over."""
        return self.step >= self.config.steps or self._gone >= 1

    def averaged(self) -> nn.Module:
        """A copy of the network with the running mean of its weights, for evaluation."""
        network = copy.deepcopy(self._network)
        network.load_state_dict(self._ema)
        return network.eval().requires_grad_(False)

    def run(
        self,
        report: Callable[[Progress], None] = lambda _: None,
        stop: Callable[[], bool] = lambda: False,
    ) -> bool:
        """Train to the end of the schedule, or until `stop` says so in any process.

        A checkpoint is written on the way and at the end, also where `stop` ended it: a later
        trainer on the same folder goes on as if nothing had happened.

        Args:
            report: called after every step.
            stop: asked after every step.

        Returns:
            True if the schedule is over; then the weights file is written.

        Raises:
            ModelOutputError: a loss or gradient is not finite; names step, terms and the file
                with the batch. The last checkpoint is from before it.
        """
        self._network.train()
        self._pace.begin(self._gone)
        began, waited, running = time.monotonic(), 0.0, dict[str, float]()
        asked = False
        curve = Curve(self.folder, self.step, self.config.tensorboard) if self.is_first else None
        first = self.step * self.config.accumulate
        batches = self.task.batches(first, distributed.rank(), distributed.world())
        with contextlib.closing(curve or _Nothing()), contextlib.closing(_closable(batches)):
            while not self.done and not asked:
                rate = learning_rate(self.config, self.step, self._fresh_from, self._gone)
                terms, norm, waiting = self._learn(batches, rate)
                waited += waiting
                self.step += 1
                terms, asked = self._together(terms, stop())
                for name, value in terms.items():
                    before = running.get(name, value)
                    running[name] = before + _SMOOTH * (value - before)
                if curve is not None:
                    curve.step(self.step, terms, rate, norm, time.monotonic() - began, waited)
                seconds = time.monotonic() - began
                report(Progress(self.step, dict(running), rate, norm, seconds, waited))
                self._between_steps(curve, asked)
            if self.done:
                self._finish()
        return self.done

    def _between_steps(self, curve: Curve | None, asked: bool) -> None:
        """Validate and save where it is time."""
        every = self.config.evaluate_every
        if self.done or (every and self.step % every == 0):
            self._evaluate(curve)
        if self.done or asked or self.step % self.config.checkpoint_every == 0:
            self.save()

    def _learn(self, batches: Iterator[Any], rate: float) -> tuple[dict[str, float], float, float]:
        """One step; returns its terms, the gradient's norm and the seconds waited for data."""
        for settings in self._optimizer.param_groups:
            settings["lr"] = rate * settings["scale"]
        # A step's random numbers follow from its number: nothing of them needs to be kept.
        place = [self.config.seed, distributed.rank(), self.step]
        torch.manual_seed(int(np.random.SeedSequence(place).generate_state(1, np.uint64)[0] >> 1))
        self._optimizer.zero_grad(set_to_none=True)
        sums: dict[str, float] = {}
        waited, count = 0.0, self.config.accumulate
        for part in range(count):
            began = time.monotonic()
            batch = to_device(next(batches), self.device)
            waited += time.monotonic() - began
            for name, value in self._backward(batch, last=part == count - 1).items():
                sums[name] = sums.get(name, 0.0) + value / count
        norm = self._clip()
        if not math.isfinite(norm) and not self._scaler.is_enabled():
            raise self._not_finite("the gradient's norm", sums)
        self._scaler.step(self._optimizer)
        self._scaler.update()
        distributed.average_norms(self._network)
        self._average()
        return sums, norm, waited

    def _backward(self, batch: Any, *, last: bool) -> dict[str, float]:
        before = self._carried
        self._latest = (batch, before)
        ddp = self._module if isinstance(self._module, DistributedDataParallel) else None
        with contextlib.nullcontext() if ddp is None or last else ddp.no_sync():
            try:
                terms, self._carried = self.task.loss(self._module, batch, before)
            except ModelOutputError as error:
                raise self._not_finite(str(error), {}) from error
            loss: Tensor = sum(terms.values(), torch.zeros((), device=self.device))
            values = {name: float(value.detach()) for name, value in terms.items()}
            if not math.isfinite(sum(values.values())):
                raise self._not_finite("the loss", values)
            self._scaler.scale(loss / self.config.accumulate).backward()
        return values

    def _clip(self) -> float:
        self._scaler.unscale_(self._optimizer)
        parameters = [p for group in self._groups for p in group.parameters]
        return float(nn.utils.clip_grad_norm_(parameters, self.config.clip_norm or math.inf))

    @torch.no_grad()
    def _average(self) -> None:
        # A short memory at first, so that the mean is not stuck at the start.
        decay = min(self.config.ema_decay, (self.step + 1) / (self.step + 10))
        values = self._network.state_dict()
        real = [name for name, value in values.items() if value.is_floating_point()]
        torch._foreach_lerp_([self._ema[n] for n in real], [values[n] for n in real], 1 - decay)
        for name in values.keys() - set(real):
            self._ema[name].copy_(values[name])

    def _together(self, terms: dict[str, float], stop: bool) -> tuple[dict[str, float], bool]:
        """Means of the terms over processes, and whether any process is to stop."""
        shares = [stop, self._pace.gone(self.step)]
        found = distributed.mean_over_processes([*shares, *terms.values()], self.device)
        asked, self._gone, *means = found
        return dict(zip(terms, means, strict=True)), asked > 0

    def _evaluate(self, curve: Curve | None) -> None:
        """Only the first process does; the others wait at their next step."""
        if curve is None:
            return
        network = self.averaged()
        figures = self.task.evaluate(network)
        curve.evaluation(self.step, figures, self.task, network)
        if self.task.best is None or self.task.best not in figures:
            return
        value = figures[self.task.best]
        if math.isfinite(value) and (self._best is None or value > self._best):
            self._best = value
            notes = self._notes | {"step": str(self.step), self.task.best: f"{value:.4f}"}
            self.task.save(network, self.folder / "best.safetensors", notes)

    def _finish(self) -> None:
        if self.is_first:
            notes = self._notes | {"step": str(self.step)}
            self.task.save(self.averaged(), self.weights, notes)

    @property
    def weights(self) -> Path:
        """The file that a user loads, once all steps are taken."""
        return self.folder / f"{self.task.name}.safetensors"

    def save(self) -> None:
        """Write the checkpoint, whole or not at all. All processes must call it."""
        carried = distributed.gather_plain(self._carried)
        if carried is None:
            return
        state = RunState(
            step=self.step,
            network=self._network.state_dict(),
            ema=self._ema,
            optimizer=self._optimizer.state_dict(),
            scaler=self._scaler.state_dict(),
            carried=carried,
            best=self._best,
            fresh_from=self._fresh_from,
            shape=network_shape(self._network),
            gone=self._gone,
        )
        write(state, self.checkpoint)
        if self.config.keep_every and self.step % self.config.keep_every == 0:
            write(state, self.folder / f"step-{self.step}.pt")

    def _resume(self, path: Path) -> None:
        state = read(path, self._network)
        self._network.load_state_dict(state.network)
        self._ema = to_device(state.ema, self.device)
        self.step, self._best, self._fresh_from = state.step, state.best, state.fresh_from
        self._gone = state.gone if self._pace.timed else 0.0
        if state.optimizer is None:
            self._fresh_from = state.step
            _log.warning(
                "%s holds no optimizer: its moments start anew, the rate rises over %d steps",
                path,
                self.config.rewarm,
            )
        else:
            self._optimizer.load_state_dict(state.optimizer)
            self._scaler.load_state_dict(state.scaler)
        if len(state.carried) == distributed.world():
            carried = from_plain(state.carried[distributed.rank()])
            self._carried = to_device(carried, self.device)
        elif state.optimizer is not None:
            _log.warning(
                "%s is of %d processes, this run has %d: it goes on, but not to the bit as before",
                path,
                len(state.carried),
                distributed.world(),
            )
        _log.info("resumed %s at step %d", path, self.step)

    def _not_finite(self, what: str, terms: Mapping[str, float]) -> ModelOutputError:
        """Keep the batch; the error that says so."""
        batch, carried = self._latest
        place = distributed.rank()
        of_process = f"-process-{place}" if distributed.world() > 1 else ""
        path = self.folder / f"nan-step-{self.step}{of_process}.pt"
        names = list(getattr(batch, "names", ()))
        kept = {"step": self.step, "rank": place, "names": names, "terms": dict(terms)}
        torch.save(kept | {"batch": to_plain(batch), "carried": to_plain(carried)}, path)
        listed = ", ".join(f"{name} {value:.3g}" for name, value in terms.items())
        found = f"{what} is not finite" if terms else what
        return ModelOutputError(
            f"step {self.step}: {found}{f' ({listed})' if listed else ''}; the batch"
            f"{f' of {names}' if names else ''} is kept in {path}. Go on from the last checkpoint "
            "with a lower rate (--set trainer.rate=...) or in fp32"
        )


def _wrapped(module: nn.Module, device: torch.device) -> DistributedDataParallel:
    devices = [device] if device.type == "cuda" else None
    with warnings.catch_warnings():
        # The keyword that is to follow `broadcast_buffers` is not in every torch we take.
        warnings.simplefilter("ignore", FutureWarning)
        return DistributedDataParallel(
            module, devices, broadcast_buffers=False, find_unused_parameters=True
        )


class _Nothing:
    def close(self) -> None:
        """Nothing to close."""


def _closable(batches: Iterator[Any]) -> Any:
    return batches if hasattr(batches, "close") else _Nothing()


def _check_groups(network: nn.Module, groups: list[Any]) -> None:
    grouped = [id(p) for group in groups for p in group.parameters]
    trained = [id(p) for p in network.parameters() if p.requires_grad]
    assert sorted(grouped) == sorted(trained), (
        f"{len(trained)} parameters are trained but {len(grouped)} are in groups; "
        "Task.groups must hold each of them once"
    )
