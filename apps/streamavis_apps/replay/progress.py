"""How far a replay is: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Self

from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Column

from streamavis_apps.results.board import sounding_names

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from rich.console import Console

    from streamavis.status import EngineReport
    from streamavis.types import FrameResult

__all__ = ["ReplayProgress"]

_REDRAW_S = 0.2
_LINE_S = 10.0  # between lines where there is no terminal


class ReplayProgress:
    """Stream time, rate, drops and what sounds, drawn five times a second at most."""

    def __init__(
        self,
        console: Console,
        name: str,
        duration_s: float | None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Prepare; nothing is drawn before the first result.

        Args:
            console: decides by what it is between bar and lines.
            name: of what is replayed.
            duration_s: of stream time; None where unknown.
            clock: seconds, monotonic.
        """
        self._console = console
        self._name = name
        self._duration_s = duration_s
        self._clock = clock
        self._next_s = 0.0
        self._bar: Progress | None = None
        if console.is_terminal:
            self._bar = _bar(console)
            self._task = self._bar.add_task(
                name, total=duration_s, at="", rate="", dropped="", sounding=""
            )

    def __enter__(self) -> Self:
        if self._bar is not None:
            self._bar.start()
        else:
            self._next_s = self._clock() + _LINE_S
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def update(self, result: FrameResult, report: Callable[[], EngineReport]) -> None:
        """Take the newest result; `report` is asked only when something is drawn."""
        now_s = self._clock()
        if now_s < self._next_s:
            return
        self._next_s = now_s + (_REDRAW_S if self._bar is not None else _LINE_S)
        at_s = result.capture_time_ns / 1e9
        if self._duration_s is not None and at_s > self._duration_s:
            self._duration_s = None  # the container's duration is wrong, as in joined recordings
            if self._bar is not None:
                self._bar.tasks[self._task].total = None
        so_far = report()
        at = (
            f"{at_s:.1f} s"
            if self._duration_s is None
            else f"{at_s:.1f} of {self._duration_s:.1f} s"
        )
        rate = f"{so_far.frames_per_s:.1f} frames/s"
        dropped = f"{sum(so_far.dropped.values())} dropped"
        sounding = f"sounding: {sounding_names(result)}"
        if self._bar is None:
            line = f"{self._name}: {at}, {rate}, {dropped}, {sounding}"
            self._console.print(line, markup=False, highlight=False, soft_wrap=True)
        else:
            self._bar.update(
                self._task,
                completed=at_s,
                at=at,
                rate=rate,
                dropped=dropped,
                sounding=sounding,
            )
            self._bar.refresh()


def _bar(console: Console) -> Progress:
    def text(name: str) -> TextColumn:
        return TextColumn(
            f"{{task.fields[{name}]}}", markup=False, table_column=Column(no_wrap=True)
        )

    rest = Column(ratio=1, no_wrap=True, overflow="ellipsis")
    return Progress(
        BarColumn(bar_width=20),
        text("at"),
        text("rate"),
        text("dropped"),
        TextColumn("{task.fields[sounding]}", style="green", markup=False, table_column=rest),
        console=console,
        expand=True,
        auto_refresh=False,
    )
