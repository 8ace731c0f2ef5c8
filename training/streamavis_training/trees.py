"""Values made of dataclasses, lists, tuples, dicts and tensors: to change, move and keep them."""

from __future__ import annotations

import dataclasses
import importlib
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from streamavis.errors import ArgumentError, CheckpointError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["from_plain", "map_tensors", "to_device", "to_float", "to_plain"]

_CLASS = "__class__"  # where `to_plain` notes which dataclass a dict was
_PACKAGES = ("streamavis.", "streamavis_training.")  # whose dataclasses are built from a file


def map_tensors(value: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """The same structure with `change` of every tensor; anything else is kept as it is."""
    if isinstance(value, Tensor):
        return change(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        kept = {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
        return type(value)(**{name: map_tensors(x, change) for name, x in kept.items()})
    if isinstance(value, dict):
        return {name: map_tensors(x, change) for name, x in value.items()}
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*(map_tensors(x, change) for x in value))
    if isinstance(value, list | tuple):
        return type(value)(map_tensors(x, change) for x in value)
    return value


def to_device(value: Any, device: torch.device) -> Any:
    """Every tensor on `device`; pinned memory is copied without waiting."""
    if device.type == "cpu":
        return value
    return map_tensors(value, lambda x: x.to(device, non_blocking=True))


def to_float(value: Any) -> Any:
    """Every float16 and bfloat16 tensor as float32."""
    half = (torch.float16, torch.bfloat16)
    return map_tensors(value, lambda x: x.float() if x.dtype in half else x)


def to_plain(value: Any) -> Any:
    """Dataclasses as dicts, tensors on the CPU: what `torch.load(weights_only=True)` reads.

    Raises:
        ArgumentError: something in it is neither of these nor a number, text or None.
    """
    if isinstance(value, Tensor):
        return value.detach().cpu().clone()
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        kind = type(value)
        kept = {f.name: to_plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
        return {_CLASS: f"{kind.__module__}:{kind.__qualname__}", **kept}
    if isinstance(value, dict):
        return {name: to_plain(x) for name, x in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(to_plain(x) for x in value)
    raise ArgumentError(
        f"a {type(value).__qualname__} cannot be kept in a checkpoint; expected tensors, numbers "
        "and text in dataclasses, lists, tuples and dicts"
    )


def from_plain(value: Any) -> Any:
    """The inverse of `to_plain`.

    Raises:
        CheckpointError: it names a class that is not a dataclass of ours.
    """
    if isinstance(value, dict):
        kept = {name: from_plain(x) for name, x in value.items() if name != _CLASS}
        return _dataclass(value[_CLASS])(**kept) if _CLASS in value else kept
    if isinstance(value, list | tuple):
        return type(value)(from_plain(x) for x in value)
    return value


def _dataclass(path: str) -> type[Any]:
    module, _, name = path.partition(":")
    if module.startswith(_PACKAGES):
        try:
            kind = getattr(importlib.import_module(module), name, None)
        except ImportError:
            kind = None
        if isinstance(kind, type) and dataclasses.is_dataclass(kind):
            return kind
    raise CheckpointError(
        f"the checkpoint holds a {path}, which is no dataclass of this StreamAVIS; go on with the "
        "version that wrote it"
    )
