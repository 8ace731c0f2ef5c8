"""Entry point of the `streamavis` command."""

from __future__ import annotations

import logging
import sys

from streamavis.redaction import redacted
from streamavis_apps.exits import ExitCode, describe
from streamavis_apps.text import PlainFormatter, shown

__all__ = ["main"]


def main() -> None:
    """Run the command line of this process and exit.

    Errors the commands expect are reported by `app.Commands`; what arrives here is a missing
    extra (typer itself, on a robot's installation) or a bug of ours.
    """
    for stream in (sys.stdout, sys.stderr):
        # A label or path the terminal cannot spell must not end a stream.
        stream.reconfigure(errors="replace")  # type: ignore[union-attr]
    if logging.lastResort is not None:  # the handler of a program that sets no logging up
        logging.lastResort.setFormatter(PlainFormatter())
    try:
        from streamavis_apps.app import app

        app(prog_name="streamavis")
    except Exception as error:
        if "--debug" in sys.argv:
            raise
        line = describe(error) or shown(
            redacted(
                f"internal error: {type(error).__name__}: {error} "
                "(a bug in StreamAVIS; `streamavis --debug ...` shows where)"
            )
        )
        sys.stderr.write(f"streamavis: error: {line}\n")
        sys.exit(ExitCode.FAILED)
