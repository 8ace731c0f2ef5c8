"""`streamavis data check`: every problem of a data set, with progress."""

from __future__ import annotations

import json
import multiprocessing
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import cv2
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from streamavis.errors import OutputError
from streamavis_apps.exits import ExitCode
from streamavis_apps.terminal import Terminal

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console
    from streamavis_training.data.check import Checked, Problem

__all__ = ["counting", "run"]


def run(
    path: Path, *, jobs: int = 1, json_path: Path | None = None, console: Console | None = None
) -> ExitCode:
    """Check the data set at `path` and print what is wrong with it.

    Returns:
        FAILED where there is a problem.

    Raises:
        InputError: there is no data set.
        OutputError: the list cannot be written.
    """
    from streamavis_training.data.check import check

    console = console or Terminal()
    with _mapping(jobs) as apply, counting(console, "checking") as progress:
        checked = check(path, apply=apply, progress=progress)
    _print(console, checked)
    if json_path is not None:
        _write(json_path, checked)
        console.print(f"list  {json_path}", markup=False, soft_wrap=True)
    return ExitCode.DONE if checked.clean else ExitCode.FAILED


@contextmanager
def counting(console: Console, what: str) -> Iterator[Callable[[int, int], None]]:
    """A bar with the time that remains; it takes how much is done, and of how much."""
    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(
        *columns, console=console, disable=not console.is_terminal, transient=True
    ) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


Map = Callable[[Callable[[Any], Any], Iterable[Any]], Iterable[Any]]


@contextmanager
def _mapping(jobs: int) -> Iterator[Map]:
    if jobs == 1:
        yield map
        return
    context = multiprocessing.get_context("spawn")
    workers = ProcessPoolExecutor(jobs, context, initializer=cv2.setNumThreads, initargs=(1,))
    try:
        yield workers.map
    finally:
        workers.shutdown(cancel_futures=True)


def _print(console: Console, checked: Checked) -> None:
    by_file: dict[Path, list[Problem]] = {}
    for problem in checked.problems:
        by_file.setdefault(problem.file, []).append(problem)
    for file, problems in by_file.items():
        console.print(Text(str(file), style="bold"), soft_wrap=True)
        for problem in problems:
            kind, style = ("problem", "red") if problem.severe else ("note", "yellow")
            line = Text.assemble("  ", (f"{kind:8}", style), str(problem))
            console.print(line, soft_wrap=True)
    for place in checked.places:
        sound = "" if place.kind == "COCO" else ", with sound" if place.sounds else ", no sound"
        console.print(
            f"{place.annotations}: {place.kind}'s layout, pictures in {place.pictures}{sound}",
            markup=False,
            soft_wrap=True,
        )
    looked = [
        _counted(checked.videos, "video") if checked.videos else "",
        _counted(checked.pictures, "picture"),
        _counted(checked.sounds, "sound") if checked.sounds else "",
        _counted(checked.objects, "object"),
        _counted(checked.masks, "mask"),
    ]
    severe = sum(problem.severe for problem in checked.problems)
    notes = len(checked.problems) - severe
    found = _counted(severe, "problem") if severe else "no problem"
    console.print(
        Text.assemble(
            ", ".join(part for part in looked if part) + ": ",
            (found, "bold red" if severe else "bold green"),
            f", {_counted(notes, 'note')}" if notes else "",
        ),
        soft_wrap=True,
    )


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def _write(path: Path, checked: Checked) -> None:
    counts = {
        name: getattr(checked, name)
        for name in ("videos", "pictures", "sounds", "objects", "masks")
    }
    content = {
        "clean": checked.clean,
        **counts,
        "splits": [
            {"annotations": str(p.annotations), "pictures": str(p.pictures), "layout": p.kind}
            for p in checked.places
        ],
        "problems": [
            {"file": str(p.file), "where": p.where, "what": p.what, "problem": p.severe}
            for p in checked.problems
        ],
    }
    try:
        path.write_text(json.dumps(content, indent=1) + "\n")
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror}") from error
