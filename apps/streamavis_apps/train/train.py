"""`streamavis train`: the program."""

from __future__ import annotations

import functools
import json
import logging
import math
import os
import signal
import time
import warnings
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from streamavis.errors import ArgumentError
from streamavis_apps.exits import ExitCode, stop_on_signals
from streamavis_apps.machine import cores
from streamavis_apps.terminal import Terminal
from streamavis_apps.text import PlainFormatter
from streamavis_apps.train.bars import Bars
from streamavis_apps.train.launch import launch
from streamavis_apps.train.run_folder import command_line, record_start

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from rich.console import Console
    from streamavis_training.recipes.base import Phase, Recipe
    from streamavis_training.trainer import Progress as Step

    from streamavis_apps.exits import Stop

__all__ = ["TrainingPlan", "build", "pack", "run", "show_fields"]


@dataclass(frozen=True)
class TrainingPlan:
    """A run, as the command line asks for it."""

    out: Path  # the run's folder
    recipe: Recipe
    processes: int | None = None  # None: one per GPU, else two
    resume: Path | None = None  # checkpoint to go on from where the folder has none
    minutes: float | None = None  # after which it is stopped as by a signal
    threads: int | None = None  # of each process; None: the cores, shared out


def run(plan: TrainingPlan) -> int:
    """Prepare, train in one or several processes, and write the weights.

    Under `torchrun` this process is one of several that were started already.

    Returns:
        The exit code: 0 where all steps are taken or the minutes are over, 128 + N after signal N.
    """
    from streamavis_training.overrides import as_values, differences

    console = Terminal()
    begun = "WORLD_SIZE" in os.environ  # torchrun's
    rank = int(os.environ.get("RANK", "0"))
    processes = int(os.environ["WORLD_SIZE"]) if begun else _processes(plan)
    if rank == 0:
        values = as_values(plan.recipe)
        before = record_start(plan.out, values, processes=processes)
        for line in differences(before, values) if before is not None else []:
            _say(console, f"changed since the run began: {line}")
    with stop_on_signals() as stop:
        if rank == 0 and not _prepare(plan, _jobs(1), console, stop):
            return _stopped(console, stop)
        until = None if plan.minutes is None else time.time() + 60 * plan.minutes
        work = functools.partial(_work, plan=plan, processes=processes, until=until)
        if begun or processes == 1:
            done = work(rank, stop.event.is_set, rendezvous="env://")
        else:
            done = _launch(work, plan, processes, stop)
    if not done and stop.signal is not None:
        return _stopped(console, stop) if rank == 0 else 128 + stop.signal
    if rank == 0:
        last = plan.recipe.phases(plan.out)[-1].folder
        found = ", ".join(str(path) for path in sorted(last.glob("*.safetensors")))
        over = f"stopped after {plan.minutes} minutes; the same command goes on"
        _say(console, f"weights: {found}" if done else over)
    return ExitCode.DONE


def pack(folder: Path, out: Path) -> int:
    """Write the small form of a run's checkpoint, to go on with on another machine.

    Raises:
        CheckpointError: there is no checkpoint, or it is too large.
    """
    from streamavis_training.run_state import CHECKPOINT
    from streamavis_training.run_state import pack as write

    console = Terminal()
    _say(console, write(folder / CHECKPOINT, out))
    _say(console, f"go on with: streamavis train --out DIR --resume {out}")
    return ExitCode.DONE


def build(
    name: str, config: Path | None, shortcuts: Mapping[str, Any], settings: Sequence[str]
) -> Recipe:
    """A recipe by its name, with its changes: a file's, then options', then `PATH=VALUE`s.

    Args:
        shortcuts: nested like the recipe's fields; None: not given.

    Raises:
        ArgumentError: there is no such recipe or field, or a value has the wrong type.
        InputError: the file cannot be read.
    """
    from streamavis_training.overrides import merged, override, parse, read_config
    from streamavis_training.recipes import RECIPES

    if name not in RECIPES:
        raise ArgumentError(f"there is no recipe {name!r}; expected one of: {', '.join(RECIPES)}")
    changes = [] if config is None else [read_config(config)]
    changes += [_given(shortcuts), *map(parse, settings)]
    return override(RECIPES[name](), merged(changes))


def show_fields(recipe: Recipe) -> int:
    """Print every field as `--set` takes it."""
    from streamavis_training.overrides import as_values

    def fields(values: Any, path: str) -> Iterator[str]:
        entries = values.items() if isinstance(values, dict) else enumerate(values)
        for name, value in entries:
            where = f"{path}.{name}" if path else str(name)
            if isinstance(value, dict) or (value and isinstance(value, list) and _nested(value)):
                yield from fields(value, where)
            else:
                yield f"{where}={'none' if value is None else json.dumps(value)}"

    console = Terminal()
    for line in fields(as_values(recipe), ""):
        _say(console, line)
    return ExitCode.DONE


def _nested(values: list[Any]) -> bool:
    return isinstance(values[0], dict)


def _given(values: Mapping[str, Any]) -> dict[str, Any]:
    """Without what was not given."""
    found = {k: _given(v) if isinstance(v, dict) else v for k, v in values.items()}
    return {name: value for name, value in found.items() if value not in (None, {})}


def _prepare(plan: TrainingPlan, jobs: int, console: Console, stop: Stop) -> bool:
    """Make what training needs; False if a signal ended it."""
    try:
        with Bars(console) as bars, stop.leaving_at_once():
            plan.recipe.prepare(plan.out, jobs, bars.update)
    except SystemExit:
        return False
    return True


def _launch(work: Any, plan: TrainingPlan, processes: int, stop: Stop) -> bool:
    rendezvous = plan.out / f"rendezvous-{os.getpid()}"
    rendezvous.unlink(missing_ok=True)  # of an earlier process with this number
    try:
        uri = rendezvous.resolve().as_uri()
        return launch(functools.partial(work, rendezvous=uri), processes, stop)
    finally:
        rendezvous.unlink(missing_ok=True)


def _stopped(console: Console, stop: Stop) -> int:
    """Say what ended the run; its exit code."""
    number = stop.signal or signal.SIGINT
    name = signal.Signals(number).name
    _say(console, f"stopped by {name}: the same command goes on where it stands")
    return 128 + number


def _work(
    rank: int,
    stop: Callable[[], bool],
    *,
    plan: TrainingPlan,
    processes: int,
    until: float | None,
    rendezvous: str,
) -> bool:
    """One training process: every phase in turn; True if all of them are done."""
    import cv2
    import torch
    import torch.distributed as dist
    from streamavis_training import distributed
    from streamavis_training.devices import device_of

    from streamavis.device import place

    console = Terminal(quiet=rank > 0)
    handler = logging.StreamHandler()
    handler.setFormatter(PlainFormatter())
    logging.basicConfig(level=logging.WARNING if rank == 0 else logging.ERROR, handlers=[handler])
    named = plan.threads or int(os.environ.get("OMP_NUM_THREADS", 0))
    torch.set_num_threads(named or _jobs(processes))
    cv2.setNumThreads(1)
    if rank == 0:
        trainer = plan.recipe.trainer
        _say(console, f"{plan.out.name} {place(trainer.device, trainer.precision)}")
    device = device_of(plan.recipe.trainer.device, int(os.environ.get("LOCAL_RANK", rank)))
    if processes > 1:
        # A kernel of one channel lies in memory in two ways at once: nothing is slower for it.
        warnings.filterwarnings("ignore", "Grad strides do not match bucket view strides")
        distributed.join(rank, processes, device, rendezvous)

    def enough() -> bool:
        return stop() or (until is not None and time.time() > until)

    start = _checkpoint(plan)
    # What a run goes on from has what its earlier phases found.
    recipe = plan.recipe if start is None else replace(plan.recipe, init=str(start))
    phases = recipe.phases(plan.out)
    try:
        with Bars(console) as bars:
            return all(
                _phase(phase, phase is phases[-1], plan, console, bars, enough) for phase in phases
            )
    finally:
        if processes > 1:
            dist.destroy_process_group()


def _phase(
    phase: Phase,
    last: bool,
    plan: TrainingPlan,
    console: Console,
    bars: Bars,
    stop: Callable[[], bool],
) -> bool:
    """Train one phase to its end; False if it was stopped before."""
    from streamavis_training.initialise import initialise
    from streamavis_training.trainer import Trainer

    task = phase.task()
    if last and _checkpoint(plan) is None and plan.recipe.init is not None:
        report = initialise(task.network, plan.recipe.init)
        for line in report.lines():
            _say(console, line)
        if not console.quiet:
            phase.folder.mkdir(parents=True, exist_ok=True)
            whole = {"taken": report.taken, "left": report.left, "missing": report.missing}
            (phase.folder / "init.json").write_text(json.dumps(whole, indent=1) + "\n")
    notes = {"command": command_line(), "seed": str(phase.trainer.seed), **plan.recipe.notes()}
    trainer = Trainer(
        task, phase.folder, phase.trainer, notes=notes, resume=plan.resume, pace=phase.pace
    )
    if trainer.step:
        _say(console, f"{phase.title}: goes on at step {trainer.step} of {phase.trainer.steps}")

    def report_step(step: Step) -> None:
        if phase.trainer.minutes:  # seconds, whose end is known
            end = math.ceil(60 * phase.trainer.minutes)
            done, note = min(int(step.seconds), end), f"step {step.step}  {_describe(step)}"
            bars.update(phase.title, done, end, note)
            return
        bars.update(phase.title, step.step, phase.trainer.steps, _describe(step))

    return trainer.run(report_step, stop)


def _checkpoint(plan: TrainingPlan) -> Path | None:
    """Where the run goes on; None: it begins."""
    from streamavis_training.run_state import CHECKPOINT

    ours = plan.out / CHECKPOINT
    return ours if ours.exists() else plan.resume


def _describe(step: Step) -> str:
    largest = sorted(step.terms, key=lambda name: -step.terms[name])[:4]
    terms = "  ".join(f"{name} {step.terms[name]:.2f}" for name in largest)
    waited = step.waited_s / max(step.seconds, 1e-9)
    late = f"  waits for data {waited:.0%}" if waited > 0.05 else ""
    return f"loss {step.loss:.2f}  {terms}{late}"


def _processes(plan: TrainingPlan) -> int:
    if plan.processes is not None:
        return plan.processes
    import torch

    if plan.recipe.trainer.device in ("auto", "cuda") and torch.cuda.is_available():
        return torch.cuda.device_count()
    return 2


def _jobs(processes: int) -> int:
    """Cores for each process."""
    return max(1, cores() // processes)


def _say(console: Console, line: str) -> None:
    console.print(line, markup=False, soft_wrap=True)
