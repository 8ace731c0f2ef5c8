"""`streamavis view`: its command line."""

from typing import Annotated

import typer

__all__ = ["command"]


def command(
    address: Annotated[
        str, typer.Argument(metavar="ADDRESS", help="A publisher, e.g. tcp://127.0.0.1:5555.")
    ],
    stream: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Follow this stream only; otherwise the first heard."),
    ] = None,
    plain: Annotated[
        bool,
        typer.Option("--plain", help="Print a line per change instead of a live table."),
    ] = False,
    wait: Annotated[
        float | None,
        typer.Option(
            metavar="SECONDS",
            min=0.1,
            help="Give up, with exit code 1, when nothing arrives for this long.",
        ),
    ] = None,
    ready_fd: Annotated[
        int | None,
        typer.Option(hidden=True, help="Write a byte here once the publisher is heard."),
    ] = None,
) -> None:
    """Show who sounds right now, from a publisher anywhere on this machine.

    A live table of the tracks, the state of sound and picture, the age of
    what you see and how many frames were missed. Ends with the stream; one
    that falls silent is waited for. Where the output is no terminal, a line
    is printed whenever something changes.

    [bold]Examples[/]
      streamavis view tcp://127.0.0.1:5555
      streamavis view tcp://127.0.0.1:5555 --plain | tee changes.txt
    """
    from streamavis_apps.view import run

    raise typer.Exit(run(address, stream=stream, plain=plain, wait_s=wait, ready_fd=ready_fd))
