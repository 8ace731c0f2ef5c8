"""A tiny network on made-up clips: a task of which a step takes a moment."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import torch
from streamavis_training.batch import Batch, Truth
from streamavis_training.schedule import TrainerConfig
from streamavis_training.tasks.student import StudentConfig, StudentTask
from streamavis_training.trainer import Trainer

from streamavis.model import StreamAVIS

sys.path.append(str(Path(__file__).parents[1] / "model"))
from tiny import CONFIG, clip

SETTINGS = TrainerConfig(steps=6, rate=3e-3, checkpoint_every=2)
PARTS, FRAMES = 2, 2


def whole_clips(window: int, clips: int, first: int = 0) -> Batch:
    """Clips number first .. of a window: the same numbers give the same clips in any batch."""
    drawn = [one_clip(window * 100 + first + index) for index in range(clips)]
    truth = {
        name: torch.cat([getattr(c.truth, name) for c in drawn])
        for name in ("masks", "class_ids", "visible", "sounding", "heard", "level")
    }
    return Batch(
        frames=torch.cat([c.frames for c in drawn]),
        audio=torch.cat([c.audio for c in drawn]),
        times_s=torch.cat([c.times_s for c in drawn]),
        truth=Truth(**truth),
        names=tuple(f"clip {window * 100 + first + index}" for index in range(clips)),
    )


def one_clip(seed: int) -> Batch:
    steps = PARTS * FRAMES
    c = clip(seed, 1, steps, size=32)
    rng = torch.Generator().manual_seed(seed)
    visible = (torch.rand(1, steps, 2, generator=rng) < 0.8).float()
    sounding = (torch.rand(1, steps, 2, generator=rng) < 0.5).float()
    sounding[torch.rand(1, steps, 2, generator=rng) < 0.2] = torch.nan
    truth = Truth(
        masks=(torch.rand(1, steps, 2, 8, 16, generator=rng) < 0.3).float(),
        class_ids=torch.randint(0, 3, (1, 2), generator=rng),
        visible=visible,
        sounding=sounding,
        heard=(torch.rand(1, steps, 3, generator=rng) < 0.5).float(),
        level=torch.rand(1, steps, 2, generator=rng),
    )
    return Batch(c.frames, c.audio, c.times_s, truth)


def task(clips: int = 2, frames: int = FRAMES, **changes: object) -> StudentTask:
    """Each process has `clips` clips of its own at every step, in parts of `frames`."""
    torch.manual_seed(0)

    def batches(step: int, rank: int, world: int) -> Iterator[Batch]:
        while True:
            window, part = divmod(step, PARTS * FRAMES // frames)
            yield list(whole_clips(window, clips, rank * clips).parts(frames))[part]
            step += 1

    return StudentTask(StreamAVIS(CONFIG), batches, StudentConfig(), **changes)


def trainer(folder: Path, **changes: object) -> Trainer:
    from dataclasses import replace

    return Trainer(task(), folder, replace(SETTINGS, **changes))
