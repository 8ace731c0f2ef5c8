"""`streamavis eval`: scores of prediction files as a table, as JSON and as a page."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rich import box
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from streamavis import metrics
from streamavis.errors import OutputError
from streamavis_apps.exits import ExitCode
from streamavis_apps.report.pieces import figure, short_names
from streamavis_apps.terminal import Terminal

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from rich.console import Console

    from streamavis.metrics import Evaluation, FileScores, GroundTruth, Predictions, Protocol

__all__ = ["EvaluationPlan", "run"]

_RULES = (3, 11, 15)  # rows of the summary after which a family of numbers ends


@dataclass(frozen=True)
class EvaluationPlan:
    """What to evaluate, and where the numbers go."""

    truth: Path
    predictions: Sequence[Path]
    protocols: Sequence[Protocol] = metrics.PROTOCOLS
    json: Path | None = None
    html: Path | None = None
    media: Path | None = None  # pictures of the videos, for the page
    oracle: bool = False
    jobs: int = 1


def run(plan: EvaluationPlan, *, console: Console | None = None) -> ExitCode:
    """Evaluate, print the tables, then write the files.

    Raises:
        InputError: a file is not well-formed; nothing was written.
        OutputError: an output cannot be written.
    """
    console = console or Terminal()
    for path in (plan.json, plan.html):
        if path is not None and not path.parent.is_dir():
            raise OutputError(f"{path}: {path.parent} is no folder; create it first")
    with metrics.workers(plan.jobs) as apply, _progress(console) as progress:
        truth = metrics.read_truth(plan.truth, apply=apply)
        exact = "corrected" in plan.protocols
        read = [
            metrics.read_predictions(path, truth, exact_length=exact) for path in plan.predictions
        ]
        task = progress.add_task("", total=len(truth.videos) * len(read))

        def advance(_done: int, _total: int) -> None:
            progress.update(task, advance=1)
            progress.refresh()

        found = [
            metrics.evaluate(truth, one, protocols=plan.protocols, apply=apply, progress=advance)
            for one in read
        ]
    best = metrics.oracle(truth) if plan.oracle else None
    outputs: dict[Path, str] = {}
    if plan.json is not None:
        outputs[plan.json] = json.dumps(_document(found, best), indent=1, allow_nan=False) + "\n"
    if plan.html is not None:
        outputs[plan.html] = _page(plan.media, truth, read, found, best)
    _print(console, found, best)
    for path, text in outputs.items():
        _write(path, text)
        console.print(str(path), markup=False, soft_wrap=True)
    return ExitCode.DONE


def _page(
    media: Path | None,
    truth: GroundTruth,
    read: Sequence[Predictions],
    found: Sequence[Evaluation],
    best: FileScores | None,
) -> str:
    """The page; what draws it is loaded only when it is asked for."""
    from streamavis_apps.report.page import page

    if media is None:
        return page(truth, found, best, [])
    from streamavis_apps.report.frames import worst_frames

    return page(truth, found, best, worst_frames(truth, read, found, media))


def _progress(console: Console) -> Progress:
    columns = (TextColumn("evaluating"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    # Without a thread of its own: worker processes fork from one that is alone.
    return Progress(
        *columns,
        console=console,
        disable=not console.is_terminal,
        auto_refresh=False,
        transient=True,
    )


def _print(console: Console, found: Sequence[Evaluation], best: FileScores | None) -> None:
    names = short_names(found)
    columns: list[tuple[str, FileScores]] = []
    for name, one in zip(names, found, strict=True):
        for scores in (one.official, one.corrected):
            if scores is not None:
                columns.append((f"{name}\n{scores.protocol}", scores))
    if best is not None:
        columns.append(("oracle\nofficial", best))
    if columns:
        table = _table("percent", [heading for heading, _ in columns])
        for row, key in enumerate(metrics.SUMMARY):
            figures = [figure(scores.summary[key]) for _, scores in columns]
            table.add_row(key, *figures, end_section=row in _RULES)
        console.print(table)
    table = _table("in time", names)
    for key in found[0].streaming:
        table.add_row(key, *(figure(one.streaming[key]) for one in found))
    console.print(table)
    for name, one in zip(names, found, strict=True):
        if one.official_error is not None:
            line = f"{name}: no official numbers, {one.official_error}"
            console.print(line, style="yellow", markup=False, soft_wrap=True)


def _table(heading: str, columns: Sequence[str]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
    table.add_column(heading)
    for column in columns:
        table.add_column(column, justify="right", min_width=9)
    return table


def _document(found: Sequence[Evaluation], best: FileScores | None) -> dict[str, Any]:
    """One file's numbers, or a list of them under `runs`."""
    runs = [_of_file(one) for one in found]
    document: dict[str, Any] = runs[0] if len(runs) == 1 else {"runs": runs}
    if best is not None:
        document["oracle"] = _plain(best.summary)
    return document


def _of_file(one: Evaluation) -> dict[str, Any]:
    document: dict[str, Any] = {"predictions": one.source}
    if one.official is not None:
        document["official"] = _plain(one.official.summary)
    elif one.official_error is not None:
        document |= {"official": None, "official_error": one.official_error}
    if one.corrected is not None:
        document["corrected"] = _plain(one.corrected.summary)
    return document | {"streaming": _plain(one.streaming)}


def _plain(values: dict[str, float]) -> dict[str, float | None]:
    return {key: value if math.isfinite(value) else None for key, value in values.items()}


def _write(path: Path, text: str) -> None:
    """Replace the file at once: a reader finds the old or the new one."""
    unfinished = path.with_name(path.name + ".part")
    try:
        unfinished.write_text(text, encoding="utf-8")
        unfinished.replace(path)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written ({error.strerror})") from error
