"""Checkpoints: all that a run needs to go on, and a small form to hand it to another machine."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from streamavis.errors import CheckpointError, OutputError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["CHECKPOINT", "MAX_PACKED", "RunState", "network_shape", "pack", "read", "write"]

CHECKPOINT = "last.pt"  # in a run's folder
MAX_PACKED = 20_000_000  # bytes
_VERSION = 1
_HALF_MAX = 6e4


@dataclass
class RunState:
    """A run between two steps."""

    step: int
    network: dict[str, Tensor]
    ema: dict[str, Tensor]
    optimizer: dict[str, Any] | None  # None: handed over without its moments
    scaler: dict[str, Any]
    carried: list[Any]  # per process, plain; empty where it was handed over
    best: float | None
    fresh_from: int | None  # step at which the optimizer started anew
    shape: dict[str, str]
    gone: float = 0.0  # share of the schedule that was over


def network_shape(network: nn.Module) -> dict[str, str]:
    """What the network is built from, to compare."""
    config = getattr(network, "config", None)
    if config is None or not dataclasses.is_dataclass(config):
        return {name: str(tuple(x.shape)) for name, x in network.state_dict().items()}
    return {f.name: repr(getattr(config, f.name)) for f in fields(config)}


def _defaults(network: nn.Module | None) -> dict[str, str]:
    config = getattr(network, "config", None)
    if config is None or not dataclasses.is_dataclass(config):
        return {}
    return {f.name: repr(f.default) for f in fields(config) if f.default is not dataclasses.MISSING}


def write(state: RunState, path: Path) -> None:
    """Write a checkpoint, whole or not at all.

    Raises:
        OutputError: it cannot be written.
    """
    part = path.with_name(path.name + ".part")
    kept = {f.name: getattr(state, f.name) for f in fields(state)}
    try:
        torch.save({"version": _VERSION, **kept}, part)
        part.replace(path)
    except (OSError, RuntimeError) as error:
        raise OutputError(f"{path} cannot be written: {error}") from error


def read(path: Path, network: nn.Module | None = None) -> RunState:
    """Read a checkpoint, whole or packed.

    Args:
        network: what it must be of.

    Raises:
        CheckpointError: it cannot be read or is of another network; names the first difference.
    """
    try:
        kept = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        # A damaged file raises whatever its bytes happen to mean.
        reason = str(error).partition("\n")[0]
        raise CheckpointError(f"{path} is no checkpoint of a run: {reason}") from error
    if not isinstance(kept, dict) or kept.pop("version", None) != _VERSION:
        raise CheckpointError(
            f"{path} is no checkpoint of version {_VERSION}; expected {CHECKPOINT} of a run's "
            "folder or a file of `streamavis train --pack`"
        )
    state = _unpack(kept) if "packed" in kept else RunState(**kept)
    ours = state.shape if network is None else network_shape(network)
    # A field that is younger than the checkpoint had its default's effect.
    then = _defaults(network) | state.shape
    for name in sorted(ours.keys() | state.shape.keys()):
        theirs, wanted = then.get(name), ours.get(name)
        if theirs != wanted:
            raise CheckpointError(
                f"{path} is of a network whose {name} is {theirs}, but this run's is {wanted}; "
                "go on with the same one, or choose another folder"
            )
    return state


def pack(path: Path, out: Path, limit: int = MAX_PACKED) -> str:
    """Write a checkpoint's small form: weights and their mean in half precision, no moments.

    Args:
        path: of the checkpoint; out: replaced if it exists.
        limit: bytes. Above it the weights are kept as 8-bit differences from their mean, then
            not at all: training goes on from the mean.

    Returns:
        A sentence on what was kept.

    Raises:
        CheckpointError: `path` is no checkpoint, or even the mean is above the limit.
    """
    state = read(path)
    moving = [n for n, x in state.network.items() if not torch.equal(x, state.ema[n])]
    ema = {name: _half(x) for name, x in state.ema.items()}
    forms: dict[str, dict[str, Any]] = {
        "weights in half precision and their mean": {
            name: _half(state.network[name]) for name in moving
        },
        "weights as 8-bit differences from their mean": {
            name: _difference(state.network[name], state.ema[name]) for name in moving
        },
        "the mean of the weights only": {},
    }
    for form, network in forms.items():
        kept: dict[str, Any] = {"version": _VERSION, "packed": form, "ema": ema, "network": network}
        kept |= {name: getattr(state, name) for name in ("step", "best", "shape", "gone")}
        torch.save(kept, out)
        size = out.stat().st_size
        if size <= limit:
            return f"{out}: step {state.step}, {form}, {size / 1e6:.1f} MB, without moments"
    out.unlink()
    raise CheckpointError(f"{path} packs into {size:,} bytes, more than the limit of {limit:,}")


def _unpack(kept: dict[str, Any]) -> RunState:
    ema = {name: _whole(x) for name, x in kept["ema"].items()}
    network = {name: x.clone() for name, x in ema.items()}
    for name, x in kept["network"].items():
        if isinstance(x, dict):
            network[name] = ema[name] + x["steps"].float() * x["size"]
        else:
            network[name] = _whole(x)
    return RunState(
        step=kept["step"],
        network=network,
        ema=ema,
        optimizer=None,
        scaler={},
        carried=[],
        best=kept["best"],
        fresh_from=kept["step"],
        shape=kept["shape"],
        gone=kept.get("gone", 0.0),
    )


def _half(x: Tensor) -> Tensor:
    fits = x.is_floating_point() and (x.numel() == 0 or float(x.abs().max()) < _HALF_MAX)
    return x.half() if fits else x


def _whole(x: Tensor) -> Tensor:
    return x.float() if x.is_floating_point() else x


def _difference(value: Tensor, mean: Tensor) -> Tensor | dict[str, Any]:
    if not value.is_floating_point():
        return value
    away = value - _whole(_half(mean))
    size = float(away.abs().max()) / 127 or 1.0
    return {"steps": (away / size).round().to(torch.int8), "size": size}
