"""`streamavis calibrate`: the constant offset between picture and sound."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn

from streamavis.errors import InputAddressError, InputError, StoppedError, TruncatedInputError
from streamavis.io.live import ClapMeter, Kind, LiveSource, parse_camera
from streamavis.io.media import MediaSource
from streamavis_apps.exits import ExitCode, Stop, stop_on_signals
from streamavis_apps.setup.closing import closing_when
from streamavis_apps.terminal import Terminal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from contextlib import AbstractContextManager

    from rich.console import Console

    from streamavis.io.live import ClapOffset
    from streamavis.types import SourceItem

__all__ = ["run"]


def run(
    source: str,
    *,
    microphone: str | None = None,
    seconds: float = 15.0,
    console: Console | None = None,
    stop: Stop | None = None,
) -> ExitCode:
    """Watch and listen, then print the offset; Ctrl-C ends the watching early.

    Raises:
        InputError: the source cannot be opened, or too few claps were found.
    """
    console = console or Terminal()
    meter = ClapMeter()
    with stop_on_signals(stop) as stop:
        if parse_camera(source).kind is Kind.FILE:
            if microphone is not None:
                raise InputAddressError(f"{source}: a recording has its own sound; leave out --mic")
            items: AbstractContextManager[Iterable[SourceItem]] = _recorded(source)
        else:
            items = _live(source, microphone, seconds, console, stop)
        try:
            with items as stream:
                for item in stream:
                    meter.feed(item)
                    if stop.event.is_set():
                        break
        except StoppedError:
            return stop.exit_code
    _tell(meter.measure(), console)
    return ExitCode.DONE


@contextmanager
def _recorded(path: str) -> Iterator[Iterable[SourceItem]]:
    with MediaSource(path) as source:
        if not source.info.has_audio:
            raise InputError(f"{path}: has no sound")
        yield _whole(source)


def _whole(source: MediaSource) -> Iterator[SourceItem]:
    try:
        yield from source
    except TruncatedInputError:
        return  # what there is may hold claps enough


@contextmanager
def _live(
    camera: str, microphone: str | None, seconds: float, console: Console, stop: Stop
) -> Iterator[Iterable[SourceItem]]:
    with LiveSource(camera, microphone, cancelled=stop.event) as source:
        if not source.info.has_audio:
            raise InputError(f"{source.info.name}: there is no sound; name a microphone with --mic")
        columns = (TextColumn("clap, a second apart"), BarColumn())
        with Progress(*columns, console=console, transient=True) as progress:
            task = progress.add_task("", total=seconds)
            with closing_when(source, stop, seconds) as elapsed_s:
                yield _counted(source, lambda: progress.update(task, completed=elapsed_s()))


def _counted(items: Iterable[SourceItem], count: Callable[[], object]) -> Iterator[SourceItem]:
    for item in items:
        count()
        yield item


def _tell(found: ClapOffset, console: Console) -> None:
    ms, sure = found.offset_s * 1e3, found.uncertainty_s * 1e3
    what = "late" if ms > 0 else "early"
    console.print(
        f"[bold]{ms:+.0f} ms +- {sure:.0f} ms[/]: the sound is {abs(ms):.0f} ms {what}, "
        f"by {found.claps} claps of {found.heard} in the sound"
    )
    if abs(ms) <= sure:
        console.print("No offset between picture and sound is measurable.")
    else:
        console.print(escape(f"Take it out with: streamavis live ... --sound-offset {ms:.0f}"))
