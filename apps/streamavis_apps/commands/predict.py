"""`streamavis predict`: its command line."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from streamavis_apps.commands.options import (
    Compute,
    Device,
    Dtype,
    DtypeOption,
    Limit,
    Model,
    Threads,
    Vggish,
    VideoJobs,
)

if TYPE_CHECKING:
    from streamavis_apps.prediction.networks import Mode

__all__ = ["Objects", "command"]


class Objects(StrEnum):
    """Which masks are predicted."""

    SOUNDING = "sounding"
    VISIBLE = "visible"


def command(
    data: Annotated[
        Path,
        typer.Option(
            metavar="DIR",
            help="One split: JPEGImages, WAVAudios, and annotations.json in it or DIR.json beside.",
        ),
    ],
    out: Annotated[Path, typer.Option(metavar="FILE.json", help="Where the predictions go.")],
    model: Model = "nano",
    annotations: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="The split's JSON.", show_default="found by name"),
    ] = None,
    offline: Annotated[
        bool, typer.Option("--offline", help="The whole video at once; AVISM weights alone.")
    ] = False,
    causal: Annotated[
        bool, typer.Option("--causal", help="Frame by frame, also of AVISM weights.")
    ] = False,
    vggish: Vggish = None,
    objects: Annotated[
        Objects | None,
        typer.Option(
            help="Masks where an object sounds, or wherever it is seen.",
            show_default="sounding where there is sound",
        ),
    ] = None,
    threshold: Annotated[
        float, typer.Option(min=0, max=1, help="Offline: keep objects that score above it.")
    ] = 0.3,
    no_audio: Annotated[bool, typer.Option("--no-audio", help="Give the model no sound.")] = False,
    limit: Limit = None,
    jobs: VideoJobs = 1,
    device: Device = "auto",
    dtype: DtypeOption = Dtype.AUTO,
    threads: Threads = None,
    resume: Annotated[
        bool, typer.Option(help="Go on where an earlier run of the same command stopped.")
    ] = True,
) -> None:
    """Predict every video of a data set, for `streamavis eval`.

    DIR is AVISeg's test folder, one of `synth` or `compose`, or YouTube-VIS.
    Video and category ids are the file's; classes are matched by name. A
    causal network sees AVISeg's frame i at i + 0.96 s, with the sound that
    of the offline network's row i.

    [bold]Examples[/]
      streamavis predict --data AVISeg/test --model avism.safetensors --out results.json
      streamavis predict --data clips/test --model nano --jobs 2 --out nano.json
    """
    from streamavis_apps.prediction.predict import PredictionPlan, run

    if offline and causal:
        raise typer.BadParameter("Give one of --offline and --causal.")
    mode: Mode | None = "offline" if offline else "causal" if causal else None
    plan = PredictionPlan(
        data=data,
        model=model,
        out=out,
        annotations=annotations,
        mode=mode,
        vggish=vggish,
        objects=objects.value if objects else None,
        threshold=threshold,
        no_audio=no_audio,
        limit=limit,
        jobs=jobs,
        compute=Compute(device, dtype.value, threads),
        resume=resume,
    )
    raise typer.Exit(run(plan))
