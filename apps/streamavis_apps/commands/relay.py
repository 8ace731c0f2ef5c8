"""`streamavis relay`: its command line."""

from typing import Annotated

import typer

from streamavis_apps.commands.options import Insecure, Keys, ReaderKey, StreamName, check_publish

__all__ = ["command"]


def command(
    sources: Annotated[
        list[str],
        typer.Argument(metavar="ADDRESS...", help="Publishers, each with streams of its own."),
    ],
    publish: Annotated[
        str, typer.Option(metavar="ADDRESS", help="Where readers connect.")
    ] = "tcp://127.0.0.1:5556",
    stream: StreamName = None,
    key: ReaderKey = None,
    insecure_source: Annotated[
        bool,
        typer.Option("--insecure-source", help="Believe whoever answers at the addresses."),
    ] = False,
    keys: Keys = None,
    insecure: Insecure = False,
) -> None:
    """Forward published streams to many readers over one connection to each publisher.

    Messages go on as they came. Who joins late gets the last hello and the
    status at once. With a copy of the publisher's key folder (--keys) readers
    keep their key files. Runs until Ctrl-C.

    [bold]Examples[/]
      streamavis relay tcp://127.0.0.1:5555
      streamavis relay tcp://10.0.0.5:5555 --key relay.key --publish tcp://0.0.0.0:5556
      streamavis relay tcp://10.0.0.5:5555 tcp://10.0.0.6:5555 --key relay.key
    """
    if key is not None and insecure_source:
        raise typer.BadParameter("--key and --insecure-source exclude each other.")
    check_publish(publish, keys, insecure)
    from streamavis_apps.relay import run

    raise typer.Exit(
        run(
            sources,
            publish,
            stream=stream,
            key=key,
            insecure_source=insecure_source,
            keys=keys,
            insecure=insecure,
        )
    )
