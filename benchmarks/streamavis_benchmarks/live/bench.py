"""All runs of `bench live`: measured, printed, compared with the goals, written."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from rich.table import Table
from streamavis_apps.exits import ExitCode, Stop, stop_on_signals
from streamavis_apps.figures import write
from streamavis_apps.machine import machine
from streamavis_apps.terminal import Terminal

from streamavis.errors import InputError
from streamavis_benchmarks.faults.figures import missed_goals, table_of
from streamavis_benchmarks.live.claps import clap_figures, missed_claps
from streamavis_benchmarks.live.latency import missed_latency
from streamavis_benchmarks.live.measure import Run, measure
from streamavis_benchmarks.process_watch import as_sentence, missed_slope
from streamavis_benchmarks.rigs import Scene, missing
from streamavis_benchmarks.rigs.sounds import looped

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

__all__ = ["Bench", "run"]

_STOP_S = 2.0  # goal: from SIGTERM to the end


@dataclass(frozen=True, kw_only=True)
class Bench:
    """What to run: one camera after the other, and the claps."""

    runs: Sequence[Run]
    claps_s: float | None = None  # how long each clap test watches; None: there is none


def run(
    bench: Bench,
    *,
    json_path: Path | None = None,
    console: Console | None = None,
    stop: Stop | None = None,
) -> ExitCode:
    """Measure, print and write; FAILED where a goal is missed.

    Raises:
        StreamAVISError: there can be no microphone here, a part did not start or ended by
            itself, or `json_path` cannot be written.
    """
    console = console or Terminal(markup=True)
    about = machine()
    reason = missing()
    _check(bench.runs, reason)
    measured: list[dict[str, Any]] = []
    claps: dict[str, Any] = {}
    with stop_on_signals(stop) as stop:
        for one in bench.runs:
            if stop.event.is_set():
                break
            console.print(f"[bold]{one.camera}[/]", highlight=False)
            with console.status(f"measuring for {one.plan.minutes * 60:.0f} s"):
                measured.append(measure(one, console, stop))
            _tell(console, measured[-1])
        if bench.claps_s is not None and not stop.event.is_set():
            with (
                TemporaryDirectory(prefix="avis-") as folder,
                console.status("clapping, a minute or so"),
            ):
                claps = clap_figures(Path(folder), bench.claps_s, microphone=not reason)
            _tell_claps(console, claps)
    missed = [sentence for figures in measured for sentence in _missed(figures)]
    missed += missed_claps(claps) if claps else []
    for sentence in missed:
        console.print(f"MISSED {sentence}", markup=False, soft_wrap=True)
    figures = {"benchmark": "live", "runs": measured, "claps": claps, "machine": about}
    write(console, json_path, {**figures, "missed": missed})
    return ExitCode.FAILED if missed else stop.exit_code


def _check(runs: Sequence[Run], without_microphone: str) -> None:
    """Refuse at once what a rig would stumble over.

    Raises:
        InputError: says what.
    """
    for one in runs:
        Scene((one.camera.width, one.camera.height))
        if one.sound is not None:
            looped(one.sound)
        if one.microphone and without_microphone:
            raise InputError(
                f"the rig's microphone {without_microphone}; or measure with --mic none"
            )


def _missed(figures: dict[str, Any]) -> list[str]:
    missed = missed_latency(figures["latency"]) + missed_goals(figures["faults"])
    if not figures["frames"]["adds_up"]:
        missed.append(f"frames do not add up: {figures['frames']}")
    if figures["stopped_s"] > _STOP_S:
        missed.append(f"SIGTERM: ended after {figures['stopped_s']} s, goal {_STOP_S:g}")
    missed += missed_slope(figures["process"], figures["minutes"])
    return [f"{figures['camera']}: {sentence}" for sentence in missed]


def _tell(console: Console, figures: dict[str, Any]) -> None:
    frames = figures["frames"]
    _tell_latency(console, figures["latency"])
    if figures["faults"]:
        console.print(table_of(figures["faults"]))
    dropped = ", ".join(f"{n} {cause}" for cause, n in frames["dropped"].items()) or "none"
    lines = [
        f"{frames['left_the_camera']} pictures left the camera = "
        f"{frames['on_the_way_when_cut']} in connections that were cut + "
        f"{frames['before_the_engine_began']} before the engine began + "
        f"{frames['captured']} captured; those = {frames['processed']} results + {dropped}: "
        f"{'adds up' if frames['adds_up'] else 'DOES NOT ADD UP'}",
        f"{as_sentence(figures['process'])}; ended {figures['stopped_s']} s after SIGTERM",
    ]
    if "recorded_pictures" in figures:
        lines.append(f"the recording holds {figures['recorded_pictures']} pictures")
    for line in lines:
        console.print(line, markup=False, soft_wrap=True)


def _tell_latency(console: Console, latency: dict[str, Any]) -> None:
    if "total_ms" not in latency:
        console.print(f"{latency['results']} undisturbed results: too few for their latency")
        return
    table = Table(box=None, header_style="dim")
    for heading in ("ms", "p50", "p95", "p99", "max"):
        table.add_column(heading, justify="left" if heading == "ms" else "right")
    rows = {"camera to robot": "total_ms", "of which the model": "model_ms",
            "outside the model": "outside_ms"}  # fmt: skip
    for name, key in rows.items():
        table.add_row(name, *(f"{value:.1f}" for value in latency[key].values()))
    console.print(table)
    thirds = ", ".join(f"{third:.1f}" for third in latency["outside_p50_by_thirds_ms"])
    parts = ", ".join(
        f"{name} {thirds[-1]:.1f}" for name, thirds in latency["parts_p50_by_thirds_ms"].items()
    )
    console.print(f"p50 of the last third: {parts} ms", markup=False, soft_wrap=True)
    console.print(
        f"{latency['results']} results; outside the model, p50 by thirds: {thirds} ms",
        markup=False,
        soft_wrap=True,
    )


def _tell_claps(console: Console, claps: dict[str, Any]) -> None:
    for name, said in claps.items():
        if name == "fps":
            continue
        console.print(
            f"claps, sound by {name}: {said['offset_ms']:+d} +- {said['uncertainty_ms']} ms of 0, "
            f"{said['claps']} claps, a frame is {1000 / claps['fps']:.0f} ms",
            markup=False,
            soft_wrap=True,
        )
