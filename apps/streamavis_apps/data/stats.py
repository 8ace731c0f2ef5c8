"""`streamavis data stats`: what is in a data set, as a table, as JSON and as a page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich import box
from rich.table import Table

from streamavis.errors import OutputError
from streamavis_apps.data.check import counting
from streamavis_apps.exits import ExitCode
from streamavis_apps.figures import write
from streamavis_apps.terminal import Terminal

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from rich.console import Console
    from streamavis_training.data.stats import Figures

__all__ = ["ROWS", "run"]


def run(
    path: Path,
    *,
    json_path: Path | None = None,
    html_path: Path | None = None,
    console: Console | None = None,
) -> ExitCode:
    """Count what is in the data set at `path` and print it; write the files asked for.

    Raises:
        InputError: there is no data set, or it has a problem.
        OutputError: a file cannot be written.
    """
    from streamavis_training.data.places import find
    from streamavis_training.data.stats import figures

    console = console or Terminal()
    found = []
    for place in find(path):
        with counting(console, "counting") as progress:
            found.append(figures(place, progress))
    console.print(_summary(found))
    console.print(_classes(found))
    write(console, json_path, {"path": str(path), "splits": [f.document() for f in found]})
    if html_path is not None:
        from streamavis_apps.report.data_page import data_page

        try:
            html_path.write_text(data_page(str(path), found), encoding="utf-8")
        except OSError as error:
            raise OutputError(f"{html_path}: cannot be written: {error.strerror}") from error
        console.print(f"page  {html_path}", markup=False, soft_wrap=True)
    return ExitCode.DONE


def _per(part: float, whole: float) -> str:
    return f"{part / whole:.2f}" if whole else "-"


def _share(part: int | None, whole: int | None) -> str:
    return f"{100 * part / whole:.1f} %" if part is not None and whole else "-"


def _span(f: Figures) -> str:
    minutes, seconds = divmod(round(f.seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{seconds:02d}" if f.videos else "-"


def _many(counts: dict[str, int]) -> str:
    shown = ", ".join(f"{name} ({count:,})" for name, count in [*counts.items()][:3])
    return (shown + (", ..." if len(counts) > 3 else "")) or "-"


# What the table and the page show of a split.
ROWS: dict[str, Callable[[Figures], str]] = {
    "layout": lambda f: f.kind,
    "videos": lambda f: f"{f.videos:,}" if f.videos else "-",
    "duration, h:min:s": _span,
    "mean video, s": lambda f: _per(f.seconds, f.videos),
    "frames or pictures": lambda f: f"{f.frames:,}",
    "frames per second": lambda f: _many(f.rates),
    "sizes": lambda f: _many(f.sizes),
    "categories": lambda f: f"{len(f.classes):,}",
    "... with an object": lambda f: f"{sum(c.objects > 0 for c in f.classes.values()):,}",
    "objects": lambda f: f"{f.objects:,}",
    "masks": lambda f: f"{f.masks:,}",
    "objects per video or picture": lambda f: _per(f.objects, f.videos or f.frames),
    "... at most": lambda f: f"{f.most_objects:,}",
    "masks per frame": lambda f: _per(f.masks, f.frames),
    "with two objects of a class": lambda f: _share(f.paired_videos, f.videos or f.frames),
    "without an object": lambda f: _share(f.empty_videos, f.videos or f.frames),
    "object-frames that sound": lambda f: "-" if f.sounding is None else f"{f.sounding:,}",
    "... of those in view": lambda f: _share(f.sounding, f.visible),
    "frames, nothing sounds": lambda f: _share(f.frames_silent, f.frames),
    "frames, one object sounds": lambda f: _share(f.frames_single, f.frames),
    "frames, several sound": lambda f: _share(f.frames_multiple, f.frames),
}


def _summary(found: Sequence[Figures]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("")
    for figures in found:
        table.add_column(figures.name, justify="right", overflow="fold")
    for name, cell in ROWS.items():
        cells = [cell(figures) for figures in found]
        if any(text != "-" for text in cells):
            table.add_row(name, *cells)
    return table


def _classes(found: Sequence[Figures]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("split", "class"):
        table.add_column(name, overflow="fold")
    for name in ("videos", "objects", "masks", "sounding"):
        table.add_column(name, justify="right")
    for figures in found:
        largest = sorted(figures.classes.items(), key=lambda c: (-c[1].objects, c[0]))
        for label, of in largest:
            sounding = "-" if figures.sounding is None else f"{of.sounding:,}"
            counts = (f"{of.videos:,}", f"{of.objects:,}", f"{of.masks:,}", sounding)
            table.add_row(figures.name, label, *counts)
    return table
