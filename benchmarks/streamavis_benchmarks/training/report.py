"""Tables from records: Markdown to read, JSON to keep."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING, Any

from streamavis_benchmarks.training.plan import MAIN, STUDIES, TEACHER

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from streamavis_benchmarks.training.plan import Study
    from streamavis_benchmarks.training.record import Record

__all__ = ["document", "markdown"]

FIGURES = ("FSLA", "HOTA", "mAP")
PROTOCOLS = ("official", "corrected")
_GAP = 3.5  # HOTA that a distilled student may be below its teacher
_NONE = "-"


def document(records: Sequence[Record], command: str) -> dict[str, Any]:
    """For JSON: every record, and each row's mean and range."""
    rows = [
        {"study": study.name, "row": variant.name, "runs": len(found), "figures": _figures(found)}
        for study in STUDIES
        for variant in study.variants
        if (found := _of(records, variant.name))
    ]
    runs = [
        {name: value for name, value in vars(record).items() if name != "title"}
        for record in records
    ]
    return {"benchmark": "training", "command": command, "rows": rows, "runs": runs}


def markdown(records: Sequence[Record], command: str) -> str:
    """The report: a table a study, and what was to be shown."""
    lines = [
        "# Short training runs",
        "",
        f"Made by `{command}` from the records of the runs. [TRAINING.md](TRAINING.md) says how to "
        "read them.",
        "Do not compare the figures with published ones: other data, other classes, minutes of "
        "training.",
        "",
        *_about(records),
    ]
    for study in STUDIES:
        lines += ["", f"## {study.title}", ""]
        lines += _study(study, records)
        if study is MAIN:
            lines += _claim(records)
    lines += ["", "## Runs", "", *_runs(records)]
    return "\n".join(lines) + "\n"


def _about(records: Sequence[Record]) -> list[str]:
    if not records:
        return ["No run is done."]
    first = records[0]
    loads = [r.machine["load_1min"] for r in records if r.machine.get("load_1min") is not None]
    shared = f", load {min(loads):g} to {max(loads):g}" if loads else ""
    return [
        f"* Data: {first.train_clips} clips to train on, {first.val_clips} to score on.",
        f"* Machine: {first.machine['cpu']}, {first.machine['cores']} cores{shared}, "
        f"torch {first.machine['versions']['torch']}, one process a run, no GPU.",
        "* Figures are percent, mean over seeds (lowest to highest). Minutes are of training.",
        "* Official: with an empty mask in every frame without one, as the published code writes "
        "them; the public evaluator aborts at `null`.",
    ]


def _study(study: Study, records: Sequence[Record]) -> list[str]:
    rows = [v for v in MAIN.variants if v.name == study.base] + list(study.variants)
    found = {variant.name: _of(records, variant.name) for variant in rows}
    missing = [v for v in study.variants if not found[v.name]]
    if study.base:  # beside the same seeds only
        seeds = {run.seed for variant in study.variants for run in found[variant.name]}
        found[study.base] = [run for run in found[study.base] if run.seed in seeds]
    lines = []
    if study is not MAIN:
        lines += [f"`streamavis bench training --only {study.name}`", ""]
    if len(missing) == len(study.variants):
        return [*lines, "not run"]
    if study.remark:
        lines += [study.remark, ""]
    heads = [f"{name}, {protocol}" for protocol in PROTOCOLS for name in FIGURES]
    lines += _row(["", "seeds", "steps", "minutes", *heads])
    lines += _row(["---", *["---:"] * (3 + len(heads))])
    for variant in rows:
        runs = found[variant.name]
        if not runs:
            lines += _row([variant.title, "not run", *[_NONE] * (2 + len(heads))])
            continue
        minutes = statistics.mean(run.minutes for run in runs)
        time = f"{minutes:.1f}" if runs[0].steps else _NONE
        figures = [_spread(runs, protocol, name) for protocol in PROTOCOLS for name in FIGURES]
        steps = str(runs[0].steps) if runs[0].steps else _NONE
        lines += _row([variant.title, str(len(runs)), steps, time, *figures])
    return lines


def _claim(records: Sequence[Record]) -> list[str]:
    """Each seed: the distilled student beside its teacher and the undistilled one."""
    teacher = _of(records, TEACHER)
    plain = {run.seed: run for run in _of(records, "undistilled")}
    both = [run for run in _of(records, "distilled") if run.seed in plain]
    if not teacher or not both:
        return []
    lines = ["", f"Within {_GAP} HOTA of the teacher, and above the undistilled student:", ""]
    heads = ["protocol", "seed", "teacher", "distilled", "undistilled"]
    lines += _row([*heads, f"within {_GAP}", "above undistilled"])
    lines += _row(["---", *["---:"] * 4, "---", "---"])
    for protocol in PROTOCOLS:
        for run in both:
            values = [_value(r, protocol, "HOTA") for r in (teacher[0], run, plain[run.seed])]
            best, ours, theirs = values
            near = above = "not known"
            if best is not None and ours is not None and theirs is not None:
                near = f"{'yes' if best - ours <= _GAP else 'no'} ({ours - best:+.1f})"
                above = f"{'yes' if ours > theirs else 'no'} ({ours - theirs:+.1f})"
            lines += _row([protocol, str(run.seed), *map(_short, values), near, above])
    return lines


def _runs(records: Sequence[Record]) -> list[str]:
    if not records:
        return ["None."]
    heads = ["run", "steps", "minutes", "CPU minutes, all commands", "loss at the end"]
    lines = _row(heads) + _row(["---", *["---:"] * 4])
    for run in records:
        cpu = _NONE if run.cpu_minutes is None else f"{run.cpu_minutes:.1f}"
        time = f"{run.minutes:.1f}" if run.steps else _NONE
        steps = str(run.steps) if run.steps else _NONE
        lines += _row([run.name, steps, time, cpu, _short(run.loss, 2)])
    lines += ["", "<details><summary>Commands</summary>", "", "```"]
    lines += [run.command for run in records if run.command]
    return [*lines, "```", "", "</details>"]


def _of(records: Iterable[Record], variant: str) -> list[Record]:
    return sorted((r for r in records if r.variant == variant), key=lambda r: r.seed)


def _figures(runs: Sequence[Record]) -> dict[str, dict[str, dict[str, float] | None]]:
    found: dict[str, dict[str, dict[str, float] | None]] = {}
    for protocol in PROTOCOLS:
        found[protocol] = {}
        for name in runs[0].scores.get(protocol, {}):
            values = _values(runs, protocol, name)
            found[protocol][name] = (
                {
                    "mean": round(statistics.mean(values), 3),
                    "min": min(values),
                    "max": max(values),
                }
                if values
                else None
            )
    return found


def _spread(runs: Sequence[Record], protocol: str, name: str) -> str:
    values = _values(runs, protocol, name)
    if not values:
        return _NONE
    mean = f"{statistics.mean(values):.1f}"
    return mean if len(values) == 1 else f"{mean} ({min(values):.1f} to {max(values):.1f})"


def _values(runs: Sequence[Record], protocol: str, name: str) -> list[float]:
    return [v for run in runs if (v := _value(run, protocol, name)) is not None]


def _value(run: Record, protocol: str, name: str) -> float | None:
    return run.scores.get(protocol, {}).get(name)


def _short(value: float | None, digits: int = 1) -> str:
    return _NONE if value is None else f"{value:.{digits}f}"


def _row(cells: Sequence[str]) -> list[str]:
    return [f"| {' | '.join(cells)} |"]
