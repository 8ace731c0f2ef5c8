"""`streamavis bench soak --steps N`: does a network stay what it was, however long it runs?

One stream is stepped N times. Then the aged state and a fresh one step in turns in the same
process, and a copy of the aged state with reset counters must give the same outputs, bit for bit.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, TypedDict

import numpy as np
import torch
from rich.progress import Progress
from streamavis_apps.exits import ExitCode, Stop, stop_on_signals
from streamavis_apps.figures import write
from streamavis_apps.machine import machine, resident_bytes
from streamavis_apps.terminal import Terminal
from streamavis_kernels import backend
from torch import Tensor

from streamavis import checkpoint
from streamavis.types import WINDOW_SAMPLES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from rich.console import Console
    from streamavis_apps.machine import Machine

    from streamavis.model import ModelState, StepOutput, StreamAVIS

__all__ = ["GROWTH_MIB", "RATIO", "ModelSoak", "SoakFigures", "growth_mib", "run"]

GROWTH_MIB = 1.0  # goal: resident memory may grow less than this over the last 90 % of the steps
RATIO = 1.02  # goal: a step of the aged state may take this much of a fresh one's time
# Between frames. A binary fraction: times are exact however late it is.
_PERIOD_S = 0.125
_SCENES = 64  # pictures and sounds, taken at random
_READINGS = 1000  # of resident memory


class SoakFigures(TypedDict):
    """What is measured, and on what, ready for JSON."""

    benchmark: str
    model: str
    size: tuple[int, int]  # height, width of the network's pictures
    steps: int
    seconds: float
    stream_hours: float  # that the steps stand for
    resident_mib: dict[str, float]  # by when
    growth_mib: float | None  # along the fitted line; None: this system does not tell
    step_ms: dict[str, float]  # medians, by state
    ratio: float  # of the medians, aged to fresh
    pairs: int
    finite: bool
    equal: bool
    kernels: str
    torch_threads: int
    goals_met: bool
    machine: Machine


@dataclass
class ModelSoak:
    """A network and its repeated input."""

    network: StreamAVIS
    frames: Tensor  # (scenes, 3, h, w) uint8
    audio: Tensor  # (scenes, 15360)
    order: np.random.Generator

    @classmethod
    def of(cls, network: StreamAVIS, size: tuple[int, int], seed: int = 0) -> ModelSoak:
        """Random scenes of `size` (height, width)."""
        rng = torch.Generator().manual_seed(seed)
        frames = torch.randint(0, 256, (_SCENES, 3, *size), generator=rng, dtype=torch.uint8)
        audio = torch.rand(_SCENES, WINDOW_SAMPLES, generator=rng) - 0.5
        return cls(network, frames, audio, np.random.default_rng(seed))

    def scene(self) -> int:
        """The number of the next scene."""
        return int(self.order.integers(_SCENES))

    def step(self, state: ModelState, n: int, scene: int) -> StepOutput:
        """Step `state` at the time of frame `n`."""
        times_s = torch.tensor([n * _PERIOD_S], dtype=torch.float64)
        one = slice(scene, scene + 1)
        return self.network.step(self.frames[one], self.audio[one], state, times_s=times_s)

    def age(self, state: ModelState, steps: int) -> Iterator[bool]:
        """Step `state` on, yielding after each whether all that was said is finite."""
        for n in range(steps):
            yield _finite(self.step(state, n, self.scene()))

    def compare(self, aged: ModelState, n: int, pairs: int) -> dict[str, float]:
        """Median milliseconds of a step, aged and fresh alternately; `n`: the aged one's frame."""
        states = {"aged": (aged, n), "fresh": (self.network.init_state(1), 0)}
        taken: dict[str, list[float]] = {name: [] for name in states}
        for pair in range(pairs):
            scene = self.scene()
            order = list(states) if pair % 2 else list(states)[::-1]
            for name in order:
                state, first = states[name]
                began = time.perf_counter()
                self.step(state, first + pair, scene)
                taken[name].append(time.perf_counter() - began)
        return {name: float(np.median(values)) * 1e3 for name, values in taken.items()}

    def is_equal(self, aged: ModelState, n: int, steps: int) -> bool:
        """Whether equal memories give equal outputs: a copy of `aged` has reset counters."""
        rules = self.network.config.memory
        reset = aged.clone()
        counters = reset.counters
        # Whole turns of the ring, and whole strides of time, are taken off.
        turns = (counters.written - rules.places) // rules.window
        counters.written -= turns.clamp_min(0) * rules.window
        frames_per_stride = rules.stride_s / _PERIOD_S
        # An even number of them: what lies halfway between two is rounded to the even one.
        strides = (int(n / frames_per_stride) - 1) // 2 * 2
        if frames_per_stride != int(frames_per_stride):
            strides = 0  # the grid of times would move
        counters.last_tick -= strides
        counters.last_s -= strides * rules.stride_s
        earlier = n - strides * int(frames_per_stride)
        same = True
        for step in range(steps):
            scene = self.scene()
            a = self.step(aged, n + step, scene)
            b = self.step(reset, earlier + step, scene)
            same &= all(
                torch.equal(x, y)
                for x, y in zip(a.tensors().values(), b.tensors().values(), strict=True)
            )
        return same


def run(
    model: str,
    *,
    steps: int,
    size: tuple[int, int] = (64, 96),
    pairs: int = 2000,
    json_path: Path | None = None,
    console: Console | None = None,
    stop: Stop | None = None,
) -> ExitCode:
    """Step `model` `steps` times, compare, print and write the figures.

    Args:
        model: shipped name or file.
        steps: of one stream, 8 a second of its time.
        size: (height, width) of the pictures the network is given.
        pairs: steps of the aged and of a fresh state that are timed alternately.
        json_path: where the figures go as well; replaced.
        console: standard output by default.
        stop: ends the run early; SIGINT and SIGTERM do by default.

    Returns:
        DONE when every goal is met, else FAILED; INTERRUPTED when stopped.

    Raises:
        StreamAVISError: the model is not usable, or `json_path` is not writable.
    """
    console = console or Terminal()
    about = machine()
    soak = ModelSoak.of(checkpoint.load(model), size)
    state = soak.network.init_state(1)
    with stop_on_signals(stop) as stop, torch.inference_mode():
        began = time.monotonic()
        readings, finite = _age(soak, state, steps, console, stop)
        seconds = time.monotonic() - began
        if stop.event.is_set():
            return stop.exit_code
        medians = soak.compare(state, steps, pairs)
        equal = soak.is_equal(state, steps + pairs, min(pairs, 100))
    growth = growth_mib(readings)
    ratio = medians["aged"] / medians["fresh"]
    small = growth is None or growth < GROWTH_MIB
    figures: SoakFigures = {
        "benchmark": "soak",
        "model": model,
        "size": size,
        "steps": steps,
        "seconds": round(seconds, 1),
        "stream_hours": round(steps * _PERIOD_S / 3600, 2),
        "resident_mib": _when(readings),
        "growth_mib": None if growth is None else round(growth, 3),
        "step_ms": {name: round(value, 3) for name, value in medians.items()},
        "ratio": round(ratio, 4),
        "pairs": pairs,
        "finite": finite,
        "equal": equal,
        "kernels": backend(),
        "torch_threads": torch.get_num_threads(),
        "goals_met": finite and equal and small and ratio <= RATIO,
        "machine": about,
    }
    _print(console, figures)
    write(console, json_path, figures)
    return ExitCode.DONE if figures["goals_met"] else ExitCode.FAILED


def _age(
    soak: ModelSoak, state: ModelState, steps: int, console: Console, stop: Stop
) -> tuple[list[tuple[int, int]], bool]:
    """Step until `steps` or a stop; returns (step, resident bytes) now and then, and `finite`."""
    every = max(1, steps // _READINGS)
    readings: list[tuple[int, int]] = []
    finite = True
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("stepping", total=steps)
        for n, fine in enumerate(islice(soak.age(state, steps), steps)):
            finite &= fine
            if n % every == 0:
                resident = resident_bytes()
                if resident is not None:
                    readings.append((n, resident))
                progress.update(task, completed=n)
            if not console.is_terminal and n and n % max(1, steps // 10) == 0:
                console.print(f"{n:,} of {steps:,} steps", markup=False)
            if stop.event.is_set():
                break
    return readings, finite


def growth_mib(readings: list[tuple[int, int]]) -> float | None:
    """How much memory grew over the last 90 % of the steps, along the line of least squares.

    Args:
        readings: (step, bytes), in order.
    """
    last = readings[len(readings) // 10 :]
    if len(last) < 2:
        return None
    steps, resident = np.array(last, np.float64).T
    slope = np.polyfit(steps - steps[0], resident, 1)[0]
    return float(slope * (steps[-1] - steps[0])) / 2**20


def _when(readings: list[tuple[int, int]]) -> dict[str, float]:
    names = {"first": 0, "after 10 %": len(readings) // 10, "last": -1}
    return {name: round(readings[i][1] / 2**20, 1) for name, i in names.items() if readings}


def _finite(output: StepOutput) -> bool:
    return all(bool(value.isfinite().all()) for value in output.tensors().values())


def _print(console: Console, figures: SoakFigures) -> None:
    about, growth = figures["machine"], figures["growth_mib"]
    memory = "this system does not tell resident memory"
    if growth is not None:
        resident = ", ".join(f"{name} {mib:.1f}" for name, mib in figures["resident_mib"].items())
        memory = f"memory: {growth:+.3f} MiB over the last 90 % (goal < {GROWTH_MIB:g}); {resident}"
    aged, fresh = (figures["step_ms"][name] for name in ("aged", "fresh"))
    yes: Callable[[Any], str] = lambda fact: "yes" if fact else "NO"  # noqa: E731
    for line in (
        f"{figures['steps']:,} steps ({figures['stream_hours']:g} hours of a stream) of "
        f"{figures['model']} in {figures['seconds']:.0f} s",
        memory,
        f"time: a step {aged:.2f} ms aged, {fresh:.2f} ms fresh, alternately; ratio "
        f"{figures['ratio']:.3f} (goal <= {RATIO:g})",
        f"outputs finite: {yes(figures['finite'])}; equal where memories are equal: "
        f"{yes(figures['equal'])}",
        f"goals met: {yes(figures['goals_met'])}",
        f"{about['cpu']}, {about['cores']} cores, load {about['load_1min']}; "
        f"{figures['torch_threads']} torch threads, {figures['kernels']} kernels",
    ):
        console.print(line, markup=False, soft_wrap=True)
