"""What a process holds of its machine, over time: memory, threads, descriptors."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["SLOPE_MB_H", "ProcessWatch", "Reading", "as_sentence", "missed_slope"]

SLOPE_MB_H = 1.0  # goal: resident memory may grow this much
_LONG_ENOUGH_MIN = 5.0  # to say so
_EVERY_S = 0.25
_WINDOW_S = 20.0  # a step's own memory comes and goes: the least of so long is what is kept
_FEWEST = 3  # windows that make a slope


@dataclass(frozen=True, slots=True)
class Reading:
    """At one moment."""

    at_s: float
    resident_mb: float
    threads: int
    descriptors: int


@dataclass
class ProcessWatch:
    """Readings of a process of this machine, at most four a second; Linux only.

    A network's step takes and gives back megabytes, so a single reading says little. What is
    compared is the least of every 20 s.
    """

    pid: int = field(default_factory=os.getpid)
    readings: list[Reading] = field(default_factory=list)

    def read(self, at_s: float) -> None:
        """Read, unless it was done just now.

        Raises:
            OSError: the process is gone.
        """
        if self.readings and at_s - self.readings[-1].at_s < _EVERY_S:
            return
        place = Path("/proc") / str(self.pid)
        pages = int((place / "statm").read_text().split()[1])
        self.readings.append(
            Reading(
                at_s,
                pages * os.sysconf("SC_PAGE_SIZE") / 1e6,
                len(list((place / "task").iterdir())),
                len(list((place / "fd").iterdir())),
            )
        )

    def figures(self) -> dict[str, Any]:
        """Over the last two thirds of the time: the first one is warm-up.

        `slope_mb_per_h` is the median of the slopes between any two windows (Theil and Sen),
        None where the time was too short for one.
        """
        if not self.readings:
            return {}
        end_s = self.readings[-1].at_s
        kept = [r for r in self.readings if r.at_s >= end_s / 3]
        times, floor = _floor(kept)
        slopes = [
            (floor[b] - floor[a]) / (times[b] - times[a]) * 3600
            for a, b in combinations(range(len(floor)), 2)
        ]
        slope = round(float(np.median(slopes)), 2) if len(floor) >= _FEWEST else None
        return {
            "resident_mb": {
                "first": round(floor[0], 2),
                "last": round(floor[-1], 2),
                "most": round(max(r.resident_mb for r in kept), 2),
            },
            "slope_mb_per_h": slope,
            "threads": _range([r.threads for r in kept]),
            "descriptors": _range([r.descriptors for r in kept]),
        }


def missed_slope(figures: dict[str, Any], minutes: float) -> list[str]:
    """A sentence where memory grows faster than its goal; a short run says nothing about that."""
    slope = figures["slope_mb_per_h"]
    if minutes < _LONG_ENOUGH_MIN or slope is None or slope <= SLOPE_MB_H:
        return []
    return [f"memory grows {slope} MB/h, goal {SLOPE_MB_H}"]


def as_sentence(figures: dict[str, Any]) -> str:
    """The figures for people."""
    resident, slope = figures["resident_mb"], figures["slope_mb_per_h"]
    grows = "too short for a slope" if slope is None else f"{slope:+.2f} MB/h"
    threads, descriptors = figures["threads"], figures["descriptors"]
    return (
        f"memory {resident['first']} -> {resident['last']} MB, {grows}; "
        f"threads {threads['least']} to {threads['most']}, "
        f"descriptors {descriptors['least']} to {descriptors['most']}"
    )


def _floor(readings: list[Reading]) -> tuple[list[float], list[float]]:
    """Middle of every whole window, seconds, and the least resident memory within, MB."""
    begin_s = readings[0].at_s
    windows: dict[int, list[Reading]] = {}
    for reading in readings:
        windows.setdefault(int((reading.at_s - begin_s) / _WINDOW_S), []).append(reading)
    if len(windows) > 1:
        del windows[max(windows)]  # not whole
    times = [begin_s + (n + 0.5) * _WINDOW_S for n in windows]
    return times, [min(r.resident_mb for r in window) for window in windows.values()]


def _range(values: list[int]) -> dict[str, int]:
    return {"least": min(values), "most": max(values), "last": values[-1]}
