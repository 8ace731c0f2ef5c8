"""`streamavis doctor`: its command line."""

from __future__ import annotations

import typer

__all__ = ["command"]


def command() -> None:
    """Say what this machine has, what is missing, and the command that installs it.

    Looks at packages, weights, codecs, kernels, the compiler, GPU, cameras,
    microphones and the display. Exit code 0 when the engine can run here,
    1 when something it needs is missing.
    """
    from streamavis_apps.doctor import run

    raise typer.Exit(run())
