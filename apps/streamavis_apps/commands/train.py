"""`streamavis train`: its command line."""

import os
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from streamavis_apps.commands.options import Dtype, parse_device, parse_threads

__all__ = ["Audio", "Fusion", "Slots", "command"]

_PANEL = "The network, for ablation"


class Fusion(StrEnum):
    """How sound enters the frame's queries."""

    DEFORMABLE = "deformable"
    DENSE = "dense"


class Slots(StrEnum):
    """What a frame's slots start from."""

    GATE = "gate"
    PREVIOUS = "previous"
    LEARNED = "learned"


class Audio(StrEnum):
    """Audio encoder."""

    CAUSAL = "causal"
    NONE = "none"


def command(
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="The run's folder: settings, curve, weights.")
    ],
    recipe: Annotated[
        str, typer.Argument(metavar="[RECIPE]", help="What is trained.")
    ] = "nano_drawn",
    data: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Training split in AVISeg's layout: data.train."),
    ] = None,
    val: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Split that is predicted and scored: data.val."),
    ] = None,
    teacher: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Weights of the offline network to distil."),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="PATH=VALUE", help="Change any field of the recipe."),
    ] = None,
    config: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Fields from a TOML or JSON file.")
    ] = None,
    show: Annotated[bool, typer.Option("--show", help="Print every field and end.")] = False,
    init: Annotated[
        str | None, typer.Option(metavar="FILE", help="Weights to start from: what fits is taken.")
    ] = None,
    resume: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Checkpoint to go on from where DIR has none."),
    ] = None,
    pack: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write DIR's checkpoint as a small file and end."),
    ] = None,
    minutes: Annotated[
        float | None, typer.Option(min=0, help="Stop with a checkpoint after that long.")
    ] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Training steps: trainer.steps.")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="trainer.seed.")] = None,
    device: Annotated[
        str | None,
        typer.Option(parser=parse_device, metavar="auto|cpu|cuda[:N]", help="trainer.device."),
    ] = None,
    dtype: Annotated[
        Dtype, typer.Option(help="What it computes in: trainer.precision; auto: the recipe's.")
    ] = Dtype.AUTO,
    threads: Annotated[
        int | None,
        typer.Option(
            parser=parse_threads,
            metavar="auto|N",
            help="Threads of each process.",
            show_default="auto: the cores, shared out",
        ),
    ] = None,
    processes: Annotated[
        int | None,
        typer.Option(min=1, help="That train together.  [default: one per GPU, else 2]"),
    ] = None,
    window: Annotated[
        int | None,
        typer.Option(min=1, help="Remembered frames.", rich_help_panel=_PANEL),
    ] = None,
    stride: Annotated[
        float | None,
        typer.Option(min=0.01, help="Seconds between remembered frames.", rich_help_panel=_PANEL),
    ] = None,
    sinks: Annotated[
        int | None,
        typer.Option(min=0, help="Learned rows in every memory.", rich_help_panel=_PANEL),
    ] = None,
    pin_first: Annotated[
        int | None,
        typer.Option(min=0, help="First frames kept for good.", rich_help_panel=_PANEL),
    ] = None,
    slots: Annotated[
        Slots | None,
        typer.Option(
            help="A frame's slots start from the previous ones through a learned gate, from the "
            "previous ones as they are, or from learned queries.",
            rich_help_panel=_PANEL,
        ),
    ] = None,
    fusion: Annotated[
        Fusion | None,
        typer.Option(help="How sound enters the frame's queries.", rich_help_panel=_PANEL),
    ] = None,
    audio: Annotated[
        Audio | None,
        typer.Option(help="Audio encoder; `none`: sound is off.", rich_help_panel=_PANEL),
    ] = None,
) -> None:
    """Train a network. RECIPE is one of:
    `nano`: the default network, on clips composed of real material; `nano_gpu`:
    the same in large batches, for one GPU; `nano_drawn`: a small network on the
    procedural world, without a data set; `audio`: its audio encoder only;
    `avism`, `avism_r101`, `avism_swin_l`: the offline teacher as published;
    `avism_light`: a small teacher; `distill`, `distill_light`, `distill_r50`,
    `distill_swin_l`, `distill_adopted`: a causal network that learns from a
    teacher; `avism_drawn`, `distill_drawn`: both on the procedural world.

    Clips of the procedural world are rendered first (about 0.4 GB per 100). A
    checkpoint is written every 200 steps and on Ctrl-C. The same command resumes.
    At the end DIR/nano.safetensors is ready for `--model`. Works under
    `torchrun` too: one process per GPU or core.

    [bold]Example[/]
      streamavis train --out runs/drawn
      streamavis replay clip.mp4 --model runs/drawn/nano.safetensors
      streamavis train --out runs/no-sinks --sinks 0
      streamavis train --out runs/slow --set trainer.rate=1e-4 --set pool.clips=500
      streamavis train nano --show --out runs/nano
      streamavis train avism_light --data AVISEG/train --val AVISEG/val --out runs/teacher
      streamavis train distill --teacher runs/teacher/avism.safetensors --data AVISEG/train
        --out runs/student
    """
    # Before torch is loaded. It warns that a step without unused parameters may be a little faster.
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    from streamavis_apps.train.train import TrainingPlan, build, run, show_fields
    from streamavis_apps.train.train import pack as write_packed

    if pack is not None:
        raise typer.Exit(write_packed(out, pack))
    precision = None if dtype is Dtype.AUTO else dtype.value
    shortcuts = {
        "trainer": {"steps": steps, "seed": seed, "device": device, "precision": precision},
        "network": {
            "window": window,
            "memory_stride_s": stride,
            "sinks": sinks,
            "pin_first": pin_first,
            "slot_start": slots,
            "fusion": fusion,
            "audio": audio,
        },
        "init": init,
        "data": {"train": _text(data), "val": _text(val)},
        "teacher": _text(teacher),
    }
    built = build(recipe, config, shortcuts, settings or [])
    if show:
        raise typer.Exit(show_fields(built))
    raise typer.Exit(run(TrainingPlan(out, built, processes, resume, minutes, threads)))


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)
