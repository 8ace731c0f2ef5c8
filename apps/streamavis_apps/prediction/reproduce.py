"""`streamavis reproduce`: every weights file of a folder through a data set, as tables."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from streamavis import metrics
from streamavis.errors import CheckpointError, InputError, OutputError
from streamavis_apps.commands.options import AUTO, Compute
from streamavis_apps.exits import ExitCode
from streamavis_apps.machine import machine
from streamavis_apps.prediction.networks import PUBLISHED, load
from streamavis_apps.prediction.paper_tables import TableRow, markdown, traits_of
from streamavis_apps.prediction.predict import PredictionPlan, predict
from streamavis_apps.prediction.published import PUBLISHED_ROWS
from streamavis_apps.terminal import Terminal

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console

    from streamavis_apps.prediction.networks import Mode

__all__ = ["Reproducing", "run"]

_TABLES, _FIGURES = "tables.md", "tables.json"


@dataclass(frozen=True, kw_only=True)
class Reproducing:
    """Which weights on which data."""

    data: Path  # the data set, or its test split
    weights: Path
    out: Path
    vggish: Path | None = None
    also_causal: bool = False  # offline weights a second time, frame by frame
    limit: int | None = None
    jobs: int = 1
    compute: Compute = AUTO


def run(plan: Reproducing, *, console: Console | None = None) -> ExitCode:
    """Predict with every file, score, print the tables and write them.

    Predictions of an earlier run are kept. A file that is not usable is marked in its row.

    Raises:
        InputError: the data set is not usable.
        OutputError: the folder cannot be written.
    """
    console = console or Terminal()
    split = plan.data / "test" if (plan.data / "test").is_dir() else plan.data
    if not plan.weights.is_dir():
        raise InputError(f"{plan.weights}: is no folder; name the one that holds the weights")
    try:
        plan.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{plan.out}: cannot be made: {error.strerror}") from error
    rows: list[TableRow] = []
    for path in _weights(plan.weights):
        for mode in _modes(plan, path):
            name = path.name if mode is None else f"{path.name}, {mode}"
            console.rule(name, style="dim")
            row, stopped = _row(plan, split, path, mode, console)
            rows.append(row)
            if stopped is not None:
                console.print("stopped; run the same command again to go on", markup=False)
                return stopped
    _write(plan, rows, console)
    return ExitCode.DONE


def _weights(folder: Path) -> list[Path]:
    """Files that may hold a network; without VGGish's own."""
    kinds = {".safetensors", *PUBLISHED}
    return sorted(
        path
        for path in folder.iterdir()
        if path.suffix in kinds and path.is_file() and "vggish" not in path.name.lower()
    )


def _modes(plan: Reproducing, path: Path) -> tuple[Mode | None, ...]:
    if not plan.also_causal:
        return (None,)
    try:
        offline = load(path).mode == "offline"
    except CheckpointError:
        return (None,)  # its row says why
    return ("offline", "causal") if offline else (None,)


def _row(
    plan: Reproducing, split: Path, path: Path, mode: Mode | None, console: Console
) -> tuple[TableRow, ExitCode | None]:
    """A row, and how the run was stopped if it was."""
    name = path.stem if mode is None else f"{path.stem}, {mode}"
    window = _window(path.stem)
    try:
        loaded = load(path, mode, plan.vggish, window=window)
    except CheckpointError as error:
        console.print(str(error), style="yellow", markup=False, soft_wrap=True)
        return TableRow(name, problem="not usable: " + " ".join(str(error).split())), None
    row = TableRow(name, traits_of(loaded, path.stem))
    out = plan.out / f"{path.stem}{'' if mode is None else '-' + mode}.json"
    done = predict(
        PredictionPlan(
            data=split,
            model=str(path),
            out=out,
            mode=mode,
            vggish=plan.vggish,
            window=window,
            limit=plan.limit,
            jobs=plan.jobs,
            compute=plan.compute,
            keep=True,
        ),
        console,
    )
    if not done.complete:
        return row, done.exit_code
    row.frames_per_s = done.frames_per_s
    truth = metrics.read_truth(done.split.source)
    wanted = set(done.videos)
    truth.videos = [video for video in truth.videos if video.id in wanted]
    with metrics.workers(plan.jobs) as apply:
        found = metrics.evaluate(truth, metrics.read_predictions(out, truth), apply=apply)
    for protocol, scores in (("official", found.official), ("corrected", found.corrected)):
        if scores is not None:
            row.scores[protocol] = scores.summary
    if found.official_error is not None:
        console.print(found.official_error, style="yellow", markup=False, soft_wrap=True)
    return row, None


def _window(stem: str) -> int:
    """Frames of a window as a file's name says it, such as `R50_w3`; 6, the paper's, otherwise."""
    tokens = stem.lower().replace("-", "_").split("_")
    named = [int(one[1:]) for one in tokens if one[:1] == "w" and one[1:].isdecimal()]
    return named[0] if named else 6


def _write(plan: Reproducing, rows: list[TableRow], console: Console) -> None:
    about = machine()
    videos = "all videos" if plan.limit is None else f"the first {plan.limit} videos only"
    caption = (
        f"{plan.data.name}, {videos}. Percent. frames/s: of one process, pictures and sound read "
        f"from disk, on {about['cpu']}. Published rows are the papers' own figures under the "
        "official protocol; `-` is not known here."
    )
    text = "\n".join(markdown(rows, protocol, caption) for protocol in metrics.PROTOCOLS)
    document = {
        "data": str(plan.data),
        "limit": plan.limit,
        "machine": about,
        "models": [row.document() for row in rows],
        "published": [vars(one) for one in PUBLISHED_ROWS],
    }
    try:
        (plan.out / _TABLES).write_text(text)
        (plan.out / _FIGURES).write_text(json.dumps(document, indent=1, allow_nan=False) + "\n")
    except OSError as error:
        raise OutputError(f"{plan.out}: cannot be written: {error.strerror}") from error
    console.print(text, markup=False, soft_wrap=True)
    for name in (_TABLES, _FIGURES):
        console.print(f"written  {plan.out / name}", markup=False, soft_wrap=True)
