"""`streamavis view`: its command line."""

from typing import Annotated

import typer

from streamavis_apps.commands.options import (
    InsecureReader,
    PublisherAddress,
    ReaderKey,
    StreamName,
)

__all__ = ["command"]


def command(
    address: PublisherAddress,
    stream: StreamName = None,
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
    key: ReaderKey = None,
    insecure: InsecureReader = False,
    ready_fd: Annotated[
        int | None,
        typer.Option(hidden=True, help="Write a byte here at the first message."),
    ] = None,
) -> None:
    """Show what sounds now, from a publisher here or on another machine.

    A live table of the tracks, the state of sound and picture, the age of
    what you see and how many frames were missed. Ends with the stream; one
    that falls silent is waited for. Where the output is no terminal, a line
    is printed whenever something changes. A publisher on another machine is
    read with a key file.

    [bold]Examples[/]
      streamavis view tcp://127.0.0.1:5555
      streamavis view tcp://127.0.0.1:5555 --plain | tee changes.txt
      streamavis view tcp://10.0.0.5:5555 --key robot1.key
    """
    if key is not None and insecure:
        raise typer.BadParameter("--key and --insecure exclude each other.")
    from streamavis_apps.view import run

    raise typer.Exit(
        run(
            address,
            stream=stream,
            plain=plain,
            wait_s=wait,
            key=key,
            insecure=insecure,
            ready_fd=ready_fd,
        )
    )
