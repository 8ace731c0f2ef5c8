"""Pieces of work in one or several processes, with progress by frames and a clean stop."""

from __future__ import annotations

import multiprocessing
import signal
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from streamavis import checkpoint
from streamavis.errors import InputError
from streamavis.runtime.tracks import TrackConfig
from streamavis_benchmarks.real.measured import Measured, Setting
from streamavis_benchmarks.real.wrapped import WrappedNetwork

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from streamavis.runtime.post import SlotOutput
    from streamavis.runtime.step import StepModel
    from streamavis_benchmarks.real.measured import Unit

__all__ = ["Job", "StoppedError", "Weights", "do_all"]

_POLL_S = 0.2


@dataclass(frozen=True)
class Weights:
    """What a process loads."""

    model: str
    no_audio: str | None  # the model that was trained without sound
    score_on: float | None  # None: as the model was made for
    score_off: float | None
    fps: float

    def setting(self, name: str, watch: Callable[[], None]) -> Setting:
        """Load the model, or the twin, to be watched at each step.

        Raises:
            CheckpointError: the file is not usable.
        """
        network = checkpoint.load(name)
        tracks = TrackConfig(
            score_on=network.config.score_on if self.score_on is None else self.score_on,
            score_off=network.config.score_off if self.score_off is None else self.score_off,
        )
        return Setting(_Watched(network, watch), tracks, self.fps)


@dataclass(frozen=True)
class Job:
    """A piece of work, and which network it is for."""

    unit: Unit
    no_audio: bool = False  # the model that was trained without sound


class StoppedError(Exception):
    """Ctrl-C or SIGTERM stopped the run."""


class _Watched(WrappedNetwork):
    """A network that calls `watch` before each step; `watch` may raise to stop it."""

    def __init__(self, network: StepModel, watch: Callable[[], None]) -> None:
        super().__init__(network)
        self._watch = watch

    def step(self, *args: Any, **kwargs: Any) -> SlotOutput:
        self._watch()
        return self._network.step(*args, **kwargs)


def do_all(
    jobs: Sequence[Job],
    weights: Weights,
    *,
    processes: int,
    stopped: Callable[[], bool],
    progress: Callable[[int], None],
) -> Measured:
    """Do every job and add up what they found.

    Args:
        jobs: in any order.
        weights: loaded once by each process.
        processes: 1: this one. Each has one thread of torch.
        stopped: asked now and then.
        progress: called with the frames done so far.

    Raises:
        StoppedError: `stopped` said so; nothing goes on.
        InputError: a file of the data is not usable, or a process was ended from outside.
    """
    if processes == 1:
        return _alone(jobs, weights, stopped, progress)
    context = multiprocessing.get_context("spawn")
    halt, steps = context.Event(), context.Value("q", 0)
    found: dict[int, Measured] = {}
    with ProcessPoolExecutor(
        processes, context, initializer=_prepare, initargs=(weights, halt, steps)
    ) as pool:
        waiting = {pool.submit(_do, job): place for place, job in enumerate(jobs)}
        try:
            while waiting:
                finished, _ = wait(waiting, _POLL_S, FIRST_COMPLETED)
                for future in finished:
                    found[waiting.pop(future)] = future.result()
                progress(steps.value)
                if stopped():
                    raise StoppedError
        except BrokenProcessPool as error:
            raise InputError(
                "a process was ended from outside, often because memory ran out; "
                "run it again with fewer --jobs"
            ) from error
        finally:
            halt.set()
            pool.shutdown(cancel_futures=True)
    total = Measured()
    for place in sorted(found):  # the sheet's order is that of the jobs
        total.add(found[place])
    return total


def _alone(
    jobs: Sequence[Job],
    weights: Weights,
    stopped: Callable[[], bool],
    progress: Callable[[int], None],
) -> Measured:
    steps = 0

    def watch() -> None:
        nonlocal steps
        if stopped():
            raise StoppedError
        steps += 1
        progress(steps)

    settings = _settings(jobs, weights, watch)
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    total = Measured()
    try:
        for job in jobs:
            total.add(job.unit.measure(settings[job.no_audio]))
    finally:
        torch.set_num_threads(before)
    return total


def _settings(
    jobs: Sequence[Job], weights: Weights, watch: Callable[[], None]
) -> dict[bool, Setting]:
    settings = {False: weights.setting(weights.model, watch)}
    if weights.no_audio is not None and any(job.no_audio for job in jobs):
        settings[True] = weights.setting(weights.no_audio, watch)
    return settings


_state: dict[bool, Setting] = {}  # of a worker process: the model's, and the one without sound


def _prepare(weights: Weights, halt: Any, steps: Any) -> None:
    import cv2

    def watch() -> None:
        if halt.is_set():
            raise StoppedError
        with steps.get_lock():
            steps.value += 1

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent says when to stop
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    _state[False] = weights.setting(weights.model, watch)
    if weights.no_audio is not None:
        _state[True] = weights.setting(weights.no_audio, watch)


def _do(job: Job) -> Measured:
    return job.unit.measure(_state[job.no_audio])
