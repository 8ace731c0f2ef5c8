"""`streamavis bench world`: how good a model is on unseen procedural clips."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from typing import TYPE_CHECKING, get_args

from rich.progress import track
from rich.table import Table
from streamavis_apps.figures import write
from streamavis_apps.terminal import Terminal

if TYPE_CHECKING:
    from pathlib import Path

    from streamavis_training.evaluate import Scores, Sound

__all__ = ["run"]

_ROWS = {
    "mean_iou": "sounding objects: mean IoU",
    "precision": "sounding: precision",
    "recall": "sounding: recall",
    "class_accuracy": "class right, of the hits",
    "visible_iou": "visible objects: mean IoU",
    "quiet_frames_right": "quiet frames kept quiet",
    "frames_without_sounding_track": "frames nobody sounds in",
    "pair_ranking": "right one of a pair louder",
}


def run(model: str, *, clips: int, seed: int, fps: float, jobs: int, json_path: Path | None) -> int:
    """Score `model` on `clips` clips of `streamavis synth --seed SEED` under three sounds.

    Returns:
        The exit code.
    """
    from streamavis_training.evaluate import Scores

    from streamavis import checkpoint

    checkpoint.metadata(model)  # an unusable file is named before the clips are made
    console = Terminal()
    sounds: tuple[Sound, ...] = ("own", "swapped", "silence")
    # Swapped sound comes from the neighbour, so a share is a run of clips that closes on itself.
    shares = [(start, min(4, clips - start)) for start in range(0, clips, 4)]
    totals = {sound: (Scores(), Scores()) for sound in sounds}
    with ProcessPoolExecutor(jobs) as workers:
        tasks = [workers.submit(_share, model, seed, fps, start, n) for start, n in shares]
        for task in track(tasks, "evaluating", console=console, transient=True):
            for sound, (plain, paired) in task.result().items():
                before = totals[sound]
                totals[sound] = (before[0] + plain, before[1] + paired)
    console.print(_table(totals, clips, seed, fps))
    if json_path is not None:
        figures: dict[str, object] = {
            sound: {
                "frames": {"counts": asdict(a + b), "ratios": _known(a + b)},
                "without_pair_frames": _known(a),
                "pair_frames": _known(b),
            }
            for sound, (a, b) in totals.items()
        }
        about = {"model": model, "clips": clips, "seed": seed, "fps": fps}
        write(console, json_path, {**about, **figures})
    return 0


def _known(scores: Scores) -> dict[str, float | None]:
    """Ratios as JSON knows them: null where nothing was counted."""
    return {name: None if v != v else v for name, v in scores.ratios().items()}


def _share(
    model: str, seed: int, fps: float, start: int, count: int
) -> dict[Sound, tuple[Scores, Scores]]:
    """Scores of a run of clips, in a process of its own."""
    import cv2
    import torch
    from streamavis_training.evaluate import Sound, evaluate
    from streamavis_training.synth import clip_seed
    from streamavis_training.world import WorldConfig, clip

    from streamavis import checkpoint

    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    network = checkpoint.load(model)
    scenes = [clip(clip_seed(seed, i), WorldConfig(fps=fps)) for i in range(start, start + count)]
    return {sound: evaluate(network, scenes, sound) for sound in get_args(Sound)}


def _table(totals: dict[Sound, tuple[Scores, Scores]], clips: int, seed: int, fps: float) -> Table:
    table = Table(title=f"{clips} unseen procedural clips, seed {seed}, {fps:g} frames/s")
    table.add_column("")
    names = ["own sound", "pair frames", "swapped", "silence"]
    for name in names:
        table.add_column(name, justify="right")
    plain, paired = totals["own"]
    columns = [plain, paired, sum(totals["swapped"], start=type(plain)())]
    columns.append(sum(totals["silence"], start=type(plain)()))
    for key, label in _ROWS.items():
        values = [scores.ratios()[key] for scores in columns]
        table.add_row(label, *("-" if v != v else f"{v:.3f}" for v in values))
    table.add_row("frames", *(str(scores.frames) for scores in columns))
    table.caption = (
        "own sound: all but the pair frames, in which one of two objects of a class sounds; "
        "swapped: another clip's sound"
    )
    return table
