"""`streamavis bench kernels`: each operator on every backend here, and the least it could take.

A floor is arithmetic over a measurement: the bytes an operator has to move, at the rate at which
this machine moves bytes. Sampling reads its neighbours from the cache, pictures go through memory.
"""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypedDict

import torch
from rich.table import Table
from streamavis_apps.exits import ExitCode
from streamavis_apps.figures import write
from streamavis_apps.machine import machine
from streamavis_apps.terminal import Terminal
from streamavis_kernels import (
    audio_deform_attn,
    backend,
    deform_attn,
    frame_prep,
    mask_post,
    run_lengths,
)
from streamavis_kernels.frames import reference as frame_reference
from streamavis_kernels.masks import reference as mask_reference
from streamavis_kernels.sampling import reference as sampling_reference
from torch import Tensor

from streamavis.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from rich.console import Console
    from streamavis_apps.machine import Machine

__all__ = ["KernelFigures", "run"]

_HEADS, _WIDTH, _POINTS, _STRIDES = 8, 32, 4, (8, 16, 32)  # AVISM's pixel decoder
_MASKS = 10
_MEAN, _STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)


class _Row(TypedDict):
    """One operator: milliseconds by backend, and the least it could take."""

    operator: str
    ms: dict[str, float]  # median of the repeats
    speedup: float | None  # reference over the other backend
    floor_ms: float
    above_floor: float  # the best backend's time over the floor


class KernelFigures(TypedDict):
    """What is measured, and on what, ready for JSON."""

    benchmark: str
    size: tuple[int, int]  # height, width of the pictures
    batch: int
    device: str
    backend: str
    torch_threads: int
    repeats: int
    cache_gb_per_s: float
    memory_gb_per_s: float
    operators: list[_Row]
    machine: Machine


@dataclass(frozen=True)
class _Case:
    """An operator, how the backends run it, and the bytes it has to move."""

    operator: str
    ways: dict[str, Callable[[], object]]  # by backend; each is timed
    cached: int = 0  # bytes read or written that a cache holds
    moved: int = 0  # bytes that go through memory


def run(
    *,
    size: tuple[int, int] = (360, 640),
    batch: int = 1,
    device: str = "cpu",
    threads: int | None = None,
    repeats: int = 20,
    json_path: Path | None = None,
    console: Console | None = None,
) -> ExitCode:
    """Time the operators, and print and write the figures.

    Args:
        size: (height, width) of the pictures.
        batch: pictures at once.
        device: "cpu" or "cuda".
        threads: of torch; None: as torch chooses.
        repeats: of each; the backends take turns.
        json_path: where the figures go as well; replaced.
        console: standard output by default.

    Raises:
        InputError: `device` is not here.
        OutputError: `json_path` is not writable.
    """
    console = console or Terminal()
    if device == "cuda" and not torch.cuda.is_available():
        raise InputError("--device cuda: here there is cpu; PyTorch finds no CUDA device")
    if threads is not None:
        torch.set_num_threads(threads)
    about = machine()
    cache, memory = _cache_rate(device), _rate(device, 1 << 26)
    rows = []
    for case in _cases(size, batch, torch.device(device)):
        floor_s = case.cached / cache + case.moved / memory
        rows.append(_row(case, floor_s * 1e3, repeats, device))
    figures: KernelFigures = {
        "benchmark": "kernels",
        "size": size,
        "batch": batch,
        "device": device,
        "backend": backend(device),
        "torch_threads": torch.get_num_threads(),
        "repeats": repeats,
        "cache_gb_per_s": round(cache / 1e9, 1),
        "memory_gb_per_s": round(memory / 1e9, 1),
        "operators": rows,
        "machine": about,
    }
    _print(console, figures)
    write(console, json_path, figures)
    return ExitCode.DONE


def _cases(size: tuple[int, int], batch: int, device: torch.device) -> list[_Case]:
    return [*_sampling_cases(size, batch, device), *_picture_cases(size, batch, device)]


def _sampling_cases(size: tuple[int, int], batch: int, device: torch.device) -> list[_Case]:
    shapes = tuple((-(-size[0] // stride), -(-size[1] // stride)) for stride in _STRIDES)
    positions, levels = sum(h * w for h, w in shapes), len(shapes)
    draw = torch.Generator().manual_seed(0)

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=draw).to(device).requires_grad_()

    value = normal(batch, positions, _HEADS, _WIDTH)
    locations = torch.rand((batch, positions, _HEADS, levels, _POINTS, 2), generator=draw).to(
        device
    )
    weights = normal(batch, positions, _HEADS, levels, _POINTS)
    plain = value, shapes, locations.requires_grad_(), weights
    rows = normal(batch, positions, _HEADS * levels * _POINTS * 3)
    points = torch.rand((positions, levels, 2), generator=draw).to(device)
    sound = normal(batch, _HEADS, levels * _POINTS), normal(batch, _HEADS * _WIDTH)
    audio = value, shapes, rows, points, *sound
    gathered = batch * positions * _HEADS * levels * _POINTS * 4 * _WIDTH * value.element_size()
    name = backend(device.type)
    reference = sampling_reference
    return [
        *_both_ways("deform_attn", name, deform_attn, reference.deform_attn, plain, gathered),
        *_both_ways(
            "audio_deform_attn",
            name,
            audio_deform_attn,
            reference.audio_deform_attn,
            audio,
            gathered,
        ),
    ]


def _both_ways(
    operator: str,
    name: str,
    chosen: Callable[..., Tensor],
    reference: Callable[..., Tensor],
    arguments: Sequence[object],
    gathered: int,
) -> list[_Case]:
    """Forward, and backward by all that has a gradient."""
    inputs = [x for x in arguments if isinstance(x, Tensor) and x.requires_grad]

    def forward(function: Callable[..., Tensor]) -> Callable[[], object]:
        @torch.no_grad()
        def once() -> object:
            return function(*arguments)

        return once

    def backward(function: Callable[..., Tensor]) -> Callable[[], object]:
        out = function(*arguments)
        grad = torch.ones_like(out)
        return lambda: torch.autograd.grad(out, inputs, grad, retain_graph=True)

    ways = {"reference": reference, name: chosen}
    # Backward reads the neighbours, and reads and writes their gradients.
    return [
        _Case(operator, {n: forward(f) for n, f in ways.items()}, gathered),
        _Case(f"{operator}, backward", {n: backward(f) for n, f in ways.items()}, 3 * gathered),
    ]


def _picture_cases(size: tuple[int, int], batch: int, device: torch.device) -> list[_Case]:
    draw = torch.Generator().manual_seed(0)
    source = size[0] * 2, size[1] * 2
    frames = torch.randint(256, (batch, *source, 3), dtype=torch.uint8, generator=draw).to(device)
    padded = (size[0] + -size[0] % 32, size[1] + -size[1] % 32)
    blobs = torch.randn((_MASKS, 1, 6, 10), generator=draw) - 0.7
    cells = -(-size[0] // 4), -(-size[1] // 4)
    logits = torch.nn.functional.interpolate(blobs, cells, mode="bicubic")[:, 0].to(device)
    kept = torch.arange(_MASKS, device=device)
    grid = (size[0] / 4, size[1] / 4), source
    name = backend(device.type)

    def prepared(function: Callable[..., Tensor]) -> Callable[[], object]:
        colour = {"mean": _MEAN, "std": _STD}
        return lambda: function(frames, size, padded=padded, channels_last=True, **colour)

    def drawn(function: Callable[..., mask_reference.MaskPost]) -> Callable[[], object]:
        return lambda: run_lengths(function(logits, kept, *grid), source)

    out_bytes = batch * 3 * padded[0] * padded[1] * 4
    return [
        _Case(
            "frame_prep, to half size",
            {"reference": prepared(frame_reference.frame_prep), name: prepared(frame_prep)},
            moved=frames.numel() + out_bytes,
        ),
        _Case(
            f"mask_post, {_MASKS} at double size",
            {"reference": drawn(mask_reference.mask_post), name: drawn(mask_post)},
            moved=logits.numel() * 4 + _MASKS * source[0] * source[1] // 8,
        ),
    ]


def _row(case: _Case, floor_ms: float, repeats: int, device: str) -> _Row:
    times: dict[str, list[float]] = {name: [] for name in case.ways}
    for turn in range(repeats + 1):  # the first builds and warms up
        for name, function in case.ways.items():
            seconds = _seconds(function, device)
            if turn:
                times[name].append(seconds)
    ms = {name: round(statistics.median(values) * 1e3, 3) for name, values in times.items()}
    best = min(ms.values())
    speedup = round(ms["reference"] / best, 2) if len(ms) > 1 else None
    return {
        "operator": case.operator,
        "ms": ms,
        "speedup": speedup,
        "floor_ms": round(floor_ms, 3),
        "above_floor": round(best / floor_ms, 2),
    }


def _seconds(function: Callable[[], object], device: str) -> float:
    if device == "cuda":
        torch.cuda.synchronize()
    start = time.perf_counter()
    function()
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start


def _cache_rate(device: str) -> float:
    """Bytes per second that are read from a core's own cache, times the threads; see `_rate`."""
    threads = torch.get_num_threads()
    if device == "cuda":
        return _rate(device, 1 << 22)  # of the second-level cache, which all share
    torch.set_num_threads(1)
    try:
        return _rate(device, 1 << 15) * threads
    finally:
        torch.set_num_threads(threads)


def _rate(device: str, elements: int) -> float:
    """Bytes per second at which so many floats are read and multiplied."""
    data = torch.ones(elements, device=device)
    rounds = max(1, (1 << 26) // elements)
    best = min(
        _seconds(lambda: [torch.dot(data, data) for _ in range(rounds)], device) for _ in range(7)
    )
    return rounds * elements * 4 / best


def _print(console: Console, figures: KernelFigures) -> None:
    about = figures["machine"]
    height, width = figures["size"]
    for line in (
        f"{width}x{height}, batch {figures['batch']}, {figures['device']}: {figures['backend']} "
        f"against reference, median of {figures['repeats']}",
        f"{about['cpu']}, {about['cores']} cores, load {about['load_1min']}; "
        f"{figures['torch_threads']} torch threads; cache {figures['cache_gb_per_s']} GB/s, "
        f"memory {figures['memory_gb_per_s']} GB/s",
    ):
        console.print(line, markup=False, soft_wrap=True)
    table = Table(box=None, pad_edge=False)
    table.add_column("median ms", no_wrap=True)
    names = list(figures["operators"][0]["ms"])
    for name in (*names, "faster", "floor", "above it"):
        table.add_column(name, justify="right", no_wrap=True)
    for row in figures["operators"]:
        speedup = "" if row["speedup"] is None else f"{row['speedup']:.1f}x"
        times = (f"{row['ms'][name]:.2f}" for name in names)
        floor = f"{row['floor_ms']:.2f}", f"{row['above_floor']:.1f}x"
        table.add_row(row["operator"], *times, speedup, *floor)
    console.print(table)
