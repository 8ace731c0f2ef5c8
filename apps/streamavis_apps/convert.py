"""`streamavis convert`: published weights to ours, with a report of every weight."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from streamavis import checkpoint
from streamavis.errors import OutputPathError
from streamavis.model import AVISM, StreamAVIS, avism
from streamavis_apps.exits import ExitCode
from streamavis_apps.terminal import Terminal

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console
    from torch import Tensor

    from streamavis.audio.vggish import VGGish
    from streamavis.checkpoint import Report

__all__ = ["run"]


def run(
    source: Path,
    out: Path,
    *,
    start: str | None = None,
    window: int = 6,
    half: bool = False,
    causal: bool = False,
    vggish: Path | None = None,
    console: Console | None = None,
) -> ExitCode:
    """Convert `source` to `out`.

    Args:
        source: published weights.
        out: a .safetensors file, replaced if it exists.
        start: name of a recipe to start from part of a network; None: a whole AVISM.
        window: frames of a window, which weights do not contain.
        half: store 16 bits per weight.
        causal: make a whole AVISM a causal network.
        vggish: published weights of its audio features, kept in `out`; None: those in
            `source`, if any.
        console: where the report goes; standard output by default.

    Raises:
        CheckpointError: `source` is not readable, or not of the network.
        OutputError: `out` is `source` itself, or no .safetensors file.
    """
    console = console or Terminal()
    if out.suffix != ".safetensors":
        raise OutputPathError(f"{out}: weights are written as .safetensors; name it so")
    if out.exists() and out.samefile(source):
        raise OutputPathError(f"{out}: is the input itself; give the output another name")
    state = checkpoint.read_foreign(source)
    model: AVISM | StreamAVIS
    if start is None:
        model, report = checkpoint.convert(state, window=window)
    else:
        model = AVISM(getattr(avism, start)())
        report = checkpoint.initialise(model, state)
    features = _vggish(state, vggish)
    notes = {"converted from": source.name}
    if causal and isinstance(model, AVISM):
        model = StreamAVIS.from_avism(model, features)
        checkpoint.save(model, out, notes, half=half)
    else:
        checkpoint.save(model, out, notes, half=half, vggish=features)
    _print(console, report)
    if features is not None:
        console.print(f"audio features: VGGish of {(vggish or source).name}", markup=False)
    if isinstance(model, StreamAVIS):
        console.print(_describe(model), markup=False, soft_wrap=True)
    size = out.stat().st_size / 1e6
    console.print(f"{out}: {size:.0f} MB", markup=False, soft_wrap=True)
    return ExitCode.DONE


def _vggish(state: dict[str, Tensor], path: Path | None) -> VGGish | None:
    """VGGish from a file of its own, or out of the network's; None where neither is."""
    if path is not None:
        return checkpoint.vggish_from_reference(checkpoint.read_foreign(path))
    return checkpoint.vggish_from_reference(state) if checkpoint.holds_vggish(state) else None


def _describe(model: StreamAVIS) -> str:
    c = model.config
    memory = f"causal: attends to the last {c.window} s, one frame a second, and the current frame"
    if c.vggish == "absent":
        return (
            f"{memory}\nit holds no VGGish: `step` takes ready features (B, 128) only, and replay "
            "refuses it; convert again with --vggish FILE for a network with sound"
        )
    return memory


def _print(console: Console, report: Report) -> None:
    """What became of each weight: alike ones on one line."""
    lines = [f"used: {len(report.used)} weights"]
    reasons = defaultdict(list)
    for key, why in report.left.items():
        reasons[why].append(key)
    lines += [f"left, {why}: {_some(keys)}" for why, keys in reasons.items()]
    if report.missing:
        lines.append(f"missing, left random: {_some(list(report.missing))}")
    for line in lines:
        console.print(line, markup=False, soft_wrap=True)


def _some(keys: list[str]) -> str:
    return ", ".join(keys) if len(keys) <= 4 else f"{len(keys)} weights, {keys[0]} .. {keys[-1]}"
