"""A model as a folder: `model.safetensors` and `config.json`, as model hubs keep them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from streamavis.checkpoint.configured import MAX_CONFIG
from streamavis.errors import CheckpointError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["CONFIG", "WEIGHTS", "header_beside", "weights_in", "write_header"]

WEIGHTS: Final = "model.safetensors"
CONFIG: Final = "config.json"


def weights_in(folder: Path) -> Path:
    """The weights file of a model's folder: `model.safetensors`, or the only one there is.

    Raises:
        CheckpointError: there is none, or there are several of other names.
    """
    if (folder / WEIGHTS).is_file():
        return folder / WEIGHTS
    found = sorted(folder.glob("*.safetensors"))
    if len(found) == 1:
        return found[0]
    names = ", ".join(path.name for path in found) or "no .safetensors file"
    raise CheckpointError(f"{folder}: is a folder with {names}; expected {WEIGHTS} in it")


def header_beside(path: Path) -> dict[str, str]:
    """What the `config.json` beside a weights file says of it; empty where there is none.

    Raises:
        CheckpointError: it is not readable.
    """
    beside = path.with_name(CONFIG)
    if not beside.is_file():
        return {}
    size = beside.stat().st_size
    if size > MAX_CONFIG:
        raise CheckpointError(f"{beside}: has {size} bytes, at most {MAX_CONFIG}")
    try:
        values = json.loads(beside.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{beside}: is not readable as JSON: {error}") from error
    if not isinstance(values, dict):
        raise CheckpointError(f"{beside}: holds a {type(values).__name__}, expected fields by name")
    # A header holds text alone: the configuration is JSON within it.
    return {
        name: value if isinstance(value, str) else json.dumps(value)
        for name, value in values.items()
    }


def write_header(folder: Path, header: Mapping[str, str]) -> None:
    """Write a weights file's header as `config.json`.

    Raises:
        OSError: it cannot be written.
    """
    values = {**header, "config": json.loads(header["config"])}
    (folder / CONFIG).write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")
