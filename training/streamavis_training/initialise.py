"""Starting from the weights of another network: what fits is taken, the rest is reported."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from streamavis import checkpoint
from streamavis.errors import CheckpointError
from streamavis.model import StreamAVIS
from streamavis_training.run_state import read

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor, nn

__all__ = ["InitReport", "initialise"]


@dataclass
class InitReport:
    """What became of each tensor."""

    source: str
    taken: list[str] = field(default_factory=list)
    values: int = 0  # numbers in them
    left: dict[str, str] = field(default_factory=dict)  # name in the file -> why
    missing: list[str] = field(default_factory=list)  # ours that stay as they were initialised

    def lines(self, most: int = 8) -> list[str]:
        """The report for people; of long lists the first `most`."""
        left = [f"{name} ({why})" for name, why in self.left.items()]
        return [
            f"{self.source}: {len(self.taken)} tensors taken, {self.values / 1e6:.2f} M values",
            f"  left {len(left)}{_some(left, most)}",
            f"  not in it, as initialised: {len(self.missing)}{_some(self.missing, most)}",
        ]


def initialise(network: nn.Module, source: str | Path) -> InitReport:
    """Fill `network` with what fits of a file.

    Args:
        network: changed in place.
        source: a shipped name, a weights file of ours or of others, or a run's checkpoint, whole
            or packed. An offline network fills a causal one as `StreamAVIS.from_avism` does.

    Raises:
        CheckpointError: it cannot be read, or nothing fits.
    """
    path = checkpoint.find(source)
    found, report = _tensors(path, network), InitReport(str(source))
    ours = network.state_dict()
    for name, value in found.items():
        if name not in ours:
            report.left[name] = "this network has no such part"
        elif value.shape != ours[name].shape:
            shape, wanted = tuple(value.shape), tuple(ours[name].shape)
            report.left[name] = f"has shape {shape}, this network's is {wanted}"
        else:
            report.taken.append(name)
            report.values += value.numel()
    if not report.taken:
        first = next(iter(report.left.items()), None)
        raise CheckpointError(
            f"{path}: none of its {len(found)} tensors fits this network (first {first}); choose "
            "a file of a network of this kind"
        )
    network.load_state_dict({name: found[name] for name in report.taken}, strict=False)
    report.missing = [name for name in ours if name not in set(report.taken)]
    return report


def _tensors(path: Path, network: nn.Module) -> dict[str, Tensor]:
    if path.suffix == ".safetensors":
        kind = checkpoint.kind_of(path)
        if kind == "avism" and isinstance(network, StreamAVIS):
            avism, vggish = checkpoint.load_avism(path), checkpoint.load_vggish(path)
            return dict(StreamAVIS.from_avism(avism, vggish).state_dict())
        tensors = checkpoint.read_foreign(path)
        if kind == "audio encoder" and hasattr(network, "audio_encoder"):
            return {f"audio_encoder.{name}": value for name, value in tensors.items()}
        return tensors
    try:
        return read(path).ema
    except CheckpointError:
        return checkpoint.read_foreign(path)


def _some(names: list[str], most: int) -> str:
    if not names:
        return ""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return f": {', '.join(names[:most])}{more}"
