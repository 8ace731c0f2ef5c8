"""`streamavis predict`: every video of a split through a network, in one or several processes."""

from __future__ import annotations

import multiprocessing
import signal
import time
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import torch
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from streamavis import checkpoint
from streamavis.device import place
from streamavis.errors import InputError
from streamavis_apps.commands.options import AUTO, Compute
from streamavis_apps.exits import ExitCode, stop_on_signals
from streamavis_apps.loading import placed
from streamavis_apps.prediction.networks import Mode, load
from streamavis_apps.prediction.parts import Part, Parts, digest
from streamavis_apps.terminal import Terminal

if TYPE_CHECKING:
    from collections.abc import Iterator
    from multiprocessing.synchronize import Event
    from pathlib import Path

    from rich.console import Console
    from streamavis_training.prediction import Settings
    from streamavis_training.split import ClassMap, Clip, Split

    from streamavis_apps.exits import Stop
    from streamavis_apps.prediction.networks import Loaded

__all__ = ["Outcome", "PredictionPlan", "predict", "run"]

_LINE_S = 10.0  # between lines where there is no terminal
_POLL_S = 0.2


@dataclass(frozen=True, kw_only=True)
class PredictionPlan:
    """What to predict, with what, and where the predictions go."""

    data: Path
    model: str
    out: Path
    annotations: Path | None = None  # None: found in or beside `data`
    mode: Mode | None = None  # None: as the network was made
    vggish: Path | None = None
    window: int = 6  # of published weights
    objects: Literal["sounding", "visible"] | None = None  # None: sounding where there is sound
    threshold: float = 0.3  # of an offline network
    no_audio: bool = False
    limit: int | None = None
    jobs: int = 1
    compute: Compute = AUTO  # of each process; its cores, shared out, by default
    resume: bool = True
    keep: bool = False  # the parts of each video stay, for a run of more videos or another table


@dataclass(frozen=True)
class Outcome:
    """What became of a plan."""

    exit_code: ExitCode
    split: Split
    classes: ClassMap
    mode: Mode
    videos: tuple[int, ...]  # ids asked for
    objects: int  # predicted
    frames: int
    seconds: float  # of the network, pictures and sound read, added over processes
    complete: bool  # False: stopped before the last video

    @property
    def frames_per_s(self) -> float:
        """Of one process; NaN where nothing was predicted."""
        return self.frames / self.seconds if self.seconds else float("nan")


def run(plan: PredictionPlan, *, console: Console | None = None) -> ExitCode:
    """Predict and say where the results are and how to score them.

    Raises:
        StreamAVISError: weights or data are not usable, or the output cannot be written.
    """
    console = console or Terminal()
    done = predict(plan, console)
    if not done.complete:
        _say(console, "stopped; run the same command again to go on")
        return done.exit_code
    _say(
        console,
        f"{done.objects} objects in {len(done.videos)} videos, {done.frames} frames, "
        f"{done.frames_per_s:.2f} frames/s a process, {done.mode}",
    )
    _say(console, f"results  {plan.out}")
    _say(console, f"scores   streamavis eval --gt {done.split.source} --pred {plan.out}")
    return done.exit_code


def predict(plan: PredictionPlan, console: Console) -> Outcome:
    """Predict every video that an earlier run has not, then write the results.

    Raises:
        StreamAVISError: as `run`.
    """
    from streamavis_training.prediction import Settings
    from streamavis_training.split import match_classes, read_split

    split = read_split(plan.data, plan.annotations)
    path = checkpoint.find(plan.model)
    placement = placed(console, path.name, plan.compute)
    loaded = load(path, plan.mode, plan.vggish, window=plan.window, placement=placement)
    classes = match_classes(loaded.network.config.classes, split.categories)
    _report_classes(console, classes, loaded, split)
    objects = plan.objects or ("sounding" if split.has_sound else "visible")
    settings = Settings(objects=objects, threshold=plan.threshold, no_audio=plan.no_audio)
    parts = Parts(plan.out)
    about = {
        "model": digest(path),
        "VGGish": digest(plan.vggish) if plan.vggish else "in the model",
        "mode": loaded.mode,
        "window": str(plan.window),
        "data set": digest(split.source),
        "settings": repr(settings),
    }
    parts.open(about, resume=plan.resume)
    clips = split.clips[: plan.limit]
    todo = [clip for clip in clips if not parts.done(clip.id)]
    if len(todo) < len(clips):
        _say(console, f"{len(clips) - len(todo)} of {len(clips)} videos were predicted before")
    task = _Task(plan, path, settings, classes, parts)
    with stop_on_signals() as stop, _Bar(console, clips, todo) as bar:
        work = _alone(task, loaded, todo, stop, bar)
        if plan.jobs > 1:
            work = _together(task, todo, stop)
        for clip in work:
            bar.advance(clip)
    complete = all(parts.done(clip.id) for clip in clips)
    found: list[Part] = []
    if complete:
        found = parts.join([clip.id for clip in clips])
        if len(clips) == len(split.clips) and not plan.keep:
            parts.remove()
    return Outcome(
        exit_code=stop.exit_code,
        split=split,
        classes=classes,
        mode=loaded.mode,
        videos=tuple(clip.id for clip in clips),
        objects=sum(len(part.results) for part in found),
        frames=sum(part.frames for part in found),
        seconds=sum(part.seconds for part in found),
        complete=complete,
    )


@dataclass(frozen=True)
class _Task:
    """What a process needs to predict any video."""

    plan: PredictionPlan
    path: Path
    settings: Settings
    classes: ClassMap
    parts: Parts

    def predict(self, loaded: Loaded, clip: Clip, progress: Any) -> None:
        from streamavis_training.prediction import predict_video

        start = time.perf_counter()
        results = predict_video(
            loaded.network,
            clip,
            self.classes,
            settings=self.settings,
            vggish=loaded.vggish,
            progress=progress,
        )
        seconds = time.perf_counter() - start
        self.parts.write(clip.id, Part(results, len(clip.frames), seconds))


class _StoppedError(Exception):
    """Ctrl-C or SIGTERM in the middle of a video."""


def _alone(task: _Task, loaded: Loaded, clips: list[Clip], stop: Stop, bar: _Bar) -> Iterator[Clip]:
    """Predict in this process, the videos done; ends after the frame at which it is stopped."""
    if task.plan.compute.threads is not None:
        torch.set_num_threads(task.plan.compute.threads)

    def watch(stage: str, frames: int) -> None:
        if stop.event.is_set():
            raise _StoppedError
        bar.within(stage, frames)

    for clip in clips:
        if stop.event.is_set():
            return
        try:
            task.predict(loaded, clip, watch)
        except _StoppedError:
            return
        yield clip


def _together(task: _Task, clips: list[Clip], stop: Stop) -> Iterator[Clip]:
    """The same in several processes, each with the network loaded once.

    Raises:
        InputError: a process was ended from outside.
    """
    context = multiprocessing.get_context("spawn")
    halt = context.Event()
    jobs = min(task.plan.jobs, max(len(clips), 1))
    threads = task.plan.compute.threads or max(1, torch.get_num_threads() // jobs)
    with ProcessPoolExecutor(
        jobs, context, initializer=_prepare, initargs=(task, threads, halt)
    ) as pool:
        waiting = {pool.submit(_predict_one, clip): clip for clip in clips}
        try:
            while waiting:
                finished, _ = wait(waiting, _POLL_S, FIRST_COMPLETED)
                for future in finished:
                    clip = waiting.pop(future)
                    if future.result():
                        yield clip
                if stop.event.is_set():
                    break
        except BrokenProcessPool as error:
            raise InputError(
                "a process was ended from outside, often because memory ran out; the videos that "
                "were done are kept: run the same command again, with fewer --jobs"
            ) from error
        finally:
            halt.set()
            pool.shutdown(cancel_futures=True)


_state: dict[str, Any] = {}  # of a worker process


def _prepare(task: _Task, threads: int, halt: Event) -> None:
    import cv2

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent stops it
    torch.set_num_threads(threads)
    cv2.setNumThreads(1)
    plan = task.plan
    placement = place(plan.compute.device, plan.compute.dtype)
    loaded = load(task.path, plan.mode, plan.vggish, window=plan.window, placement=placement)
    _state.update(task=task, loaded=loaded, halt=halt)


def _predict_one(clip: Clip) -> bool:
    """Whether it was predicted; False where the run was stopped."""

    def watch(stage: str, frames: int) -> None:
        if _state["halt"].is_set():
            raise _StoppedError

    try:
        _state["task"].predict(_state["loaded"], clip, watch)
    except _StoppedError:
        return False
    return True


class _Bar:
    """How far it is: a bar with the time that is left, or a line now and then."""

    def __init__(self, console: Console, clips: tuple[Clip, ...], todo: list[Clip]) -> None:
        self._console, self._total = console, len(clips)
        self._done = len(clips) - len(todo)
        self._frames = sum(len(clip.frames) for clip in todo)
        self._frames_done = 0
        self._start_s = self._line_s = time.monotonic()
        at = TextColumn("{task.fields[at]}", markup=False)
        columns = (TextColumn("{task.description}"), BarColumn(), at)
        self._progress = Progress(
            *columns, TimeRemainingColumn(), console=console, disable=not console.is_terminal
        )
        self._task = self._progress.add_task("predicting", total=self._frames, at=self._at())

    def __enter__(self) -> _Bar:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def within(self, stage: str, frames: int) -> None:
        """A video is at a frame; what an offline network draws afterwards is not counted."""
        if stage != "drawing":
            self._progress.update(self._task, completed=self._frames_done + frames)

    def advance(self, clip: Clip) -> None:
        """A video is done."""
        self._done += 1
        self._frames_done += len(clip.frames)
        self._progress.update(self._task, completed=self._frames_done, at=self._at())
        now_s = time.monotonic()
        if not self._console.is_terminal and now_s - self._line_s >= _LINE_S:
            self._line_s = now_s
            left_s = (now_s - self._start_s) * (self._frames / self._frames_done - 1)
            _say(self._console, f"{self._at()}, {left_s / 60:.1f} min left")

    def _at(self) -> str:
        return f"{self._done} of {self._total} videos"


def _report_classes(console: Console, classes: ClassMap, loaded: Loaded, split: Split) -> None:
    known = sum(id_ is not None for id_ in classes.ids)
    total = len(loaded.network.config.classes)
    _say(console, f"{known} of the model's {total} classes are categories of {split.source.name}")
    if classes.unknown:
        _say(console, f"left out, not in the data set: {', '.join(classes.unknown)}")
    if classes.missing:
        _say(console, f"never predicted, the model lacks them: {', '.join(classes.missing)}")


def _say(console: Console, line: str) -> None:
    console.print(line, markup=False, soft_wrap=True)
