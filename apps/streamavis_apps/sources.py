"""Recordings and outputs as a command line names them."""

from __future__ import annotations

import os
import re
from pathlib import Path

from streamavis.errors import ArgumentError
from streamavis.redaction import display_name

__all__ = ["STDOUT", "is_stdout", "recording"]

STDOUT = Path("-")
_CAMERA = re.compile(r"\d+|browser|(?:camera|v4l2|mic):.*|/dev/video.*")


def recording(text: str, command: str) -> Path:
    """The file, folder or pattern of pictures, `-` or test source that `command` is to read.

    Raises:
        ArgumentError: it is an address or a camera, which `live` watches; shows no password.
    """
    if not os.path.exists(text):  # noqa: PTH110  Path raises for names that are too long
        what = "an address" if "://" in text else "a camera" if _CAMERA.fullmatch(text) else ""
        if what:
            raise ArgumentError(
                f"{display_name(text)}: is {what}, and {command} takes files; watch it with "
                "`streamavis live --camera ADDRESS`"
            )
    try:
        return Path(text).expanduser()
    except RuntimeError as error:  # ~nobody
        raise ArgumentError(f"{text}: {error}") from error


def is_stdout(path: Path | None) -> bool:
    """Whether an output is standard output: other messages then go to stderr."""
    return path == STDOUT
