"""`streamavis doctor`: what this machine has, what it lacks, and the cure."""

from __future__ import annotations

import importlib.metadata
from typing import TYPE_CHECKING

from rich.markup import escape
from rich.table import Table

from streamavis.errors import StoppedError
from streamavis_apps.exits import ExitCode, stop_on_signals
from streamavis_apps.setup.checks import Check, State, all_checks
from streamavis_apps.terminal import Terminal

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rich.console import Console

__all__ = ["run"]

_STYLE = {State.OK: "green", State.NONE: "dim", State.LACKS: "yellow", State.BROKEN: "bold red"}


def run(
    checks: Iterable[Check] | None = None,
    console: Console | None = None,
    *,
    camera: str | None = None,
    microphone: str | None = None,
    seconds: float = 5.0,
) -> ExitCode:
    """Print every finding, then the verdict and the commands that install what is missing.

    Args:
        checks: what to look at; by default everything.
        console: where to print.
        camera: an address to watch for `seconds`, with `microphone`, as `live` would.
        microphone: as for `live`.
        seconds: how long to watch.

    Raises:
        InputError: the camera or the named microphone cannot be opened.
    """
    console = console or Terminal(markup=True)
    with console.status("looking at this machine"):
        found = list(all_checks() if checks is None else checks)
    if camera is not None:
        from streamavis_apps.setup.source_check import check_source

        try:
            with stop_on_signals() as stop, console.status(f"watching for {seconds:g} s"):
                found += check_source(camera, microphone, seconds, stop)
        except StoppedError:
            return stop.exit_code
    console.print(f"[bold]streamavis {importlib.metadata.version('streamavis')}[/]")
    console.print(_table(found))
    broken = [check for check in found if check.state is State.BROKEN]
    if broken:
        console.print(f"\n[bold red]The engine cannot run here:[/] {_names(broken)}")
    else:
        console.print("\n[bold green]The engine can run here.[/] Try: streamavis demo")
    for state, heading in ((State.BROKEN, "Needed"), (State.LACKS, "Optional")):
        cures = {c.cure: None for c in found if c.state is state and c.cure}  # once, in order
        if cures:
            console.print(f"\n[bold]{heading}[/]")
        for cure in cures:
            console.print(f"  {escape(cure)}", soft_wrap=True)
    return ExitCode.FAILED if broken else ExitCode.DONE


def _names(checks: list[Check]) -> str:
    return ", ".join(check.name for check in checks)


def _table(checks: list[Check]) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim")
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    group = ""
    for check in checks:
        table.add_row(
            "" if check.group == group else check.group,
            check.name,
            f"[{_STYLE[check.state]}]{check.state}[/]",
            escape(check.found),
        )
        group = check.group
    return table
