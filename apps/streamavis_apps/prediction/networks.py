"""Any weights file as the network that it holds: causal, offline, or published."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from streamavis import checkpoint
from streamavis.errors import CheckpointError
from streamavis.model import AVISM, StreamAVIS

if TYPE_CHECKING:
    from pathlib import Path

    from streamavis.audio.vggish import VGGish
    from streamavis.device import Placement

__all__ = ["PUBLISHED", "Loaded", "Mode", "load"]

Mode = Literal["offline", "causal"]
PUBLISHED = (".pth", ".pt", ".bin", ".pkl")


@dataclass(frozen=True)
class Loaded:
    """A network ready to predict."""

    network: AVISM | StreamAVIS
    vggish: VGGish | None  # of an AVISM; a causal network holds its own

    @property
    def mode(self) -> Mode:
        """Whether it takes whole videos."""
        return "offline" if isinstance(self.network, AVISM) else "causal"


def load(
    path: Path,
    mode: Mode | None = None,
    vggish: Path | None = None,
    *,
    window: int = 6,
    placement: Placement | None = None,
) -> Loaded:
    """Load weights of ours, or convert published ones in memory.

    Args:
        path: .safetensors of ours, or a published .pth, .pt, .bin or .pkl.
        mode: how it is to run; an offline network runs causally without any training. None: as
            it was made.
        vggish: published weights of VGGish; None: those in `path`, if it has any.
        window: frames of an offline network's window, which published weights do not contain.
        placement: where it runs; None: on the CPU, in float32.

    Raises:
        CheckpointError: the file is not usable, or holds no offline network where one is asked for.
    """
    loaded = _read(path, mode, vggish, window)
    if placement is None:
        return loaded
    network = loaded.network.to(placement.device)
    network.compute_dtype = placement.dtype
    return Loaded(network, None if loaded.vggish is None else loaded.vggish.to(placement.device))


def _read(path: Path, mode: Mode | None, vggish: Path | None, window: int) -> Loaded:
    vggish_network = None
    if vggish is not None:
        vggish_network = checkpoint.vggish_from_reference(checkpoint.read_foreign(vggish))
    if path.suffix in PUBLISHED:
        state = checkpoint.read_foreign(path)
        network, _ = checkpoint.convert(state, window=window)
        if vggish_network is None and checkpoint.holds_vggish(state):
            vggish_network = checkpoint.vggish_from_reference(state)
    elif checkpoint.kind_of(path) == "avism":
        network = checkpoint.load_avism(path)
        vggish_network = vggish_network or checkpoint.load_vggish(path)
    elif mode == "offline":
        raise CheckpointError(
            f"{path} holds a causal network, which has no offline way of working; leave out "
            "--offline, or choose weights that `streamavis convert` wrote without --causal"
        )
    else:
        return Loaded(checkpoint.load(path), None)
    if mode != "causal":
        return Loaded(network, vggish_network)
    if vggish_network is None and network.config.audio == "vggish":
        raise CheckpointError(
            f"{path} holds no VGGish, needed as a causal network; give its published weights"
        )
    return Loaded(StreamAVIS.from_avism(network, vggish_network).eval().requires_grad_(False), None)
