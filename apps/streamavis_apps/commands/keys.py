"""`streamavis keys`: their command lines."""

from pathlib import Path
from typing import Annotated

import typer

from streamavis_apps.help_page import HelpCommand, HelpGroup

__all__ = ["app"]

app = typer.Typer(
    cls=HelpGroup,
    help="Keys of the wire: who may read what this machine publishes beyond itself.",
    rich_markup_mode="rich",
)

_Folder = Annotated[
    Path | None,
    typer.Option(
        "--keys",
        metavar="DIR",
        help="The key folder.",
        show_default="~/.config/streamavis/keys",
    ),
]
_Name = Annotated[str, typer.Argument(metavar="NAME", help="Of the client, such as robot1.")]


@app.command("init", cls=HelpCommand)
def _init(keys: _Folder = None) -> None:
    """Make this machine's own key and an empty list of clients.

    Once, on the machine that publishes. Files are for their owner alone.

    [bold]Example[/]
      streamavis keys init
    """
    from streamavis_apps.keys import init

    init(keys)


@app.command("add", cls=HelpCommand)
def _add(
    name: _Name,
    public: Annotated[
        str | None,
        typer.Option(metavar="KEY", help="The client has keys already: list its public one."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Where the key file goes.", show_default="DIR/clients/NAME.key"
        ),
    ] = None,
    keys: _Folder = None,
) -> None:
    """Let a client in: make the one key file that is carried to it.

    A publisher that runs lets it in at once. With --public no file is made:
    what the client needs besides its keys is printed.

    [bold]Examples[/]
      streamavis keys add robot1
      streamavis keys add robot2 --out /media/stick/robot2.key
      streamavis keys add robot3 --public 'rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7'
    """
    if public is not None and out is not None:
        raise typer.BadParameter("--public makes no key file, so --out has nothing to write.")
    from streamavis_apps.keys import add

    add(name, keys, public=public, out=out)


@app.command("revoke", cls=HelpCommand)
def _revoke(name: _Name, keys: _Folder = None) -> None:
    """Let a client in no longer.

    Publishers that run shut it out within half a second; the others are
    back within one.

    [bold]Example[/]
      streamavis keys revoke robot1
    """
    from streamavis_apps.keys import revoke

    revoke(name, keys)


@app.command("list", cls=HelpCommand)
def _show(keys: _Folder = None) -> None:
    """Show who may read, with public keys; secrets are never shown.

    [bold]Example[/]
      streamavis keys list
    """
    from streamavis_apps.keys import show

    show(keys)
