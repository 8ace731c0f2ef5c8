"""`streamavis segment`: a recording through the offline network."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from streamavis import checkpoint
from streamavis.errors import InputError, OutputError, TruncatedInputError
from streamavis.io.media import MediaSource
from streamavis.io.record import Recorder
from streamavis.types import SAMPLE_RATE, FrameResult, Track, VideoFrame
from streamavis.viz import draw
from streamavis_apps.exits import ExitCode

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from streamavis.model.avism import AVISM
    from streamavis.model.segmentation import Segments
    from streamavis.types import AudioChunk

__all__ = ["Heard", "Segmenting", "frames_at", "listen", "run"]

_NS = 1_000_000_000


@dataclass(frozen=True, kw_only=True)
class Segmenting:
    """What to segment, with what, and where the results go."""

    source: Path
    model: Path
    out: Path
    vggish: Path | None = None  # weights
    features: Path | None = None  # .npy instead
    fps: float = 1.0
    threshold: float = 0.3


@dataclass
class Heard:
    """The first look at a recording: its sound, and how many frames will be looked at."""

    waveform: NDArray[np.float32]  # (samples,) 16 kHz mono from time 0, zeros in gaps
    frames: int
    truncated: TruncatedInputError | None  # everything before the break is there


def run(plan: Segmenting, *, console: Console | None = None) -> ExitCode:
    """Segment a recording and write what was found.

    Raises:
        TruncatedInputError: the recording broke off; the results hold what could be decoded.
        StreamAVISError: an input is not usable, or an output cannot be written.
    """
    console = console or Console(highlight=False)
    model = checkpoint.load_avism(plan.model)
    with MediaSource(plan.source) as source:
        info = source.info
        heard = listen(source, plan.fps)
    rows = _features(plan, heard, model.config.audio_channels)
    try:
        plan.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{plan.out}: cannot be made: {error.strerror}") from error
    columns = (TextColumn("{task.description:8}"), BarColumn(), MofNCompleteColumn())
    with Progress(
        *columns, TimeRemainingColumn(), console=console, disable=not console.is_terminal
    ) as progress:
        tasks = {stage: progress.add_task(stage, total=heard.frames) for stage in _STAGES}

        def show(stage: str, done: int) -> None:
            progress.update(tasks[stage], completed=done)

        with MediaSource(plan.source) as source:
            pictures = (frame.image for frame in frames_at(source, plan.fps))
            found = model.segment(pictures, rows, threshold=plan.threshold, progress=show)
        _write_results(plan, found)
        for n, _ in enumerate(_annotate(plan, model, found, has_audio=info.has_audio)):
            show("writing", n + 1)
    _print(console, plan, model, found, heard.frames, has_audio=info.has_audio)
    if heard.truncated is not None:
        raise heard.truncated
    return ExitCode.DONE


_STAGES = ("seeing", "drawing", "writing")


def frames_at(source: MediaSource, fps: float) -> Iterator[VideoFrame]:
    """What a screen shows at 0, 1/fps, 2/fps ... s; a file that breaks off just ends."""

    def pictures() -> Iterator[VideoFrame]:
        # `listen` has kept the error, to be raised once the results are written.
        with suppress(TruncatedInputError):
            yield from (item for item in source if isinstance(item, VideoFrame))

    return _shown(pictures(), fps)


def _shown(frames: Iterator[VideoFrame], fps: float) -> Iterator[VideoFrame]:
    shown: VideoFrame | None = None
    count = 0

    def due_ns() -> int:
        return round(count * _NS / fps)

    for frame in frames:
        while shown is not None and due_ns() < frame.capture_time_ns:
            yield shown
            count += 1
        shown = frame
    while shown is not None and due_ns() <= shown.capture_time_ns:
        yield shown
        count += 1


def listen(source: MediaSource, fps: float) -> Heard:
    """Decode a recording once, for its sound and the number of its frames."""
    chunks: list[AudioChunk] = []
    truncated: TruncatedInputError | None = None

    def pictures() -> Iterator[VideoFrame]:
        nonlocal truncated
        try:
            for item in source:
                if isinstance(item, VideoFrame):
                    yield item
                else:
                    chunks.append(item)
        except TruncatedInputError as error:
            truncated = error

    frames = sum(1 for _ in _shown(pictures(), fps))
    starts = [round(chunk.start_time_ns * SAMPLE_RATE / _NS) for chunk in chunks]
    ends = [start + len(chunk.samples) for start, chunk in zip(starts, chunks, strict=True)]
    waveform = np.zeros(max(ends, default=0), np.float32)
    for start, chunk in zip(starts, chunks, strict=True):
        if start + len(chunk.samples) > 0:
            waveform[max(start, 0) : start + len(chunk.samples)] = chunk.samples[max(-start, 0) :]
    return Heard(waveform, frames, truncated)


def _features(plan: Segmenting, heard: Heard, channels: int) -> torch.Tensor:
    """(T, A), a row for each frame."""
    if plan.features is None:
        assert plan.vggish is not None, "a plan has one or the other"
        vggish = checkpoint.vggish_from_reference(checkpoint.read_foreign(plan.vggish))
        with torch.inference_mode():
            waveform = torch.from_numpy(heard.waveform)
            return vggish.per_second(waveform, heard.frames, plan.fps)
    try:
        rows = np.load(plan.features, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise InputError(f"{plan.features}: is no .npy file of numbers: {error}") from error
    wanted = (heard.frames, channels)
    if rows.shape != wanted:
        raise InputError(
            f"{plan.features}: holds {rows.shape}, expected {wanted}: a row for each frame of "
            f"{plan.source} at {plan.fps:g} frames per second"
        )
    return torch.from_numpy(rows.astype(np.float32))


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
        MediaSource(plan.source) as source,
        Recorder(path, width, height, fps=plan.fps, sound=sound) as recorder,
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
            recorder.write(draw(frame.image, result), time_ns)
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
