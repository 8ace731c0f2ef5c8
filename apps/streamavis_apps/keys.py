"""`streamavis keys`: makes, lists and revokes keys, and prints the next step."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from streamavis.wire.keys import KeyFolder, default_folder
from streamavis_apps.terminal import Terminal

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console

__all__ = ["add", "init", "revoke", "show"]


def init(keys: Path | None, console: Console | None = None) -> None:
    """Make the publisher's key.

    Raises:
        KeyFileError: there is one already, or the folder cannot be used.
    """
    folder = _folder(keys)
    public = folder.init()
    _say(console, f"{folder.path} holds this machine's key now; its public key is {public}")
    _say(console, f"Next, for each robot: streamavis keys add NAME{_where(keys)}")


def add(
    name: str,
    keys: Path | None,
    *,
    public: str | None = None,
    out: Path | None = None,
    console: Console | None = None,
) -> None:
    """List a client, with a key file made for it or with the public key it has.

    Raises:
        KeyFileError: the name is taken or not allowed, or a file cannot be written.
    """
    folder = _folder(keys)
    if public is not None:
        server = folder.add_public(name, public)
        _say(console, f"{name} may read now; it has to expect this server key: {server}")
        return
    path = folder.add(name, out)
    _say(console, f"{name} may read now, with the key file {path}")
    _say(
        console,
        f"Next, carry that file to {name} over a secure channel (scp, a USB stick), and read "
        f"there: streamavis view tcp://THIS-MACHINE:PORT --key {path.name}",
    )


def revoke(name: str, keys: Path | None, console: Console | None = None) -> None:
    """Take a client off the list.

    Raises:
        KeyFileError: no reader has this name, or a file cannot be removed.
    """
    _, *others = _folder(keys).revoke(name)
    _say(console, f"{name} may read no longer; publishers that run shut it out at once")
    if others:
        _say(console, f"Revoked too, as it is the same public key: {', '.join(others)}")


def show(keys: Path | None, console: Console | None = None) -> None:
    """Print the publisher's public key and all readers.

    Raises:
        KeyFileError: the folder cannot be read.
    """
    folder = _folder(keys)
    listed = folder.load()
    clients = folder.clients()
    _say(console, f"{folder.path}\nthis machine's public key  {listed.public}\n")
    if not clients:
        _say(console, f"No readers yet; next: streamavis keys add NAME{_where(keys)}")
    else:
        table = Table(box=None, pad_edge=False)
        for heading in ("client", "public key"):
            table.add_column(heading, header_style="dim", no_wrap=True)
        for name, public in clients.items():
            table.add_row(Text(name), Text(public))
        (console or Terminal()).print(table)
    for fault in listed.faults:
        _say(console, f"\nnot let in: {fault}")


def _folder(keys: Path | None) -> KeyFolder:
    return KeyFolder(default_folder() if keys is None else keys)


def _where(keys: Path | None) -> str:
    return "" if keys is None else f" --keys {keys}"


def _say(console: Console | None, text: str) -> None:
    # A public key has brackets, which are not markup.
    (console or Terminal()).print(text, markup=False, soft_wrap=True)
