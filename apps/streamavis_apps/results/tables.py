"""Rich renderables that several programs share: the live board and the latency table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from rich import box
from rich.console import Group
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from streamavis.words import UNKNOWN, delay, direction, percent
from streamavis_apps.results.board import sounding_names
from streamavis_apps.text import shown

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.console import RenderableType

    from streamavis.status import LatencySummary
    from streamavis.types import FrameResult, Track
    from streamavis.wire import Age
    from streamavis_apps.results.board import Board

__all__ = ["board_panel", "latency_table"]

_PERCENTILES: tuple[Literal["p50_ms", "p95_ms", "p99_ms", "max_ms"], ...] = (
    "p50_ms",
    "p95_ms",
    "p99_ms",
    "max_ms",
)
_MIN_ROWS = 5  # the panel keeps its height while objects come and go
_NARROW = 76  # columns below which box and score are left out
_TINY = 56  # columns below which the meter is a number
_OLD_S = 0.5  # a robot should not act on what is older
_WIDE = 96  # more than this makes the eye travel


def board_panel(board: Board, *, title: str, age: Age | None, columns: int) -> RenderableType:
    """Draw the newest result: what sounds, every track, and the health of the stream.

    Args:
        board: has seen at least one result.
        title: stream and address.
        age: of what is shown; None: the stream is silent.
        columns: width of the terminal.
    """
    result = board.result
    assert result is not None, "board_panel before the first result"
    return Panel(
        Group(_heading(result), _tracks(board, result, columns), _health(board, result, age)),
        title=Text(shown(title), style="bold"),
        title_align="left",
        border_style="dim",
        width=min(columns, _WIDE),
        padding=(0, 2),
    )


def latency_table(stages: Mapping[str, LatencySummary], heading: str) -> Table:
    """Milliseconds a frame spent in each stage, in the order it passed through them."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
    table.add_column(heading)
    for column in _PERCENTILES:
        table.add_column(column.removesuffix("_ms"), justify="right", min_width=7)
    for name, summary in stages.items():
        figures = (f"{summary[column]:.1f}" for column in _PERCENTILES)
        table.add_row(name, *figures, style="bold" if name == "total" else "")
    return table


def _heading(result: FrameResult) -> Text:
    names = sounding_names(result)
    style = "bold green" if any(track.is_sounding for track in result.tracks) else "dim"
    if names.startswith("unknown"):
        style = "yellow"
    where = direction(result.sound_bearing)
    known = result.sound_bearing is not None and result.sound_bearing.azimuth is not None
    rest = (f"  {where}", "cyan" if known else "dim") if where else ""
    return Text.assemble("Now sounding: ", (names, style), rest, overflow="fold")


def _tracks(board: Board, result: FrameResult, columns: int) -> Table:
    table = Table(box=box.SIMPLE_HEAD, expand=True, padding=(0, 1), pad_edge=False)
    table.add_column("id", justify="right", min_width=3)
    table.add_column("object", ratio=1, no_wrap=True, overflow="ellipsis")
    table.add_column("sounding", width=16 if columns >= _TINY else 8)
    table.add_column("since", justify="right", min_width=8)
    bearings = any(track.bearing is not None for track in result.tracks)
    if bearings and columns >= _NARROW:
        table.add_column("right, up", justify="right", min_width=9)
    boxes = columns >= _NARROW and not bearings  # there is no room for both
    if boxes:
        table.add_column("box x y w h", justify="right", min_width=19)
        table.add_column("score", justify="right")
    tracks = sorted(result.tracks, key=lambda track: track.id)
    for track in tracks:
        cells: list[RenderableType] = [
            str(track.id),
            Text(shown(track.label)),
            _meter(track, bar=columns >= _TINY),
        ]
        cells.append(f"{board.since_s(track):.1f} s")
        if bearings and columns >= _NARROW:
            cells.append(_bearing(track))
        if boxes:
            cells += [" ".join(f"{side:4d}" for side in track.box), percent(track.score)]
        style = "bold green" if track.is_sounding else "dim" if track.visible == 0 else ""
        table.add_row(*cells, style=style)
    for _ in range(_MIN_ROWS - len(tracks)):
        table.add_row()
    return table


def _bearing(track: Track) -> Text:
    """Degrees to the right and up; marked where the sound comes from there."""
    if track.bearing is None:
        return Text(UNKNOWN, style="dim")
    right, up = track.bearing
    return Text(f"{right:+.0f}° {up:+.0f}°", style="cyan" if track.bearing_agrees else "")


def _meter(track: Track, *, bar: bool) -> RenderableType:
    if track.sounding is None:
        return Text(percent(None), style="yellow")
    if not bar:
        return percent(track.sounding)
    meter = ProgressBar(
        total=1.0,
        completed=track.sounding,
        width=10,
        complete_style="green" if track.is_sounding else "dim",
        finished_style="green",
    )
    grid = Table.grid(padding=(0, 1))
    grid.add_row(meter, percent(track.sounding))
    return grid


def _health(board: Board, result: FrameResult, age: Age | None) -> Text:
    parts = [Text(f"at {result.capture_time_ns / 1e9:.1f} s")] if result.clock == "pts" else []
    parts += [_state("audio", result.audio), _state("video", result.video)]
    if board.fps is not None:
        parts.append(Text(f"{board.fps:.1f} frames/s"))
    if age is None:
        parts.append(Text("nothing arrives", style="bold red"))
    else:
        bound = "" if age.exact else "> "
        style = "red" if age.seconds > _OLD_S else ""
        parts.append(Text(f"age {bound}{delay(age.seconds * 1e3)}", style=style))
    parts.append(Text(f"{board.missed} missed", style="yellow" if board.missed else ""))
    return Text(" | ").join(parts)


def _state(kind: str, state: str) -> Text:
    style = {"ok": "green", "lost": "bold red"}.get(state, "yellow")
    return Text.assemble(f"{kind} ", (state, style))
