"""`streamavis compose`: clips composed of real pictures and sounds, with a progress bar."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from streamavis.errors import OutputError
from streamavis_apps.exits import ExitCode
from streamavis_apps.terminal import Terminal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    import numpy as np
    from numpy.typing import NDArray
    from rich.console import Console
    from streamavis_training.data.compose.composer import Composed
    from streamavis_training.data.compose.library import Library
    from streamavis_training.data.compose.look import Look
    from streamavis_training.data.compose.write import Statistics
    from streamavis_training.data.sample import ClipShape

    from streamavis_apps.commands.options import Size

__all__ = ["Request", "default_cache", "run"]

_SHEET_WIDTH = 1400  # pixels, about


@dataclass(frozen=True)
class Request:
    """What is asked for; see the help of the command."""

    data: Sequence[Path]
    out: Path | None
    sheet: Path | None
    n: int
    seed: int
    split: str
    tiers: tuple[str, ...]
    fps: float
    size: Size
    duration_s: float
    jobs: int
    cache: Path | None
    classes: tuple[str, ...] = ()  # empty: all that are known
    settings: tuple[str, ...] = ()  # PATH=VALUE: fields of `Look`


def run(request: Request, *, console: Console | None = None) -> ExitCode:
    """Compose clips into a folder, a contact sheet, or both.

    Args:
        request: what to make.
        console: where progress and statistics go; standard output by default.

    Raises:
        ArgumentError: there is no such class or field.
        InputError: the material cannot be read.
        OutputError: something cannot be written.
    """
    from streamavis_training.data.compose.library import Library
    from streamavis_training.data.compose.look import Look
    from streamavis_training.data.compose.vocabulary import REAL_WORLD
    from streamavis_training.data.compose.write import Statistics, clips
    from streamavis_training.data.sample import ClipShape
    from streamavis_training.overrides import merged, override, parse

    look = override(Look(), merged(map(parse, request.settings)))
    console = console or Terminal()
    frames = max(round(request.duration_s * request.fps), 1)
    shape = ClipShape(frames, request.size.height, request.size.width, (request.fps,))
    with _bar(console) as progress:
        decoding = progress.add_task("decoding", total=None)
        library = Library.read(
            request.data,
            request.split,
            request.tiers,
            cache=request.cache or default_cache(),
            vocabulary=REAL_WORLD.only(request.classes) if request.classes else REAL_WORLD,
            jobs=request.jobs,
            progress=lambda done, total: progress.update(decoding, completed=done, total=total),
        )
        progress.remove_task(decoding)
        if request.out is not None:
            statistics = _write(request, request.out, library, shape, look, progress)
        if request.sheet is not None:
            made = clips(library, request.n, request.seed, shape, look)
            bar = progress.add_task("drawing the sheet", total=request.n)
            tiles: list[NDArray[np.uint8]] = []
            drawn = _tiled(made, library.classes, tiles, lambda: progress.advance(bar))
            statistics = Statistics.of(drawn, library.classes)
            _write_sheet(request.sheet, tiles)
    console.print(_table(statistics))
    console.print(_summary(statistics), markup=False)
    for path in (request.out, request.sheet):
        if path is not None:
            console.print(
                f"{request.n} clips of {request.duration_s:g} s, split {request.split}, "
                f"seed {request.seed}: {path}",
                markup=False,
                soft_wrap=True,
            )
    return ExitCode.DONE


def _bar(console: Console) -> Progress:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    return Progress(*columns, console=console, disable=not console.is_terminal)


def default_cache() -> Path:
    """Where decoded material is kept unless a folder is named."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "streamavis/compose"


def _write(
    request: Request,
    out: Path,
    library: Library,
    shape: ClipShape,
    look: Look,
    progress: Progress,
) -> Statistics:
    from streamavis_training.data.compose.catalogue import Catalogue
    from streamavis_training.data.compose.unbundle import opened
    from streamavis_training.data.compose.write import write

    material = opened(request.data, request.cache or default_cache())
    chosen = Catalogue.read(material).choose(request.split, request.tiers)
    task = progress.add_task("composing", total=request.n)
    return write(
        library,
        out,
        request.n,
        request.seed,
        shape,
        look=look,
        info={
            "split": request.split,
            "tiers": list(request.tiers),
            "sources": [asdict(credit) for credit in chosen.credits()],
        },
        jobs=request.jobs,
        progress=lambda done: progress.update(task, completed=done),
    )


def _tiled(
    made: Iterable[Composed],
    classes: tuple[str, ...],
    tiles: list[NDArray[np.uint8]],
    advance: Callable[[], None],
) -> Iterator[Composed]:
    """The same clips; the middle frame of each is drawn into `tiles` on the way."""
    from streamavis_training.data.compose.sheet import drawn

    for one in made:
        middle = len(one.sample.frames) // 2
        tiles.append(drawn(one.sample, middle, classes, f"{one.kind}, {one.scenario},"))
        advance()
        yield one


def _write_sheet(path: Path, tiles: Sequence[NDArray[np.uint8]]) -> None:
    from streamavis_training.data.compose.sheet import contact_sheet

    columns = max(_SHEET_WIDTH // tiles[0].shape[1], 1)
    sheet = cv2.cvtColor(contact_sheet(tiles, columns), cv2.COLOR_RGB2BGR)
    done, data = cv2.imencode(".png", sheet)
    assert done, "OpenCV encodes an 8-bit picture"
    try:
        path.write_bytes(data.tobytes())
    except OSError as error:
        raise OutputError(f"{path}: cannot be written ({error.strerror})") from error


def _table(statistics: Statistics) -> Table:
    table = Table("class", title="objects in view")
    for name in ("objects", "share", "sounding"):
        table.add_column(name, justify="right")
    total = max(sum(statistics.in_view.values()), 1)
    for name, count in statistics.in_view.items():
        sounding = statistics.sounding[name] / count if count else 0.0
        table.add_row(name, str(count), f"{count / total:.1%}", f"{sounding:.0%}" if count else "-")
    return table


def _summary(statistics: Statistics) -> str:
    def shares(counts: dict[str, int]) -> str:
        return ", ".join(f"{name} {count / statistics.clips:.0%}" for name, count in counts.items())

    return (
        f"clips in which nothing in view sounds: {statistics.negatives / statistics.clips:.0%}\n"
        f"clips with two objects of one class: {statistics.pairs / statistics.clips:.0%}\n"
        f"pictures: {shares(statistics.kinds)}\n"
        f"sound: {shares(statistics.scenarios)}"
    )
