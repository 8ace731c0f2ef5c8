"""`streamavis inspect`: what a causal network costs, remembers and reaches, without running it.

Everything is worked out from the configuration, on tensors without content: no weights are read
and no machine is measured.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import torch
from rich import box
from rich.table import Table
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from streamavis import checkpoint
from streamavis.audio.vggish import FEATURES
from streamavis.errors import UnknownModelError
from streamavis.model import StreamAVIS, StreamAVISConfig, presets
from streamavis.runtime.prep import network_size
from streamavis.types import SAMPLE_RATE, WINDOW_SAMPLES
from streamavis_apps.exits import ExitCode
from streamavis_apps.figures import write
from streamavis_apps.terminal import Terminal

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from rich.console import Console

__all__ = ["Facts", "Stage", "examine", "run"]

# The parts of the network in the order a frame passes through them.
_STAGES = {
    "backbone": ("backbone",),
    "pixel decoder": ("pixel_decoder",),
    "audio encoder": ("audio_encoder",),
    "frame decoder": ("frame_decoder",),
    "object encoder": ("object_encoder",),
    "video decoder": ("video_decoder",),
    "heads and masks": ("heads", "sounding", "identity", "video_mask_features"),
}
_PRESETS: dict[str, Callable[[], StreamAVISConfig]] = {
    "r50": presets.r50,
    "swin_l": presets.swin_l,
}
_SAMPLE_FLOPS = (
    10  # per sampled channel: four taps and a weight, a multiplication and an addition each
)


@dataclass(frozen=True)
class Stage:
    """One part of the network."""

    name: str
    parameters: int
    flops: int  # per frame


@dataclass(frozen=True)
class Facts:
    """What there is to know of a network."""

    model: str
    classes: tuple[str, ...]
    source_size: tuple[int, int]  # height, width
    network_size: tuple[int, int]
    stages: tuple[Stage, ...]
    state_bytes: dict[str, int]  # of one stream, by what is kept
    audio_s: float
    remembers_s: float  # back to the oldest frame that a layer attends to
    reaches_s: float  # through frames that remembered frames remembered
    pinned_frames: int
    carries: tuple[str, ...]  # what goes on from frame to frame without an end
    cached: tuple[str, ...]  # sentences
    recomputed: tuple[str, ...]


def run(
    model: str,
    *,
    size: tuple[int, int],
    json_path: Path | None = None,
    console: Console | None = None,
) -> ExitCode:
    """Print the facts about `model` for source pictures of `size` (height, width).

    With `json_path` they are written there as well; as `-`, they are printed as JSON instead.

    Raises:
        CheckpointError: `model` is a file that is not there or cannot be read.
        UnknownModelError: `model` is neither a shipped name, a preset, nor a weights file.
    """
    console = console or Terminal()
    facts = examine(model, size)
    totals = {
        "parameters": sum(stage.parameters for stage in facts.stages),
        "flops": sum(stage.flops for stage in facts.stages),
        "bytes_per_stream": sum(facts.state_bytes.values()),
    }
    figures = asdict(facts) | {"total": totals}
    if str(json_path) == "-":
        console.print(json.dumps(figures, indent=2), markup=False, soft_wrap=True)
        return ExitCode.DONE
    _print(console, facts)
    write(console, json_path, figures)
    return ExitCode.DONE


def examine(model: str, size: tuple[int, int]) -> Facts:
    """Work out the facts; see `run`."""
    preset = _PRESETS.get(model) if model not in checkpoint.shipped() else None
    try:
        config = preset() if preset else checkpoint.configuration(model)
    except UnknownModelError as error:
        raise UnknownModelError(f"{error}, or a preset ({', '.join(_PRESETS)})") from error
    with torch.device("meta"):
        network = StreamAVIS(config).eval().requires_grad_(False)
    height, width = network_size(*size, config.short_side)
    span_s = config.window * config.memory_stride_s
    # A layer's keys are of tokens that had looked back themselves; audio layers share one set.
    depth = config.object_layers + (config.audio_layers > 0) + 1
    return Facts(
        model=f"{model} (preset, untrained)" if preset else model,
        classes=config.classes,
        source_size=size,
        network_size=(height, width),
        stages=_stages(network, height, width),
        state_bytes=_state_bytes(network),
        audio_s=0.0 if config.audio == "none" else WINDOW_SAMPLES / SAMPLE_RATE,
        remembers_s=span_s,
        reaches_s=depth * span_s,
        pinned_frames=config.pin_first,
        carries=_carries(config),
        cached=_cached(config),
        recomputed=("the picture's features", "the sound's spectra and token"),
    )


class _Step(nn.Module):
    """`StreamAVIS.step` as a forward, by which the counter knows its parts."""

    def __init__(self, network: StreamAVIS) -> None:
        super().__init__()
        self.network = network

    def forward(self, frames: Tensor, audio: Tensor, times_s: Tensor) -> None:
        self.network.step(frames, audio, self.network.init_state(1), times_s=times_s)


def _stages(network: StreamAVIS, height: int, width: int) -> tuple[Stage, ...]:
    c = network.config
    ready = c.audio == "vggish" and c.vggish == "absent"
    meta = torch.device("meta")
    frames = torch.empty(1, 3, height, width, dtype=torch.uint8, device=meta)
    audio = torch.empty(1, FEATURES if ready else WINDOW_SAMPLES, device=meta)
    times_s = torch.empty(1, dtype=torch.float64, device=meta)
    counter = FlopCounterMode(
        display=False, custom_mapping={torch.ops.aten.grid_sampler_2d: _sampling_flops}
    )
    with counter, torch.no_grad():
        _Step(network)(frames, audio, times_s)
    flops: Counter[str] = Counter()
    for name, counts in counter.get_flop_counts().items():
        parts = name.split(".")
        # A part that is only a container is not called: then its own parts are.
        parents = {".".join(parts[:n]) for n in range(len(parts))}
        if len(parts) > 2 and not parents & counter.get_flop_counts().keys() - {"_Step"}:
            flops[parts[2]] += sum(counts.values())
    stages = []
    for label, names in _STAGES.items():
        modules = [getattr(network, name) for name in names]
        parameters = sum(p.numel() for m in modules if m is not None for p in m.parameters())
        stages.append(Stage(label, parameters, sum(flops[name] for name in names)))
    # Products of masks and features belong to no module.
    rest = counter.get_total_flops() - sum(stage.flops for stage in stages)
    last = stages.pop()
    return (*stages, Stage(last.name, last.parameters, last.flops + rest))


def _sampling_flops(
    image: Sequence[int], grid: Sequence[int], *rest: Any, out_shape: Any = None, **kwargs: Any
) -> int:
    """Of bilinear sampling: (N, C, h, w) and (N, Q, P, 2)."""
    return math.prod(grid[:3]) * image[1] * _SAMPLE_FLOPS


def _state_bytes(network: StreamAVIS) -> dict[str, int]:
    state = network.init_state(1)

    def size(tensors: list[Tensor]) -> int:
        return sum(t.numel() * t.element_size() for t in tensors)

    rings = {"object and audio layers": state.object_rings, "video decoder": state.video_rings}
    kept = {
        f"keys and values, {name}": size([t for ring in of for t in (ring.keys, ring.values)])
        for name, of in rings.items()
    }
    kept["slots"] = size([state.slots])
    kept["evidence of sounding"] = size([state.evidence])
    kept["counters"] = size(state.counters.tensors())
    assert sum(kept.values()) == state.nbytes, "the state holds something this does not list"
    return kept


def _carries(config: StreamAVISConfig) -> tuple[str, ...]:
    slots = {"gate": ("slots, through a learned gate",), "previous": ("slots, as they are",)}
    heard = ("how well motion and sound have agreed",) if config.sounding == "taught" else ()
    return (*slots.get(config.slot_start, ()), *heard)


def _cached(config: StreamAVISConfig) -> tuple[str, ...]:
    layers = config.object_layers + config.audio_layers + config.video_layers
    frames = f"{config.window} remembered frames, one per {config.memory_stride_s:g} s"
    if config.pin_first:
        frames += f", and the first {config.pin_first} for good"
    return (f"keys and values of {layers} layers for {frames}",)


def _print(console: Console, facts: Facts) -> None:
    height, width = facts.network_size
    title = (
        f"{facts.model}: {len(facts.classes)} classes; pictures of {facts.source_size[1]}x"
        f"{facts.source_size[0]}, seen at {width}x{height}"
    )
    console.print(title, markup=False, soft_wrap=True)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
    for heading in ("stage", "parameters", "GFLOPs per frame", "share"):
        table.add_column(heading, justify="left" if heading == "stage" else "right")
    total = Stage(
        "total", sum(s.parameters for s in facts.stages), sum(s.flops for s in facts.stages)
    )
    for stage in (*facts.stages, total):
        table.add_row(
            stage.name,
            f"{stage.parameters:,}",
            f"{stage.flops / 1e9:.3f}",
            f"{stage.flops / total.flops:.1%}",
            style="bold" if stage is total else "",
        )
    console.print(table)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
    table.add_column("kept per stream")
    table.add_column("bytes", justify="right")
    for name, size in facts.state_bytes.items():
        table.add_row(name, f"{size:,}")
    table.add_row("total", f"{sum(facts.state_bytes.values()):,}", style="bold")
    console.print(table)
    for line in _sentences(facts):
        console.print(line, markup=False, soft_wrap=True)


def _sentences(facts: Facts) -> list[str]:
    """The table's other half: sound, memory and computation."""
    lines = ["no audio input"]
    if facts.audio_s:
        lines = [f"audio input: the {facts.audio_s:g} s that end with the frame"]
    pinned = f" and the first {facts.pinned_frames}" if facts.pinned_frames else ""
    lines.append(
        f"attends to frames of the last {facts.remembers_s:g} s{pinned}; "
        f"what those had seen reaches back {facts.reaches_s:g} s"
    )
    lines.append(f"carried on without an end: {'; '.join(facts.carries) or 'nothing'}")
    lines += [f"cached: {'; '.join(facts.cached)}", f"made anew: {'; '.join(facts.recomputed)}"]
    lines.append(
        "a multiplication and an addition count 2 FLOPs; element-wise work and FFTs are left out"
    )
    return lines
