"""Tensors to a safetensors file that others may read as they may read any new file."""

from __future__ import annotations

import stat
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from safetensors import SafetensorError
from safetensors.torch import save_file

from streamavis.errors import CheckpointError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

__all__ = ["write_tensors"]


def write_tensors(
    tensors: Mapping[str, Tensor], path: str | Path, header: Mapping[str, str]
) -> None:
    """Write `tensors`, contiguous and on the CPU, with `header` as the file's metadata.

    A new file has the mode that the umask gives (safetensors itself writes 0600); one that is
    replaced keeps its own.

    Raises:
        CheckpointError: the file cannot be written.
    """
    path = Path(path)
    fresh = not path.exists()
    try:
        with path.open("ab"):  # the only way to the umask's mode that other threads do not notice
            pass
        mode = stat.S_IMODE(path.stat().st_mode)
        save_file(dict(tensors), str(path), dict(header))
        path.chmod(mode)
    except (SafetensorError, OSError) as error:
        if fresh:
            with suppress(OSError):  # after the error that is reported
                path.unlink()
        raise CheckpointError(f"{path} cannot be written: {error}") from error
