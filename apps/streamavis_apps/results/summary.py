"""What a replay ends with: what was measured, and where its outputs are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streamavis_apps.results.tables import latency_table

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from rich.console import Console

    from streamavis.status import EngineReport, LatencySummary

__all__ = ["print_summary", "stages_of"]

_HOW = {"ended": "", "stopped": ", stopped early", "truncated": ", the input broke off"}


def stages_of(report: EngineReport) -> dict[str, LatencySummary]:
    """The latencies that mean something, in the order of the stages.

    A replay without pacing decodes frames ahead of their turn: how long one waited is left out.
    """
    left_out = {"lateness"}
    if "lateness" not in report.stages and report.video is None:
        left_out = {"receive", "queue", "total"}
    return {name: stage for name, stage in report.stages.items() if name not in left_out}


def print_summary(
    console: Console, name: str, report: EngineReport, outputs: Mapping[str, Path | str]
) -> None:
    """Print the figures of a stream that is over, then its outputs, one line each.

    Args:
        console: where to.
        name: of what was replayed.
        report: its figures.
        outputs: what each is -> where it is.
    """
    dropped = sum(report.dropped.values())
    causes = ", ".join(f"{n} {cause}" for cause, n in report.dropped.items())
    lines = [
        f"{name}: {report.processed} frames in {report.duration_s:.1f} s "
        f"({report.frames_per_s:.1f} frames/s){_HOW.get(report.phase, ', failed')}",
        f"dropped: {dropped}" + (f" ({causes})" if causes else ""),
    ]
    lateness = report.stages.get("lateness")
    if lateness is not None:
        lines.append(
            f"behind real time: p50 {lateness['p50_ms']:.0f} ms, p99 {lateness['p99_ms']:.0f} ms, "
            f"at most {lateness['max_ms']:.0f} ms"
        )
    for line in lines:
        console.print(line, markup=False, soft_wrap=True)
    if report.processed:
        is_paced = lateness is not None or report.video is not None
        heading = "latency, ms" if is_paced else "ms per frame"
        console.print(latency_table(stages_of(report), heading))
    width = max((len(what) for what in outputs), default=0)
    for what, where in outputs.items():
        console.print(f"{what:{width}}  {where}", markup=False, soft_wrap=True)
