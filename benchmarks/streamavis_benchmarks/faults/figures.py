"""Faults a robot lived through, as figures: to keep, to read, and held to their goals."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.table import Table

from streamavis_benchmarks.faults.watch import GOALS_S, Fault, seconds

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from streamavis_benchmarks.faults.watch import Endured

__all__ = ["figures_of", "missed_goals", "table_of"]


def figures_of(endured: Iterable[Endured]) -> dict[str, Any]:
    """By fault: how often, what never happened, median and maximum of both times."""
    by_fault: dict[Fault, list[Endured]] = defaultdict(list)
    for one in endured:
        by_fault[one.fault].append(one)
    return {
        fault: {
            "count": len(ones),
            "told_s": _spread([one.told_s for one in ones]),
            "good_s": _spread([one.good_s for one in ones]),
        }
        for fault, ones in by_fault.items()
    }


def missed_goals(faults: Mapping[Fault, Any]) -> list[str]:
    """The goals that were missed, one sentence each."""
    missed = []
    for name, figures in faults.items():
        for what, goal in zip(("told_s", "good_s"), GOALS_S[name], strict=True):
            times = figures[what]
            if goal is not None and (times["never"] or times["max"] > goal):
                missed.append(f"{name}: {what} at most {times['max']}, goal {goal}")
    return missed


def table_of(faults: Mapping[Fault, Any]) -> Table:
    """The figures for people, beside their goals."""
    table = Table(box=None, header_style="dim")
    for heading in ("fault", "times", "told s, p50", "max", "goal", "good s, p50", "max", "goal"):
        table.add_column(heading, justify="left" if heading == "fault" else "right")
    for name, figures in faults.items():
        told, good = figures["told_s"], figures["good_s"]
        goals = [("-" if goal is None else f"{goal:g}") for goal in GOALS_S[name]]
        table.add_row(
            name, str(figures["count"]), seconds(told["p50"]), seconds(told["max"]), goals[0],
            seconds(good["p50"]), seconds(good["max"]), goals[1],
        )  # fmt: skip
    return table


def _spread(values: list[float | None]) -> dict[str, Any]:
    met = [value for value in values if value is not None]
    return {
        "never": len(values) - len(met),
        "p50": round(float(np.median(met)), 3) if met else None,
        "max": round(max(met), 3) if met else None,
    }
