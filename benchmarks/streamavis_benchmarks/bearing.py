"""`streamavis bench bearing`: accuracy of sound bearings in simulated rooms."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from functools import cache, partial
from typing import TYPE_CHECKING, Final, Literal

import av
import numpy as np
from rich.box import SIMPLE_HEAD
from rich.progress import track
from rich.table import Table
from rich.text import Text
from streamavis_apps.figures import write
from streamavis_apps.machine import machine
from streamavis_apps.terminal import Terminal

from streamavis.bearing import MicArray, SoundDirection, wrapped
from streamavis.bearing.room import Room, diffuse_noise, scaled_to, sensor_noise, voice
from streamavis.errors import InputError
from streamavis.io.container import open_media

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = ["Plan", "Row", "measure", "rows", "run"]

Alone = Literal["", "diffuse noise", "microphone noise", "silence"]

_START_S: Final = 0.5  # of each sound, which is not scored: the average begins
_FAR_DEG: Final = 15.0
_GOAL_DEG: Final = 5.0  # median error at 10 dB, RT60 0.3 s
_GOAL_ALONE: Final = 0.01  # of the time, a direction in noise alone
_LEVEL: Final = 0.03  # RMS of noise alone


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is simulated for every row."""

    directions: int = 12
    seconds: float = 3.0
    distance_m: float = 1.5
    rate: int = 16_000
    seed: int = 2026
    sounds: Path | None = None  # folder of recordings in place of the synthetic voice


@dataclass(frozen=True, kw_only=True)
class Row:
    """One room with one array."""

    array: MicArray
    snr_db: float = 10.0
    rt60_s: float = 0.3
    alone: Alone = ""  # what is heard without any voice
    is_goal: bool = False


@dataclass(frozen=True, kw_only=True)
class _Figures:
    """Of one row."""

    array: str
    snr_db: float | None
    rt60_s: float | None
    alone: str
    known: float  # share of the time in which a direction was given
    median_deg: float | None  # error, where one was given
    p90_deg: float | None
    far: float | None  # share that is off by more than 15 degrees
    reached: bool | None  # the goal; None: the row has none


def rows() -> list[Row]:
    """What the table shows, in order."""
    stereo, ring = MicArray.stereo(0.1), MicArray.ring(4, 0.05)
    found = []
    for array in (stereo, ring):
        found += [Row(array=array, snr_db=snr, is_goal=snr == 10) for snr in (20, 10, 5, 0)]
        found += [Row(array=array, rt60_s=rt60) for rt60 in (0.0, 0.15, 0.5, 0.8)]
    for spacing in (0.05, 0.2):
        found.append(Row(array=MicArray.stereo(spacing)))
        found.append(Row(array=MicArray.ring(4, spacing / 2)))
    alone: tuple[Alone, ...] = ("diffuse noise", "microphone noise", "silence")
    for array in (stereo, ring):
        found += [Row(array=array, alone=what, is_goal=True) for what in alone]
    return found


def run(plan: Plan, *, json_path: Path | None) -> int:
    """Measure every row, print the table, and write the figures.

    Returns:
        0, or 1 where a goal is missed.
    """
    console = Terminal()
    begin_s = time.monotonic()
    steps = track(rows(), "simulating rooms", console=console, transient=True)
    figures = [measure(row, plan) for row in steps]
    console.print(_table(figures, plan))
    cost_ms = _cost_ms(plan)
    console.print(
        f"An update, 10 a second, takes {cost_ms['stereo']:.1f} ms (stereo) and "
        f"{cost_ms['ring']:.1f} ms (ring of 4) of one core."
    )
    about = {
        "machine": machine(),
        "plan": asdict(plan) | {"sounds": str(plan.sounds or "")},
        "took_s": time.monotonic() - begin_s,
    }
    write(console, json_path, about | {"rows": [asdict(f) for f in figures], "cost_ms": cost_ms})
    missed = [f"{f.array} ({f.alone or 'voice'})" for f in figures if f.reached is False]
    if missed:
        console.print(f"goals missed: {', '.join(missed)}", style="red")
    return 1 if missed else 0


def measure(row: Row, plan: Plan) -> _Figures:
    """Simulate one row and score it."""
    known: list[bool] = []
    errors: list[float] = []
    for truth, sound in _sounds(row, plan):
        finder = SoundDirection(row.array, plan.rate)
        found = finder.feed(sound.astype(np.float32), 0)
        for bearing in found:
            if bearing.time_ns < _START_S * 1e9:
                continue
            known.append(bearing.azimuth is not None)
            if bearing.azimuth is not None:
                errors.append(abs(wrapped(bearing.azimuth - truth)))
    median = float(np.median(errors)) if errors else None
    share = float(np.mean(known))
    reached = None
    if row.is_goal:
        in_time = median is not None and median <= _GOAL_DEG
        reached = share <= _GOAL_ALONE if row.alone else in_time
    return _Figures(
        array=row.array.name,
        snr_db=None if row.alone else row.snr_db,
        rt60_s=None if row.alone else row.rt60_s,
        alone=row.alone,
        known=share,
        median_deg=None if row.alone else median,
        p90_deg=None if row.alone or not errors else float(np.quantile(errors, 0.9)),
        far=None if row.alone or not errors else float(np.mean(np.array(errors) > _FAR_DEG)),
        reached=reached,
    )


def _sounds(row: Row, plan: Plan) -> Iterator[tuple[float, NDArray[np.float64]]]:
    """True azimuth and (samples, microphones), for every direction."""
    rng = np.random.default_rng(plan.seed)
    samples = round(plan.seconds * plan.rate)
    recorded = None if plan.sounds is None else partial(_recorded, plan, _recordings(plan))
    within = 180.0 if row.array.all_round else 85.0
    for number in range(plan.directions):
        truth = (2 * (number + rng.uniform(0.1, 0.9)) / plan.directions - 1) * within
        if row.alone:
            yield truth, _alone(row, samples, plan.rate, rng)
            continue
        room = Room(rt60_s=row.rt60_s)
        sound = voice(plan.seconds, plan.rate, rng) if recorded is None else recorded(rng)
        # Heads are seldom level with the microphones.
        up = rng.uniform(-8, 12)
        heard = room.hear(row.array, sound, truth, plan.distance_m, plan.rate, up)
        noise = diffuse_noise(row.array, samples, plan.rate, rng)
        yield truth, heard + scaled_to(noise, heard, row.snr_db)


def _recorded(
    plan: Plan, recordings: tuple[NDArray[np.float64], ...], rng: np.random.Generator
) -> NDArray[np.float64]:
    """(samples,) of recordings one after the other, in random order, RMS 0.1."""
    samples = round(plan.seconds * plan.rate)
    pieces: list[NDArray[np.float64]] = []
    while sum(map(len, pieces)) < samples:
        pieces.append(recordings[rng.integers(len(recordings))])
    sound = np.concatenate(pieces)[:samples]
    return np.asarray(sound * 0.1 / max(float(np.sqrt(np.mean(sound**2))), 1e-9))


@cache
def _recordings(plan: Plan) -> tuple[NDArray[np.float64], ...]:
    """Every recording of the plan's folder, mono, at its rate.

    Raises:
        InputError: there is none, or one of them cannot be read.
    """
    assert plan.sounds is not None, "asked for"
    found = []
    for path in sorted(path for path in plan.sounds.iterdir() if path.is_file()):
        resampler = av.AudioResampler("flt", "mono", plan.rate)
        media = open_media(path)
        with media.container as container:
            if media.audio is None:
                raise InputError(f"{path}: holds no sound")
            blocks = [
                block.to_ndarray().ravel().astype(np.float64)
                for frame in container.decode(media.audio)
                for block in resampler.resample(frame)
            ]
        if blocks:
            found.append(np.concatenate(blocks))
    if not found:
        raise InputError(f"{plan.sounds}: holds no recording")
    return tuple(found)


def _alone(row: Row, samples: int, rate: int, rng: np.random.Generator) -> NDArray[np.float64]:
    if row.alone == "diffuse noise":
        return _LEVEL * diffuse_noise(row.array, samples, rate, rng)
    if row.alone == "microphone noise":
        return _LEVEL * sensor_noise(row.array, samples, rng)
    return np.zeros((samples, len(row.array.positions)))


def _cost_ms(plan: Plan) -> dict[str, float]:
    """Median time of an update."""
    arrays = {"stereo": MicArray.stereo(0.1), "ring": MicArray.ring(4, 0.05)}
    costs = {}
    for name, array in arrays.items():
        noise = diffuse_noise(array, plan.rate // 10, plan.rate, np.random.default_rng(0))
        block = noise.astype(np.float32)
        finder = SoundDirection(array, plan.rate)
        times = []
        for number in range(60):
            begin_s = time.perf_counter()
            finder.feed(block, number * 100_000_000)
            times.append(time.perf_counter() - begin_s)
        costs[name] = round(float(np.median(times)) * 1e3, 3)
    return costs


def _table(figures: list[_Figures], plan: Plan) -> Table:
    table = Table(
        title=f"bearing of a voice {plan.distance_m:g} m away, degrees",
        box=SIMPLE_HEAD,
        padding=(0, 1),
        pad_edge=False,
    )
    table.add_column("array, SNR in dB", no_wrap=True)
    for name in ("RT60, s", "known", "median", "p90", "> 15°", "goal"):
        table.add_column(name, justify="right", no_wrap=True)
    last = ""
    for row in figures:
        if row.array != last:
            table.add_row(Text(row.array, style="bold"))
            last = row.array
        table.add_row(
            f"  {row.alone or format(row.snr_db, 'g')}",
            "" if row.rt60_s is None else f"{row.rt60_s:g}",
            f"{100 * row.known:.0f} %",
            _degrees(row.median_deg),
            _degrees(row.p90_deg),
            "" if row.far is None else f"{100 * row.far:.1f} %",
            {None: "", True: "met", False: "missed"}[row.reached],
        )
    table.caption = (
        f"{plan.directions} directions of {plan.seconds:g} s a row, noise is diffuse; "
        "known: share of the time in which a direction was given"
    )
    return table


def _degrees(value: float | None) -> str:
    return "" if value is None else f"{value:.1f}"
