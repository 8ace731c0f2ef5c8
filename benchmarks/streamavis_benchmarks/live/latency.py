"""Latencies of matched results as figures, and held to the goal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from streamavis_benchmarks.live.match import PARTS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from streamavis_benchmarks.live.match import Matched

__all__ = ["OUTSIDE_MS", "latency_figures", "missed_latency"]

OUTSIDE_MS = 60.0  # goal: p95 of all at most the model's p95 and this
_GROWTH_MS = 5.0  # of the median outside the model, from the first third to the last
_FEWEST = 9


def latency_figures(matched: Sequence[Matched]) -> dict[str, Any]:
    """Latency from camera to robot, the part of the model, and its course over time.

    With too few results only their number is given.
    """
    if len(matched) < _FEWEST:
        return {"results": len(matched)}
    parts = {name: np.array([m.parts_ms[name] for m in matched]) for name in PARTS}
    total, model = sum(parts.values(), np.zeros(len(matched))), parts["model"]
    return {
        "results": len(matched),
        "total_ms": _percentiles(total),
        "model_ms": _percentiles(model),
        "outside_ms": _percentiles(total - model),
        # How it went on: medians of the first, the second and the last third.
        "outside_p50_by_thirds_ms": _by_thirds(total - model),
        "parts_p50_by_thirds_ms": {name: _by_thirds(part) for name, part in parts.items()},
    }


def missed_latency(figures: dict[str, Any]) -> list[str]:
    """The goals that `latency_figures` miss, one sentence each."""
    if "total_ms" not in figures:
        return []
    missed = []
    total, model = figures["total_ms"]["p95"], figures["model_ms"]["p95"]
    if total > model + OUTSIDE_MS:
        missed.append(f"p95 {total:.0f} ms, the model's {model:.0f} ms, goal +{OUTSIDE_MS:.0f}")
    first, _, last = figures["outside_p50_by_thirds_ms"]
    if last > first + _GROWTH_MS:
        missed.append(f"latency outside the model grows from {first:.0f} to {last:.0f} ms")
    return missed


def _by_thirds(values: NDArray[np.float64]) -> list[float]:
    return [round(float(np.median(third)), 2) for third in np.array_split(values, 3)]


def _percentiles(values: NDArray[np.float64]) -> dict[str, float]:
    return {
        **{f"p{q}": round(float(np.percentile(values, q)), 2) for q in (50, 95, 99)},
        "max": round(float(values.max()), 2),
    }
