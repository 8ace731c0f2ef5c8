"""Times the sampling kernels on a GPU, without the cost of launching: graphs are replayed."""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

import numpy as np
import torch
from streamavis_kernels import audio_deform_attn, deform_attn
from streamavis_kernels.cupy_backend import run
from streamavis_kernels.launch import Launch, Variant, ceil_div, pointer, storage
from streamavis_kernels.sampling import cuda, reference
from torch import Tensor

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from streamavis_kernels.launch import Runner

__all__ = ["Figure", "measure", "plain_deform_attn", "plain_variant"]

HEADS, WIDTH, POINTS, STRIDES = 8, 32, 4, (8, 16, 32)
SIZES, BATCHES = ((360, 640), (720, 1280)), (1, 8)
DTYPES = (torch.float16, torch.bfloat16, torch.float32)
_L1_BYTES_PER_CLOCK = 128  # of a multiprocessor, Volta to Blackwell
_REPEATS = 30


class Figure(TypedDict):
    """One operator at one size: microseconds per call by way of computing it."""

    size: tuple[int, int]
    batch: int
    dtype: str
    operator: str
    us: dict[str, float]  # medians
    floor_us: float  # bytes of the neighbours over the rate of all first-level caches
    above_floor: float  # ours over the floor


def plain_variant(value: torch.dtype, L: int, P: int, D: int, M: int) -> Variant:
    defines = (f"AV_T={storage(value)}", f"AV_L={L}", f"AV_P={P}", f"AV_D={D}", f"AV_M={M}")
    return Variant("plain_deform_attn", defines, Path(__file__).parent)


def plain_deform_attn(
    runner: Runner, value: Tensor, shapes: Sequence[int], locations: Tensor, weights: Tensor
) -> Tensor:
    """`deform_attn` by the usual kernel; locations and weights are float32."""
    B, S, M, D = value.shape
    Q, L, P = locations.shape[1], locations.shape[3], locations.shape[4]
    out = value.new_empty((B, Q, M * D))
    levels = cuda.level_struct(tuple(shapes))
    pointers = (pointer(value), levels, pointer(locations), pointer(weights), pointer(out))
    sizes = (np.int32(S), np.int32(Q), B * Q * M)
    blocks = (ceil_div(B * Q * M * D, 256), 1, 1)
    runner(Launch(plain_variant(value.dtype, L, P, D, M), blocks, 256, (*pointers, *sizes)))
    return out


def measure() -> list[Figure]:
    """Every size, batch and dtype."""
    figures = []
    for size in SIZES:
        for batch in BATCHES:
            for dtype in DTYPES:
                figures += _figures(size, batch, dtype)
    return figures


def _figures(size: tuple[int, int], batch: int, dtype: torch.dtype) -> list[Figure]:
    shapes = tuple((-(-size[0] // stride), -(-size[1] // stride)) for stride in STRIDES)
    flat = [side for shape in shapes for side in shape]
    S, L = sum(h * w for h, w in shapes), len(shapes)
    value = torch.randn(batch, S, HEADS, WIDTH, device="cuda", dtype=dtype)
    locations = torch.rand(batch, S, HEADS, L, POINTS, 2, device="cuda")
    weights = torch.rand(batch, S, HEADS, L, POINTS, device="cuda")
    rows = torch.randn(batch, S, HEADS * L * POINTS * 3, device="cuda", dtype=dtype)
    points = torch.rand(S, L, 2, device="cuda")
    sound = (
        torch.randn(batch, HEADS, L * POINTS, device="cuda"),
        torch.rand(batch, HEADS * WIDTH, device="cuda"),
    )
    plain = (value, shapes, locations, weights)
    audio = (value, shapes, rows, points, *sound)
    grad = torch.randn(batch, S, HEADS * WIDTH, device="cuda", dtype=dtype)
    compiled = torch.compile(reference.deform_attn)
    compiled_audio = torch.compile(reference.audio_deform_attn)
    ways: dict[str, dict[str, Callable[[], object]]] = {
        "deform_attn": {
            "cupy": lambda: deform_attn(*plain),
            "grid_sample": lambda: reference.deform_attn(*plain),
            "torch.compile": lambda: compiled(*plain),
            "one thread per channel": lambda: plain_deform_attn(
                run, value, flat, locations, weights
            ),
        },
        "audio_deform_attn": {
            "cupy": lambda: audio_deform_attn(*audio),
            "grid_sample": lambda: reference.audio_deform_attn(*audio),
            "torch.compile": lambda: compiled_audio(*audio),
        },
        "deform_attn backward": {
            "cupy": lambda: cuda.deform_attn_backward(run, grad, value, flat, locations, weights),
        },
    }
    gathered = batch * S * HEADS * L * POINTS * 4 * WIDTH * value.element_size()
    floor = gathered / _l1_rate() * 1e6
    figures: list[Figure] = []
    for operator, functions in ways.items():
        us = {name: round(_microseconds(function), 2) for name, function in functions.items()}
        figures.append(
            {
                "size": size,
                "batch": batch,
                "dtype": storage(dtype),
                "operator": operator,
                "us": us,
                "floor_us": round(floor, 2),
                "above_floor": round(us["cupy"] / floor, 2),
            }
        )
    return figures


def _l1_rate() -> float:
    """Bytes per second that all multiprocessors read from their first-level caches."""
    about = torch.cuda.get_device_properties(0)
    return about.multi_processor_count * _L1_BYTES_PER_CLOCK * about.clock_rate * 1e3


@torch.inference_mode()
def _microseconds(function: Callable[[], object]) -> float:
    """Median of replays of ten calls in a graph, per call."""
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        for _ in range(3):
            function()  # compiles, and fills caches; illegal while a graph is recorded
    stream.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, stream=stream):
        for _ in range(10):
            function()
    times = []
    for _ in range(_REPEATS):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        graph.replay()
        end.record()
        end.synchronize()
        times.append(start.elapsed_time(end) * 1e3 / 10)
    return statistics.median(times)
