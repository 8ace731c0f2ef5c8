"""A model made ready to run: loaded, its kernels built, its first steps made. Brings torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streamavis import checkpoint
from streamavis.warmup import warm_up

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from streamavis.model import StreamAVIS

__all__ = ["load_warm"]


def load_warm(name: str, sizes: Sequence[tuple[int, int]], console: Console) -> StreamAVIS:
    """Load the model of this name or file and warm it up on pictures of these sizes (H, W).

    Reports what takes time: on a machine's first run kernels are built, for half a minute.

    Raises:
        CheckpointError: the model is unknown, damaged, or of another kind or version.
    """
    with console.status(f"loading {name}") as status:
        model = checkpoint.load(name)
        status.update(f"warming up {name}")
        announced: list[str] = []

        def building(kernel: str) -> None:
            status.update(f"building kernels (first run): {kernel}")
            if not announced:
                console.print("building kernels (first run); this takes up to a minute")
            announced.append(kernel)

        warm_up(model, sizes, on_build=building)
    return model
