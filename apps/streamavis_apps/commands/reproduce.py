"""`streamavis reproduce`: its command line."""

from pathlib import Path
from typing import Annotated

import typer

from streamavis_apps.commands.options import (
    Compute,
    Device,
    Dtype,
    DtypeOption,
    Limit,
    Threads,
    Vggish,
    VideoJobs,
)

__all__ = ["command"]


def command(
    data: Annotated[
        Path,
        typer.Option(metavar="AVISEG", help="The data set's folder, or that of one split."),
    ],
    weights: Annotated[
        Path,
        typer.Option(metavar="DIR", help="Ours (.safetensors) and published ones (.pth, .pkl)."),
    ],
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="For predictions, tables.md and tables.json.")
    ] = Path("reproduced"),
    vggish: Vggish = None,
    also_causal: Annotated[
        bool,
        typer.Option("--also-causal", help="Run offline weights frame by frame as well."),
    ] = False,
    limit: Limit = None,
    jobs: VideoJobs = 1,
    device: Device = "auto",
    dtype: DtypeOption = Dtype.AUTO,
    threads: Threads = None,
) -> None:
    """The paper's tables 2, 4, 5 and 7 from the weights that are there.

    Runs every weights file of DIR over AVISeg's test split and prints the
    tables under the official protocol, beside published figures, and under
    the corrected one. Rows without weights say so. A stopped run goes on.

    [bold]Examples[/]
      streamavis reproduce --data AVISeg --weights weights --vggish vggish.pth
      streamavis reproduce --data AVISeg --weights weights --limit 10 --jobs 2
    """
    from streamavis_apps.prediction.reproduce import Reproducing, run

    plan = Reproducing(
        data=data,
        weights=weights,
        out=out,
        vggish=vggish,
        also_causal=also_causal,
        limit=limit,
        jobs=jobs,
        compute=Compute(device, dtype.value, threads),
    )
    raise typer.Exit(run(plan))
