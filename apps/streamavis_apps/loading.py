"""A model made ready to run: loaded, its kernels built, its first steps made. Brings torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from streamavis import checkpoint
from streamavis.device import place
from streamavis.warmup import warm_up
from streamavis_apps.commands.options import AUTO, Compute

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from streamavis.device import Placement
    from streamavis.model import StreamAVIS

__all__ = ["load_warm", "placed"]


def placed(console: Console, name: str, compute: Compute) -> Placement:
    """Choose where a model runs, and say in one line what was taken and why; set the threads.

    Raises:
        ArgumentError: the device cannot be used, or it cannot compute in `dtype`.
    """

    def say(choice: str) -> None:
        console.print(f"{name} {choice}", markup=False, soft_wrap=True)

    if compute.threads is not None:
        torch.set_num_threads(compute.threads)
    return place(compute.device, compute.dtype, log=say)


def load_warm(
    name: str,
    sizes: Sequence[tuple[int, int]],
    console: Console,
    compute: Compute = AUTO,
) -> StreamAVIS:
    """Load the model of this name or file and warm it up on pictures of these sizes (H, W).

    Prints where it runs. On a machine's first run kernels are built, for half a minute.

    Raises:
        CheckpointError: the model is unknown, damaged, or of another kind or version.
        ArgumentError: the device cannot be used, or it cannot compute in `dtype`.
    """
    placement = placed(console, name.rpartition("/")[2], compute)
    with console.status(f"loading {name}") as status:
        model = checkpoint.load(name).to(placement.device)
        model.compute_dtype = placement.dtype
        status.update(f"warming up {name}")
        announced: list[str] = []

        def building(kernel: str) -> None:
            status.update(f"building kernels (first run): {kernel}")
            if not announced:
                console.print("building kernels (first run); this takes up to a minute")
            announced.append(kernel)

        warm_up(model, sizes, on_build=building)
    return model
