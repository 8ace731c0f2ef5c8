"""Figures of injected faults: as JSON, as a table, and compared with their goals."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.table import Table

from streamavis_benchmarks.faults.watch import GOALS_S, Fault, seconds

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from streamavis_benchmarks.faults.watch import FaultRecord

__all__ = ["figures_of", "missed_goals", "table_of"]


def figures_of(records: Iterable[FaultRecord]) -> dict[str, Any]:
    """By fault: how often, what never happened, median and maximum of both times."""
    by_fault: dict[Fault, list[FaultRecord]] = defaultdict(list)
    for one in records:
        by_fault[one.fault].append(one)
    return {
        fault: {
            "count": len(ones),
            "reported_s": _spread([one.reported_s for one in ones]),
            "recovered_s": _spread([one.recovered_s for one in ones]),
        }
        for fault, ones in by_fault.items()
    }


def missed_goals(faults: Mapping[Fault, Any]) -> list[str]:
    """The goals that were missed, one sentence each."""
    missed = []
    for name, figures in faults.items():
        for what, goal in zip(("reported_s", "recovered_s"), GOALS_S[name], strict=True):
            times = figures[what]
            if goal is not None and (times["never"] or times["max"] > goal):
                missed.append(f"{name}: {what} at most {times['max']}, goal {goal}")
    return missed


def table_of(faults: Mapping[Fault, Any]) -> Table:
    """The figures for people, beside their goals."""
    table = Table(box=None, header_style="dim")
    spans = ("reported s, p50", "max", "goal", "recovered s, p50", "max", "goal")
    for heading in ("fault", "times", *spans):
        table.add_column(heading, justify="left" if heading == "fault" else "right")
    for name, figures in faults.items():
        cells = [name, str(figures["count"])]
        for what, goal in zip(("reported_s", "recovered_s"), GOALS_S[name], strict=True):
            times = figures[what]
            shown = "-" if goal is None else f"{goal:g}"
            cells += [seconds(times["p50"]), seconds(times["max"]), shown]
        table.add_row(*cells)
    return table


def _spread(values: list[float | None]) -> dict[str, Any]:
    met = [value for value in values if value is not None]
    return {
        "never": len(values) - len(met),
        "p50": round(float(np.median(met)), 3) if met else None,
        "max": round(max(met), 3) if met else None,
    }
