"""Weights to files and back: safetensors with the configuration inside the file.

The only home of key renames, should a later version need them. No pickle is ever read.
"""

from __future__ import annotations

import dataclasses
import json
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from streamavis.errors import CheckpointError
from streamavis.model.streamavis import StreamAVIS, StreamAVISConfig

if TYPE_CHECKING:
    from collections.abc import Mapping

    import torch

__all__ = ["find", "load", "metadata", "save", "shipped"]

_KIND = "streamavis"
_VERSION = 1


def shipped() -> list[str]:
    """Names of the weights that come with the package."""
    folder = resources.files("streamavis") / "weights"
    if not folder.is_dir():
        return []
    return sorted(
        f.name.removesuffix(".safetensors")
        for f in folder.iterdir()
        if f.name.endswith(".safetensors")
    )


def find(name_or_path: str | Path) -> Path:
    """Path of a shipped name ("nano") or of a weights file.

    Raises:
        CheckpointError: there is neither.
    """
    path = Path(name_or_path)
    if path.is_file():
        return path
    if str(name_or_path) in shipped():
        return Path(str(resources.files("streamavis") / "weights" / f"{name_or_path}.safetensors"))
    raise CheckpointError(
        f"no weights {str(name_or_path)!r}: neither a file nor a shipped name "
        f"({', '.join(shipped()) or 'none shipped'})"
    )


def save(
    model: StreamAVIS,
    path: str | Path,
    notes: Mapping[str, str] | None = None,
    *,
    half: bool = True,
) -> None:
    """Write weights and configuration to one safetensors file.

    Args:
        model: its weights and buffers are written.
        path: replaced if it exists.
        notes: kept in the file's metadata beside the configuration (data, command, seed).
        half: store float16; it is loaded as float32 again.
    """
    tensors = {
        name: (t.half() if half and t.is_floating_point() else t).contiguous().cpu()
        for name, t in model.state_dict().items()
    }
    header = {
        "kind": _KIND,
        "version": str(_VERSION),
        "config": json.dumps(dataclasses.asdict(model.config)),
        **(notes or {}),
    }
    save_file(tensors, str(path), header)


def metadata(name_or_path: str | Path) -> dict[str, str]:
    """The header of a weights file of ours, checked.

    Raises:
        CheckpointError: not a safetensors file, of another kind, or of another version.
    """
    path = find(name_or_path)
    try:
        with safe_open(str(path), "pt") as file:
            header = file.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path} is not a safetensors file: {error}") from error
    kind = header.get("kind")
    if kind != _KIND:
        raise CheckpointError(
            f"{path} holds weights of kind {kind or 'unknown'!r}, expected {_KIND!r}; "
            "choose a file that `streamavis train` wrote, or a shipped name"
        )
    if header.get("version") != str(_VERSION):
        raise CheckpointError(
            f"{path} has version {header.get('version')!r}, this StreamAVIS reads {_VERSION}; "
            "install the StreamAVIS that wrote it, or convert the file with it"
        )
    return header


def load(name_or_path: str | Path) -> StreamAVIS:
    """Load a network, ready for inference (float32, eval mode).

    Raises:
        CheckpointError: the file is missing, of another kind or version, or does not fit its
            own configuration; the message names the first wrong weight.
    """
    path = find(name_or_path)
    model = StreamAVIS(_config(path, metadata(path)))
    with safe_open(str(path), "pt") as file:
        weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    _check_fit(path, model.state_dict(), weights)
    model.load_state_dict(weights)
    return model.eval().requires_grad_(False)


def _config(path: Path, header: Mapping[str, str]) -> StreamAVISConfig:
    try:
        values: dict[str, Any] = json.loads(header["config"])
        values["classes"] = tuple(values["classes"])
        return StreamAVISConfig(**values)
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{path} has no readable configuration: {error}") from error


def _check_fit(
    path: Path, expected: Mapping[str, torch.Tensor], found: Mapping[str, torch.Tensor]
) -> None:
    missing, extra = sorted(expected.keys() - found.keys()), sorted(found.keys() - expected.keys())
    if missing or extra:
        raise CheckpointError(
            f"{path} does not fit its configuration: {len(missing)} weights missing "
            f"(first {missing[:1]}), {len(extra)} unknown (first {extra[:1]})"
        )
    for name, tensor in expected.items():
        if found[name].shape != tensor.shape:
            raise CheckpointError(
                f"{path}: {name} has shape {tuple(found[name].shape)}, "
                f"expected {tuple(tensor.shape)}"
            )
