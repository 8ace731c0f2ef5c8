"""`streamavis segment`: a recording through the offline network."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from rich import box
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from streamavis import checkpoint
from streamavis.errors import InputError, OutputError
from streamavis.io.container import BEST, Tracks
from streamavis.io.locate import locate
from streamavis.io.media import MediaSource
from streamavis.io.pictures import fitted
from streamavis.io.record import Recorder
from streamavis.types import SAMPLE_RATE, WINDOW_SAMPLES, FrameResult, Track
from streamavis.viz import draw
from streamavis_apps.exits import ExitCode, stop_on_signals
from streamavis_apps.offline.recording_rows import frames_at, listen, ready_features
from streamavis_apps.terminal import Terminal

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from rich.console import Console

    from streamavis.audio.vggish import VGGish
    from streamavis.errors import TruncatedInputError
    from streamavis.model.avism import AVISM
    from streamavis.model.segmentation import Segments
    from streamavis_apps.exits import Stop
    from streamavis_apps.offline.recording_rows import Heard

__all__ = ["Segmenting", "run"]

_NS = 1_000_000_000


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


def run(plan: Segmenting, *, console: Console | None = None) -> ExitCode:
    """Segment a recording and write what was found.

    Returns:
        INTERRUPTED or, after SIGTERM, DONE where it was stopped: at once after the frame it was at.

    Raises:
        TruncatedInputError: the recording broke off; the results hold what could be decoded.
        StreamAVISError: an input is not usable, or an output cannot be written.
    """
    console = console or Terminal()
    if locate(plan.source).once:
        raise InputError(
            f"{plan.source}: is a pipe, which can be read once, and segment reads its input three "
            "times; save it to a file first"
        )
    model = checkpoint.load_avism(plan.model)
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
    plan: Segmenting, model: AVISM, console: Console, stop: Stop
) -> TruncatedInputError | None:
    """Listen, see, draw and write; returns how the recording broke off, if it did."""
    columns = (TextColumn("{task.description:8}"), BarColumn(), MofNCompleteColumn())
    with Progress(
        *columns, TimeRemainingColumn(), console=console, disable=not console.is_terminal
    ) as progress:
        tasks = {stage: progress.add_task(stage, total=None) for stage in _STAGES}

        def show(stage: str, done: int) -> None:
            progress.update(tasks[stage], completed=done)
            if stop.event.is_set():
                kept = "; results.json is complete" if stage == "writing" else ""
                raise _StoppedError(f"{stage}, after frame {done} of {plan.source.name}{kept}")

        with MediaSource(plan.source, tracks=plan.tracks) as source:
            info = source.info
            needs_vggish = info.has_audio and model.audio_encoder is None
            vggish = _vggish(plan) if needs_vggish else None
            heard = listen(source, plan.fps, lambda frames: show("hearing", frames))
        for task in tasks.values():
            progress.update(task, total=heard.frames)
        rows = _rows(plan, model, vggish, heard)
        try:
            plan.out.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"{plan.out}: cannot be made: {error.strerror}") from error
        with MediaSource(plan.source, tracks=plan.tracks) as source:
            # A picture may grow on the way; the network takes one size.
            pictures = (
                fitted(frame.image, info.height, info.width)
                for frame in frames_at(source, plan.fps)
            )
            found = model.segment(pictures, rows, threshold=plan.threshold, progress=show)
        _write_results(plan, found)
        for n, _ in enumerate(_annotate(plan, model, found, has_audio=info.has_audio)):
            show("writing", n + 1)
    _print(console, plan, model, found, heard.frames, has_audio=info.has_audio)
    return heard.truncated


def _vggish(plan: Segmenting) -> VGGish | None:
    """The VGGish of the recording; None: not needed.

    Raises:
        InputError: there are no VGGish weights.
    """
    if plan.features is not None or plan.mute:
        return None
    if plan.vggish is not None:
        return checkpoint.vggish_from_reference(checkpoint.read_foreign(plan.vggish))
    kept = checkpoint.load_vggish(plan.model)
    if kept is None:
        raise InputError(
            f"{plan.model}: holds no VGGish weights for the sound of {plan.source.name}; give "
            "them as --vggish FILE (`streamavis convert ... --vggish FILE` keeps them in the "
            "model), ready features as --features, or take it as silent with --mute"
        )
    return kept


def _rows(plan: Segmenting, model: AVISM, vggish: VGGish | None, heard: Heard) -> torch.Tensor:
    """(T, A), a row for each frame; zeros where there is no sound."""
    channels = model.config.audio_channels
    if plan.features is not None:
        return ready_features(plan.features, (heard.frames, channels))
    waveform = torch.from_numpy(heard.waveform)
    with torch.inference_mode():
        if model.audio_encoder is not None and not plan.mute:
            begins_s = torch.arange(heard.frames, dtype=torch.float64) / plan.fps
            return model.hear_recording(waveform, begins_s + WINDOW_SAMPLES / SAMPLE_RATE)
        if vggish is None:
            return torch.zeros(heard.frames, channels)
        return vggish.per_second(waveform, heard.frames, plan.fps)


def _write_results(plan: Segmenting, found: Segments) -> None:
    """One entry per object, as AVISeg's evaluation takes them."""
    entries = [
        {
            "video_id": 1,
            "category_id": int(found.labels[i]) + 1,
            "score": float(found.scores[i]),
            "segmentations": [{"size": rle.size, "counts": rle.counts} for rle in found.rles[i]],
        }
        for i in range(len(found))
    ]
    path = plan.out / "results.json"
    try:
        path.write_text(json.dumps(entries) + "\n")
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror}") from error


def _annotate(
    plan: Segmenting, model: AVISM, found: Segments, *, has_audio: bool
) -> Iterator[None]:
    """Write the annotated video, yielding after each frame."""
    height, width = found.size
    sound = plan.source if has_audio else None
    path = plan.out / "annotated.mp4"
    with (
        MediaSource(plan.source, tracks=plan.tracks) as source,
        Recorder(path, width, height, fps=plan.fps, sound=sound, tracks=plan.tracks) as recorder,
    ):
        for index, frame in enumerate(frames_at(source, plan.fps)):
            time_ns = round(index * _NS / plan.fps)
            result = FrameResult(
                stream=plan.source.stem,
                epoch=0,
                seq=index,
                capture_time_ns=time_ns,
                size=found.size,
                audio="ok" if has_audio else "absent",
                audio_delay_s=0.0,
                video="ok",
                clock="pts",
                tracks=_tracks(model, found, index),
            )
            recorder.write(draw(fitted(frame.image, height, width), result), time_ns)
            yield


def _tracks(model: AVISM, found: Segments, index: int) -> list[Track]:
    """The objects that sound in a frame."""
    tracks = []
    for i in range(len(found)):
        mask = found.mask(i, index)
        area = int(mask.sum())
        if not area:
            continue
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        top, left = int(rows[0]), int(columns[0])
        size = (int(columns[-1]) - left + 1, int(rows[-1]) - top + 1)
        y, x = (float(axis.mean()) for axis in np.nonzero(mask))
        label = int(found.labels[i])
        tracks.append(
            Track(
                id=i + 1,
                label=model.config.classes[label],
                class_id=label,
                score=float(found.scores[i]),
                sounding=1.0,
                visible=None,
                box=(left, top, *size),
                centroid=(x, y),
                area=area,
                rle=found.rles[i][index],
            )
        )
    return tracks


def _print(
    console: Console,
    plan: Segmenting,
    model: AVISM,
    found: Segments,
    frames: int,
    *,
    has_audio: bool,
) -> None:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
    table.add_column("id", justify="right")
    table.add_column("object")
    table.add_column("score", justify="right")
    table.add_column("sounds at, s")
    for i in range(len(found)):
        heard = [bool(found.mask(i, t).any()) for t in range(frames)]
        name = model.config.classes[found.labels[i]]
        table.add_row(str(i + 1), name, f"{found.scores[i]:.2f}", _spans(heard, plan.fps))
    objects = "1 object" if len(found) == 1 else f"{len(found)} objects"
    sound = "" if has_audio else "; it has no sound, which was taken as silence"
    if plan.mute:
        sound = "; taken as silent"
    console.print(
        f"{plan.source.name}: {objects} in {frames} frames{sound}", markup=False, soft_wrap=True
    )
    if len(found):
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
