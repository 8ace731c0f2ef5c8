"""`streamavis segment`: a recording through the offline network."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich import box
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from streamavis.errors import OutputError
from streamavis.io.container import BEST, Tracks
from streamavis.io.media import MediaSource
from streamavis.io.pictures import fitted
from streamavis.io.record import Recorder
from streamavis.io.sampled import frames_at
from streamavis.offline import check_source, load_offline, segment
from streamavis.viz import draw
from streamavis_apps.commands.options import AUTO, Compute
from streamavis_apps.exits import ExitCode, stop_on_signals
from streamavis_apps.loading import placed
from streamavis_apps.terminal import Terminal

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from rich.console import Console

    from streamavis.errors import TruncatedInputError
    from streamavis.offline import ClipResult, OfflineModel
    from streamavis_apps.exits import Stop

__all__ = ["Segmenting", "run"]


@dataclass(frozen=True, kw_only=True)
class Segmenting:
    """What to segment, with what, and where the results go."""

    source: Path
    model: Path
    out: Path
    tracks: Tracks = BEST
    vggish: Path | None = None  # weights; None: those kept in `model`
    features: Path | None = None  # .npy instead of hearing
    mute: bool = False  # take it as silent instead of hearing
    fps: float = 1.0
    threshold: float = 0.3
    compute: Compute = AUTO


def run(plan: Segmenting, *, console: Console | None = None) -> ExitCode:
    """Segment a recording and write what was found.

    Returns:
        INTERRUPTED or, after SIGTERM, DONE where it was stopped: at once after the frame it was at.

    Raises:
        TruncatedInputError: the recording broke off; the results hold what could be decoded.
        StreamAVISError: an input is not usable, or an output cannot be written.
    """
    console = console or Terminal()
    check_source(plan.source)
    placement = placed(console, plan.model.name, plan.compute)
    model = load_offline(plan.model, device=placement, vggish=plan.vggish)
    with stop_on_signals() as stop:
        try:
            truncated = _segment(plan, model, console, stop)
        except _StoppedError as where:
            console.print(f"stopped while {where}", markup=False, soft_wrap=True)
            return stop.exit_code
    if truncated is not None:
        raise truncated
    return ExitCode.DONE


_STAGES = ("hearing", "seeing", "drawing", "writing")


class _StoppedError(Exception):
    """Ctrl-C or SIGTERM stopped it."""


def _segment(
    plan: Segmenting, model: OfflineModel, console: Console, stop: Stop
) -> TruncatedInputError | None:
    """Listen, see, draw and write; returns how the recording broke off, if it did."""
    columns = (TextColumn("{task.description:8}"), BarColumn(), MofNCompleteColumn())
    with Progress(
        *columns, TimeRemainingColumn(), console=console, disable=not console.is_terminal
    ) as progress:
        tasks = {stage: progress.add_task(stage, total=None) for stage in _STAGES}

        def show(stage: str, done: int, total: int | None) -> None:
            progress.update(tasks[stage], completed=done)
            for task in tasks.values() if total is not None else ():
                progress.update(task, total=total)
            if stage == "seeing" and done == 1:  # what is refused leaves no folder behind
                _make(plan.out)
            if stop.event.is_set():
                kept = "; results.json is complete" if stage == "writing" else ""
                raise _StoppedError(f"{stage}, after frame {done} of {plan.source.name}{kept}")

        found = segment(
            plan.source,
            model,
            fps=plan.fps,
            threshold=plan.threshold,
            features=plan.features,
            mute=plan.mute,
            tracks=plan.tracks,
            progress=show,
        )
        _write_results(plan, found)
        for n, _ in enumerate(_annotate(plan, found), start=1):
            show("writing", n, len(found))
    _print(console, plan, found)
    return found.broke_off


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{folder}: cannot be made: {error.strerror}") from error


def _write_results(plan: Segmenting, found: ClipResult) -> None:
    """One entry per object, as AVISeg's evaluation takes them."""
    entries = [
        {
            "video_id": 1,
            "category_id": track.class_id + 1,
            "score": track.score,
            "segmentations": [{"size": rle.size, "counts": rle.counts} for rle in track.rles],
        }
        for track in found.tracks
    ]
    path = plan.out / "results.json"
    try:
        path.write_text(json.dumps(entries) + "\n")
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror}") from error


def _annotate(plan: Segmenting, found: ClipResult) -> Iterator[None]:
    """Write the annotated video, yielding after each frame."""
    height, width = found.size
    sound = plan.source if found.has_audio else None
    path = plan.out / "annotated.mp4"
    with (
        MediaSource(plan.source, tracks=plan.tracks) as source,
        Recorder(path, width, height, fps=plan.fps, sound=sound, tracks=plan.tracks) as recorder,
    ):
        for frame, result in zip(frames_at(source, plan.fps), found, strict=False):
            image = draw(fitted(frame.image, height, width), result)
            recorder.write(image, result.capture_time_ns)
            yield


def _print(console: Console, plan: Segmenting, found: ClipResult) -> None:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
    table.add_column("id", justify="right")
    table.add_column("object")
    table.add_column("score", justify="right")
    table.add_column("sounds at, s")
    for track in found.tracks:
        spans = _spans(track.sounding.tolist(), plan.fps)
        table.add_row(str(track.id), track.label, f"{track.score:.2f}", spans)
    count = len(found.tracks)
    objects = "1 object" if count == 1 else f"{count} objects"
    sound = "" if found.has_audio else "; it has no sound, which was taken as silence"
    if plan.mute:
        sound = "; taken as silent"
    console.print(
        f"{plan.source.name}: {objects} in {len(found)} frames{sound}", markup=False, soft_wrap=True
    )
    if count:
        console.print(table)
    console.print(f"results  {plan.out / 'results.json'}", markup=False, soft_wrap=True)
    console.print(f"video    {plan.out / 'annotated.mp4'}", markup=False, soft_wrap=True)


def _spans(heard: list[bool], fps: float) -> str:
    """When, as "0-3, 7": from the first frame to the last of each run."""
    runs: list[list[int]] = []
    for index, on in enumerate(heard):
        if on and runs and runs[-1][1] == index - 1:
            runs[-1][1] = index
        elif on:
            runs.append([index, index])
    texts = (
        f"{first / fps:g}" if first == last else f"{first / fps:g}-{last / fps:g}"
        for first, last in runs
    )
    return ", ".join(texts) or "never"
