"""`streamavis record`: its command line."""

from pathlib import Path
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
    out: Annotated[Path, typer.Argument(metavar="OUT.mcap", help="The new file.")],
    stream: StreamName = None,
    seconds: Annotated[
        float | None, typer.Option(min=0.1, help="Stop after this time.", show_default="never")
    ] = None,
    follow: Annotated[
        bool,
        typer.Option("--follow", help="Go on when the stream ends: wait for the next engine."),
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a file that is there.")
    ] = False,
    key: ReaderKey = None,
    insecure: InsecureReader = False,
) -> None:
    """Record a published stream into an MCAP file, which Foxglove opens.

    Every message is kept as it came; beside it masks, boxes and names for
    Foxglove's image panel. Pictures and sound are not on the wire: `live
    --mcap` records them. Ends with the stream or with Ctrl-C; a sudden end
    loses the last second at most. Needs the extra mcap.

    [bold]Examples[/]
      streamavis record tcp://127.0.0.1:5555 out.mcap
      streamavis record tcp://10.0.0.5:5555 out.mcap --key robot1.key --follow
      streamavis play out.mcap
    """
    if key is not None and insecure:
        raise typer.BadParameter("--key and --insecure exclude each other.")
    from streamavis_apps.record import run

    raise typer.Exit(
        run(
            address,
            out,
            stream=stream,
            seconds=seconds,
            follow=follow,
            overwrite=overwrite,
            key=key,
            insecure=insecure,
        )
    )
