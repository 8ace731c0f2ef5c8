"""`streamavis data bundle`: material for training in one file of a given size."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streamavis_apps.data.check import counting
from streamavis_apps.data.compose import default_cache
from streamavis_apps.exits import ExitCode
from streamavis_apps.terminal import Terminal

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from rich.console import Console

__all__ = ["run"]


def run(
    material: Sequence[Path],
    out: Path,
    *,
    limit_mb: float,
    split: str,
    tiers: Sequence[str],
    jobs: int,
    console: Console | None = None,
) -> ExitCode:
    """Write the bundle and say what it holds.

    Raises:
        InputError: the material cannot be read, has nothing of the split, or does not fit.
        OutputError: `out` cannot be written.
    """
    from streamavis_training.data.compose.bundle import write_bundle
    from streamavis_training.data.compose.catalogue import Catalogue
    from streamavis_training.data.compose.unbundle import opened

    console = console or Terminal()
    chosen = Catalogue.read(opened(material, default_cache())).choose(split, tiers)
    with counting(console, "encoding") as progress:
        found = write_bundle(
            chosen,
            out,
            int(limit_mb * 1e6),
            notes={"split": split, "tiers": list(tiers)},
            jobs=jobs,
            progress=progress,
        )
    level = found.level
    sounds = "as they are" if level.kbps is None else f"Opus at {level.kbps} kbit/s"
    lines = (
        f"{found.cutouts} cut-outs up to {level.cutout} pixels, {found.scenes} scenes and "
        f"{found.backgrounds} backgrounds up to {level.scene}, WebP quality {level.quality}",
        f"{found.sounds} sounds, {sounds}",
        f"{out}: {found.size / 1e6:.1f} MB, split {split}, tiers {', '.join(tiers)}",
        f"train on it with: streamavis train nano --out DIR --set 'data.material=[\"{out}\"]'",
    )
    for line in lines:
        console.print(line, markup=False, soft_wrap=True)
    return ExitCode.DONE
