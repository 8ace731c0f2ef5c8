"""When each object sounds, and how loud from moment to moment.

Everything here lives on a grid of 10 ms hops that starts at stream time 0. The value of hop j
belongs to its end, so what a frame at time t may know are the hops before `hops_before(t)`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from streamavis_training.world.config import CLASSES

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from streamavis_training.world.config import WorldConfig

__all__ = ["HOPS_PER_S", "Beat", "Performance", "audible", "hops_before", "improvise", "schedule"]

HOPS_PER_S = 100
AUDIBLE = 0.05  # amplitude of a hop, full scale 1
WINDOW_HOPS, NEEDED_HOPS = 20, 5  # 50 of the last 200 ms
FLOOR = 0.1  # amplitude between the syllables of a sounding object


class Beat(NamedTuple):
    """How a class articulates."""

    length: tuple[float, float]  # seconds of a syllable
    gap: tuple[float, float]  # seconds between two
    attack: float  # share of the syllable before its peak; 0.5 is a symmetric swell


BEATS: dict[str, Beat] = {
    "person": Beat((0.15, 0.28), (0.03, 0.10), 0.45),
    "bird": Beat((0.12, 0.20), (0.04, 0.12), 0.4),
    "frog": Beat((0.20, 0.32), (0.05, 0.12), 0.5),
    "drum": Beat((0.18, 0.30), (0.00, 0.10), 0.12),
    "bell": Beat((0.24, 0.38), (0.00, 0.08), 0.15),
    "car": Beat((0.22, 0.36), (0.03, 0.12), 0.45),
    "radio": Beat((0.14, 0.26), (0.03, 0.10), 0.2),
    "kettle": Beat((0.20, 0.34), (0.04, 0.12), 0.5),
}


@dataclass
class Performance:
    """What one object does, hop by hop (J hops)."""

    level: NDArray[np.float32]  # (J,) 0..1, drives the pose
    amplitude: NDArray[np.float32]  # (J,) 0..1, drives the sound; 0 while silent
    side: NDArray[np.int8]  # (J,) -1 or 1, the way it swings in this syllable
    onsets: NDArray[np.int64]  # hops at which syllables start, from the first at or before 0
    moves_silently: bool


def hops_before(times_ns: NDArray[np.int64]) -> NDArray[np.int64]:
    """Number of hops that are complete at each time."""
    return times_ns * HOPS_PER_S // 1_000_000_000


def audible(amplitude: NDArray[np.float32], hops: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Whether a sound counts at frames that see `hops` complete hops."""
    loud = np.concatenate([[0], np.cumsum(amplitude >= AUDIBLE)])
    return loud[hops] - loud[np.maximum(hops - WINDOW_HOPS, 0)] >= NEEDED_HOPS


def improvise(
    class_id: int,
    gate: NDArray[np.bool_],
    idle: NDArray[np.bool_],
    rng: np.random.Generator,
) -> Performance:
    """Let one object sound where `gate` is open and move out of time where `idle` is set."""
    level, onsets = _syllables(BEATS[CLASSES[class_id]], len(gate), rng)
    stray, stray_onsets = _syllables(BEATS[CLASSES[class_id]], len(gate), rng)
    opening = _ramp(gate)
    return Performance(
        level=level * opening + stray * _ramp(idle & ~gate) * (1 - opening),
        amplitude=(FLOOR + (1 - FLOOR) * level) * opening,
        side=np.where(opening > 0, _sides(onsets, len(gate)), _sides(stray_onsets, len(gate))),
        onsets=onsets,
        moves_silently=bool((idle & ~gate).any()),
    )


def _syllables(
    beat: Beat, hops: int, rng: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """A train of swells: level (hops,) in 0..1 and the hops where they start."""
    level = np.zeros(hops, np.float32)
    onsets = []
    tempo = rng.uniform(0.85, 1.2)
    start = -rng.uniform(0, beat.length[1])
    while start * HOPS_PER_S < hops:
        length = tempo * rng.uniform(*beat.length)
        peak = rng.uniform(0.55, 1.0)
        first, last = int(start * HOPS_PER_S), int((start + length) * HOPS_PER_S)
        places = np.arange(max(first, 0), max(min(last, hops), 0))
        place = (places - first) / max(last - first, 1)
        rise = np.sin(0.5 * np.pi * place / beat.attack)
        fall = np.cos(0.5 * np.pi * (place - beat.attack) / (1 - beat.attack))
        swell = np.where(place < beat.attack, rise, fall)
        level[places] = peak * np.maximum(swell, 0) ** 0.8
        onsets.append(first)
        start += length + tempo * rng.uniform(*beat.gap)
    return level, np.array(onsets, np.int64)


def _sides(onsets: NDArray[np.int64], hops: int) -> NDArray[np.int8]:
    count = np.searchsorted(onsets, np.arange(hops), "right")
    return np.where(count % 2, 1, -1).astype(np.int8)


def _ramp(gate: NDArray[np.bool_]) -> NDArray[np.float32]:
    """The gate with 30 ms flanks, so that nothing clicks or jumps."""
    padded = np.concatenate([[gate[0]] * 3, gate]).astype(np.float32)
    return np.convolve(padded, np.full(3, 1 / 3, np.float32), "valid")[1:]


def schedule(
    config: WorldConfig, num_objects: int, has_pair: bool, rng: np.random.Generator
) -> NDArray[np.bool_]:
    """Who is on when: (N, J) bool. In a pair, objects 0 and 1 are of one class."""
    hops = int(np.ceil(config.sound_s * HOPS_PER_S)) + 1
    gates = np.zeros((num_objects, hops), bool)
    order = rng.permutation(num_objects)
    active = list(order[: rng.choice([1, 2, 3], p=[0.45, 0.4, 0.15])])
    if has_pair:
        pair = [int(v) for v in rng.permutation(2)]
        others = [i for i in active if i > 1][: int(rng.integers(0, 2))]
        if rng.random() < config.pair_solo:
            active = [pair[0], *others]
            if rng.random() < 0.45:  # the two take turns
                _take_turns(gates, pair, rng)
                active = others
        else:
            active = [*pair, *others]
    if len(active) > 1 and rng.random() < 0.4:
        _take_turns(gates, active, rng)
    else:
        for i in active:
            gates[i] = True if rng.random() < 0.3 else _parts(hops, rng)
    if rng.random() < config.pause:
        start = int(rng.uniform(-0.2, 0.8) * hops)
        gates[:, max(start, 0) : start + int(rng.uniform(0.25, 0.55) * hops)] = False
    return gates


def _parts(hops: int, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Stretches of sound and silence in turn."""
    gate = np.zeros(hops, bool)
    on = bool(rng.random() < 0.5)
    place = -int(rng.uniform(0, 0.8) * HOPS_PER_S)
    while place < hops:
        length = int(rng.uniform(0.7, 2.2) * HOPS_PER_S)
        gate[max(place, 0) : max(place + length, 0)] = on
        on, place = not on, place + length
    return gate


def _take_turns(gates: NDArray[np.bool_], who: list[int], rng: np.random.Generator) -> None:
    """Let one of `who` after the other sound, with a breath between most."""
    place, turn = -int(rng.uniform(0, 0.6) * HOPS_PER_S), int(rng.integers(len(who)))
    while place < gates.shape[1]:
        length = int(rng.uniform(0.7, 1.9) * HOPS_PER_S)
        gates[who[turn], max(place, 0) : max(place + length, 0)] = True
        place += length + int(rng.uniform(0, 0.6) * HOPS_PER_S)
        turn = (turn + int(rng.integers(1, len(who)))) % len(who) if len(who) > 1 else turn
