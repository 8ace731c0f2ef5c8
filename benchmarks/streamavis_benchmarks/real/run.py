"""`streamavis bench real`: everything that is measured, the table, the JSON and the sheet."""

from __future__ import annotations

import math
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import cv2
import numpy as np
from rich import box
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from streamavis_apps.exits import ExitCode, stop_on_signals
from streamavis_apps.figures import write
from streamavis_apps.machine import machine
from streamavis_apps.terminal import Terminal

from streamavis import checkpoint
from streamavis.errors import InputError
from streamavis_benchmarks.real import goals, pack
from streamavis_benchmarks.real.composed import SOUNDS, ComposedUnit, NoAudioUnit, read_composed
from streamavis_benchmarks.real.endless import EndlessUnit, one_minute
from streamavis_benchmarks.real.pictures import SceneUnit
from streamavis_benchmarks.real.recordings import ClipUnit, SilentUnit
from streamavis_benchmarks.real.sheet import write_sheet
from streamavis_benchmarks.real.speed import step_ms
from streamavis_benchmarks.real.work import Job, StoppedError, Weights, do_all

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from rich.console import Console

    from streamavis_benchmarks.real.measured import Measured

__all__ = ["RealPlan", "run"]

_FAST_PICTURES, _FAST_CLIPS, _FAST_FPS = 40, 6, 5.0
_FPS = 10.0
_DRAWN_PICTURES, _DRAWN_CLIPS = 24, 12  # on the sheet
_STEPS = 150
_LINE_S = 30.0  # between lines where there is no terminal


@dataclass(frozen=True, kw_only=True)
class RealPlan:
    """What to measure."""

    model: str
    data: Path
    composed: Path | None = None  # None: its rows stay empty
    clips: tuple[Path, ...] = ()  # more folders with a truth.json
    no_audio: str | None = (
        None  # a model that was trained without sound; None: this one without a microphone
    )
    split: Literal["val", "test"] = "test"
    minutes: float = 0.0  # of the endless stream; 0: not measured
    score_on: float | None = None
    score_off: float | None = None
    fast: bool = False
    jobs: int = 1
    threads: int = 2  # of the speed measurement
    json: Path | None = None
    sheet: Path | None = None


def run(plan: RealPlan, *, console: Console | None = None) -> ExitCode:
    """Measure, print the tables and write the files.

    Raises:
        StreamAVISError: model or data are not usable, or an output cannot be written.
    """
    console = console or Terminal()
    classes = checkpoint.configuration(plan.model).classes
    split, jobs = _jobs(plan, classes)
    weights = Weights(
        plan.model, plan.no_audio, plan.score_on, plan.score_off, _FAST_FPS if plan.fast else _FPS
    )
    total = sum(job.unit.weight for job in jobs)
    columns = (TextColumn("measuring"), BarColumn(), MofNCompleteColumn(), TextColumn("frames"))
    with (
        stop_on_signals() as stop,
        Progress(
            *columns, TimeRemainingColumn(), console=console, disable=not console.is_terminal
        ) as progress,
    ):
        task = progress.add_task("", total=round(total))
        said = _Lines(console, total)
        try:
            found = do_all(
                jobs,
                weights,
                processes=plan.jobs,
                stopped=stop.event.is_set,
                progress=lambda done: (
                    progress.update(task, completed=done)
                    if console.is_terminal
                    else said.update(done)
                ),
            )
        except StoppedError:
            console.print("stopped; nothing was written")
            return stop.exit_code
    extra, scores = _extra(plan, weights, split, found)
    lines = goals.lines(found.counts, extra)
    _print(console, plan, lines, found)
    if plan.sheet is not None:
        write_sheet(plan.sheet, found.tiles)
        console.print(f"sheet    {plan.sheet}", markup=False, soft_wrap=True)
    write(console, plan.json, _document(plan, lines, found, extra, scores))
    return ExitCode.DONE


class _Lines:
    """How far it is, where there is no terminal: a line now and then."""

    def __init__(self, console: Console, total: float) -> None:
        self._console, self._total = console, total
        self._start_s = self._line_s = time.monotonic()

    def update(self, done: int) -> None:
        now_s = time.monotonic()
        if not done or now_s - self._line_s < _LINE_S:
            return
        self._line_s = now_s
        left_s = (now_s - self._start_s) * max(self._total / done - 1, 0)
        line = f"{done} of about {self._total:.0f} frames, {left_s / 60:.1f} min left"
        self._console.print(line, markup=False, soft_wrap=True)


def _jobs(plan: RealPlan, classes: tuple[str, ...]) -> tuple[Any, list[Job]]:
    """The composed split, if there is one, and everything that is to be done."""
    jobs = [Job(unit) for unit in (*_recordings(plan), *_pictures(plan))]
    split = None
    if plan.composed is not None:
        sounds = pack.off_screen_sounds(plan.data, plan.split)
        limit = _FAST_CLIPS if plan.fast else None
        split, composed = read_composed(plan.composed, classes, sounds, limit)
        every = -(-len(composed) // _DRAWN_CLIPS)
        for one in composed:
            heard = [sound for sound in SOUNDS if sound not in sounds or sound in one.off_screen]
            drawn = plan.sheet is not None and one.number % every == 0
            jobs += [Job(ComposedUnit(one, s, drawn and s in ("own", "silence"))) for s in heard]
            jobs.append(
                Job(NoAudioUnit(one, own=plan.no_audio is None), no_audio=plan.no_audio is not None)
            )
        if plan.minutes:
            clips, seconds = one_minute(composed)
            rounds = max(2, round(60 * plan.minutes / seconds))
            jobs.insert(0, Job(EndlessUnit(clips, rounds)))  # the longest first
    if not jobs:
        raise InputError(
            f"{plan.data}: holds no eval_clips/truth.json, no scenes/scenes*.json and no silent "
            "clips; name the folder of evaluation data, or give --composed"
        )
    return split, jobs


def _recordings(plan: RealPlan) -> list[ClipUnit | SilentUnit]:
    """Final figures only: none of them for a choice made on `val`."""
    if plan.split == "val":
        return []
    drawn = plan.sheet is not None
    folders = (plan.data / "eval_clips", plan.data / "clips", *plan.clips)
    known = [ClipUnit(clip, drawn) for folder in folders for clip in pack.read_clips(folder)]
    return [*known, *(SilentUnit(path, drawn) for path in pack.silent_clips(plan.data))]


def _pictures(plan: RealPlan) -> list[SceneUnit]:
    scenes = pack.read_scenes(plan.data, plan.split)
    chosen = list(pack.every(scenes, _FAST_PICTURES if plan.fast else None))
    every = -(-len(chosen) // _DRAWN_PICTURES) or 1
    drawn = plan.sheet is not None
    return [SceneUnit(scene, drawn and place % every == 0) for place, scene in enumerate(chosen)]


def _extra(
    plan: RealPlan, weights: Weights, split: Any, found: Measured
) -> tuple[goals.Extra, dict[str, dict[str, dict[str, float]]]]:
    """Scores of the composed clips, by twin and protocol, and the speed."""
    from streamavis_training.prediction import score

    scores = {}
    if split is not None:
        limit = _FAST_CLIPS if plan.fast else None
        ids = [clip.id for clip in split.clips[:limit]]
        scores = {twin: score(split, some, ids) for twin, some in found.predictions.items()}
    corrected = {twin: one["corrected"] for twin, one in scores.items()}
    setting = weights.setting(plan.model, lambda: None)
    step = step_ms(setting, _shown(plan), plan.threads, _STEPS // 3 if plan.fast else _STEPS)
    own, no_audio = corrected.get("own", {}), corrected.get("no_audio", {})
    return goals.Extra(own, no_audio, step, plan.threads), scores


def _shown(plan: RealPlan) -> list[NDArray[np.uint8]]:
    """Pictures to measure the speed with: real ones where there are any."""
    paths = [scene.path for scene in pack.every(pack.read_scenes(plan.data, plan.split), 8)]
    read = (cv2.imread(str(path), cv2.IMREAD_COLOR_RGB) for path in paths)
    shown = [np.asarray(picture, np.uint8) for picture in read if picture is not None]
    drawn = np.random.default_rng(0).integers(0, 256, (360, 640, 3), dtype=np.uint8)
    return shown or [drawn]


def _print(console: Console, plan: RealPlan, lines: list[goals.Line], found: Measured) -> None:
    fast = ", a part of the data" if plan.fast else ""
    title = f"{Path(plan.model).stem} on real data, split {plan.split}{fast}"
    table = Table(title=title, box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
    table.add_column("", width=6, no_wrap=True)
    table.add_column("what")
    table.add_column("goal")
    table.add_column("measured")
    for line in lines:
        style = {True: "green", False: "red", None: "dim"}[line.met]
        table.add_row(line.verdict, line.what, line.goal, line.value, style=style)
    console.print(table)
    classes = goals.class_table(found.counts)
    table = Table(title="whole pictures, by class", box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("class")
    for column in ("objects", "recall", "reports", "precision"):
        table.add_column(column, justify="right")
    for name, one in classes.items():
        recall = _ratio(one["found"], one["objects"])
        precision = _ratio(one["reported right"], one["reported"])
        counted = f"{one['objects']:.0f}", recall, f"{one['reported']:.0f}", precision
        table.add_row(name, *counted)
    if classes:
        console.print(table)


def _ratio(part: float, whole: float) -> str:
    return f"{part / whole:.2f}" if whole else "-"


def _document(
    plan: RealPlan,
    lines: list[goals.Line],
    found: Measured,
    extra: goals.Extra,
    scores: dict[str, dict[str, dict[str, float]]],
) -> dict[str, Any]:
    return {
        "benchmark": "real",
        "model": plan.model,
        "data": str(plan.data),
        "composed": str(plan.composed) if plan.composed else None,
        "split": plan.split,
        "fast": plan.fast,
        "score_on": plan.score_on,
        "score_off": plan.score_off,
        "without_sound": plan.no_audio
        or "the model without a microphone, everything in view sounds",
        "goals": [
            {
                "what": line.what,
                "goal": line.goal,
                "measured": line.value,
                "met": line.met,
                "figure": _finite(line.figure),
            }
            for line in lines
        ],
        "classes": goals.class_table(found.counts),
        "scores": {
            twin: {
                protocol: {name: _finite(value) for name, value in one.items()}
                for protocol, one in protocols.items()
            }
            for twin, protocols in scores.items()
        },
        "step": extra.step | {"threads": extra.threads},
        "counts": dict(sorted(Counter(found.counts).items())),
        "machine": machine(),
    }


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
