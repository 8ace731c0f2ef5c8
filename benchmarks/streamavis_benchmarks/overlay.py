"""`streamavis bench overlay`: what drawing a result costs, for a recording and for a window."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, TypedDict

import cv2
import numpy as np
from rich import box
from rich.table import Table
from streamavis_apps.exits import ExitCode
from streamavis_apps.figures import write
from streamavis_apps.machine import machine
from streamavis_apps.terminal import Terminal

from streamavis.masks import encode
from streamavis.types import SAMPLE_RATE, AudioChunk, FrameResult, Heard, Track
from streamavis.viz import draw
from streamavis.viz.kinds import MOST_KINDS
from streamavis.viz.overlay import draw_tracks
from streamavis.viz.screen import ScreenHealth, StreamScreen

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray
    from rich.console import Console
    from streamavis_apps.commands.options import Size
    from streamavis_apps.machine import Machine

__all__ = ["OverlayFigures", "run", "scene"]

_LABELS = ("person", "dog", "guitar", "car", "bell")
_FPS = 30
_WARM_UP = 10
_HARMONICS = 7  # of an outline: neither a circle nor noise


class _Milliseconds(TypedDict):
    """Of one frame."""

    p50: float
    p95: float


class OverlayFigures(TypedDict):
    """What is measured, and on what, ready for JSON."""

    benchmark: str
    size: tuple[int, int]  # height, width
    tracks: int
    sounding: int
    covered: float  # share of the picture that the masks cover
    frames: int
    threads: int
    ms: dict[str, _Milliseconds]  # what is drawn -> what it costs
    machine: Machine


def run(
    *,
    size: Size,
    tracks: int = 5,
    frames: int = 200,
    json_path: Path | None = None,
    console: Console | None = None,
) -> ExitCode:
    """Draw one scene again and again on one core, and print and write what it costs.

    Args:
        size: of the picture.
        tracks: objects in it; every other one is silent.
        frames: how often.
        json_path: where the figures go as well; replaced.
        console: standard output by default.

    Raises:
        OutputError: `json_path` is not writable.
    """
    console = console or Terminal()
    about, threads = machine(), cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        image, result = scene(size.height, size.width, tracks)
        ms = _measure(image, result, frames)
    finally:
        cv2.setNumThreads(threads)
    figures: OverlayFigures = {
        "benchmark": "overlay",
        "size": result.size,
        "tracks": len(result.tracks),
        "sounding": sum(track.is_sounding for track in result.tracks),
        "covered": round(sum(t.area for t in result.tracks) / (size.height * size.width), 3),
        "frames": frames,
        "threads": 1,
        "ms": ms,
        "machine": about,
    }
    _print(console, figures)
    write(console, json_path, figures)
    return ExitCode.DONE


def scene(
    height: int, width: int, count: int, seed: int = 0
) -> tuple[NDArray[np.uint8], FrameResult]:
    """A picture of noise and `count` blobs of about a twentieth of it each, as a result."""
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 256, (height, width, 3), np.uint8)
    tracks = [_blob(rng, n, count, height, width) for n in range(count)]
    result = FrameResult(
        stream="bench",
        epoch=0,
        seq=0,
        capture_time_ns=8_000_000_000,
        size=(height, width),
        audio="ok",
        audio_delay_s=0.0,
        video="ok",
        clock="pts",
        tracks=tracks,
    )
    return image, result


def _blob(rng: np.random.Generator, number: int, count: int, height: int, width: int) -> Track:
    angle = np.linspace(0, 2 * np.pi, 180, endpoint=False)
    waves = (
        rng.uniform(-0.12, 0.12) * np.sin(k * angle + rng.uniform(0, 6))
        for k in range(2, _HARMONICS)
    )
    radius = np.sqrt(height * width / 20 / np.pi) * (1 + sum(waves))
    x = width * (number + 0.5) / count + radius * np.cos(angle)
    y = height * rng.uniform(0.4, 0.65) + radius * np.sin(angle)
    mask = np.zeros((height, width), np.uint8)
    cv2.fillPoly(mask, [np.stack([x, y], 1).round().astype(np.int32)], 1)
    ys, xs = np.nonzero(mask)
    return Track(
        id=number + 1,
        label=_LABELS[number % len(_LABELS)],
        class_id=number % len(_LABELS),
        score=0.9,
        sounding=0.9 if number % 2 == 0 else 0.1,
        visible=1.0,
        box=(int(xs.min()), int(ys.min()), int(np.ptp(xs)) + 1, int(np.ptp(ys)) + 1),
        centroid=(float(xs.mean()), float(ys.mean())),
        area=len(xs),
        rle=encode(mask.astype(np.bool_)),
    )


def _measure(
    image: NDArray[np.uint8], result: FrameResult, frames: int
) -> dict[str, _Milliseconds]:
    screen = StreamScreen()
    rng = np.random.default_rng(0)
    screen.hear(AudioChunk(rng.normal(0, 0.1, 10 * SAMPLE_RATE).astype(np.float32), 0))
    screen.tell(ScreenHealth(frames_per_s=30.0), 0)
    canvas = image.copy()

    def overlay() -> None:
        draw_tracks(canvas, result, level_dbfs=-20.0)

    def recorded() -> None:
        draw(image, result, level_dbfs=-20.0)

    def shown() -> None:
        heard = Heard(result.capture_time_ns, tuple(rng.uniform(0, 1, len(_LABELS))))
        screen.see(image, result, kinds=heard.top(_LABELS, MOST_KINDS))
        screen.render(0)

    drawn = {"masks and labels": overlay, "frame of a recording": recorded, "window": shown}
    spent: dict[str, list[float]] = {name: [] for name in drawn}
    for n in range(frames + _WARM_UP):
        result.capture_time_ns = 8_000_000_000 + n * 1_000_000_000 // _FPS % 2_000_000_000
        for name, work in drawn.items():
            canvas[:] = image
            spent[name].append(_timed_ms(work))
    return {
        name: {
            "p50": round(float(np.percentile(ms[_WARM_UP:], 50)), 2),
            "p95": round(float(np.percentile(ms[_WARM_UP:], 95)), 2),
        }
        for name, ms in spent.items()
    }


def _timed_ms(work: Callable[[], None]) -> float:
    begin_ns = time.perf_counter_ns()
    work()
    return (time.perf_counter_ns() - begin_ns) / 1e6


def _print(console: Console, figures: OverlayFigures) -> None:
    about = figures["machine"]
    height, width = figures["size"]
    for line in (
        f"{width}x{height}, {figures['tracks']} tracks of which {figures['sounding']} sound, "
        f"{figures['covered']:.0%} of the picture covered, {figures['frames']} frames, 1 thread",
        f"{about['cpu']}, load {about['load_1min']}",
    ):
        console.print(line, markup=False, soft_wrap=True)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
    table.add_column("ms per frame")
    for column in ("p50", "p95"):
        table.add_column(column, justify="right", min_width=7)
    for name, ms in figures["ms"].items():
        table.add_row(name, f"{ms['p50']:.2f}", f"{ms['p95']:.2f}")
    console.print(table)
