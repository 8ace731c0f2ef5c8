"""Doing one run: train, predict, score. What an earlier call has done is not done again."""

from __future__ import annotations

import json
import math
import os
import resource
import shlex
import signal
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from streamavis_apps.machine import machine

from streamavis.errors import InputError
from streamavis.masks import encode
from streamavis_benchmarks.training.plan import TEACHER
from streamavis_benchmarks.training.record import RECORD, Record, trained_minutes

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from streamavis_apps.exits import Stop

    from streamavis_benchmarks.training.plan import Run

__all__ = ["Short", "Worker"]

_POLL_S = 0.5
_FROZEN = '["backbone"]'


@dataclass(frozen=True)
class Short:
    """The short recipe: what every run has in common."""

    train: Path
    val: Path
    teacher_steps: int = 450
    student_steps: int = 120
    height: int = 96  # pixels of the network's frames
    width: int = 160
    clips: int = 100  # that the teacher sees for its students
    length: int = 9  # frames of each
    teacher_settings: tuple[str, ...] = ()
    student_settings: tuple[str, ...] = ()


class Worker:
    """Does runs in a folder, each in a folder of its own."""

    def __init__(self, folder: Path, short: Short, stop: Stop) -> None:
        self._folder, self._short, self._stop = folder, short, stop

    def folder(self, run: Run) -> Path:
        return self._folder / run.name

    def done(self, run: Run) -> bool:
        """Whether there is a record.

        Raises:
            InputError: it is of a run with other settings.
        """
        path = self.folder(run) / RECORD
        if not path.exists():
            return False
        try:
            made = json.loads(path.read_text()).get("command")
        except ValueError:
            made = None
        wanted = self.command(run)
        if made != wanted:
            raise InputError(
                f"{path.parent} holds another run ({made or 'unreadable'}), expected {wanted}; "
                "name another --out, or delete that folder"
            )
        return True

    def command(self, run: Run) -> str:
        """What trains it, as a user types it; empty where nothing is trained."""
        arguments = self._training(run)
        return shlex.join(["streamavis", *arguments]) if arguments else ""

    def do(self, run: Run, say: Callable[[str], None]) -> bool:
        """Train, predict, score and keep the record; False if it was stopped.

        Raises:
            InputError: a command failed; names its log.
        """
        folder = self.folder(run)
        folder.mkdir(parents=True, exist_ok=True)
        curve = folder / "curve.jsonl"
        whole, began = not curve.exists(), _cpu_s()
        training = self._training(run)
        if training and not self._command(folder, training, say):
            return False
        results = folder / "results.json"
        if not self._command(folder, self._predicting(run, results), say):
            return False
        steps, minutes, loss = trained_minutes(curve) if training else (0, 0.0, None)
        Record(
            name=run.name,
            study=run.study,
            variant=run.variant,
            title=run.title,
            kind=run.kind,
            seed=run.seed,
            command=self.command(run),
            steps=steps,
            minutes=round(minutes, 2),
            cpu_minutes=round((_cpu_s() - began) / 60, 2) if whole else None,
            scores=self._scores(results),
            machine=dict(machine()),
            train_clips=_videos(self._short.train),
            val_clips=_videos(self._short.val),
            loss=None if loss is None else round(loss, 3),
        ).write(folder)
        return True

    def _training(self, run: Run) -> list[str]:
        """Arguments of `streamavis`."""
        s = self._short
        if run.kind == "untrained":
            return []
        common = ["--data", str(s.train), "--out", str(self.folder(run)), "--seed", str(run.seed)]
        common += ["--processes", "1"]
        size = [f"network.short_side={min(s.height, s.width)}"]
        if run.kind == "teacher":
            size += [f"shape.height={s.height}", f"shape.width={s.width}"]
            # Few steps learn more from many clips than from many frames of few.
            batch = ["clips=5", "shape.frames=2"]
            own = [f"teacher.frozen={_FROZEN}", *s.teacher_settings, *run.settings]
            settings = [*size, *batch, *own]
            steps = ["--steps", str(s.teacher_steps)]
            return ["train", "avism_light", *common, *steps, *_sets(settings)]
        settings = [
            *size,
            f"plan.height={s.height}",
            f"plan.width={s.width}",
            f"fixed={s.clips}",
            f"length={s.length}",
            "plan.clips=4",
            "plan.frames=3",
            "plan.preroll=3",
            f"distill.frozen={_FROZEN}",
            # As the teacher's weights have them without training.
            "network.score_on=0.3",
            "network.score_off=0.2",
            f"cache={self._folder / 'teacher-outputs'}",
            *s.student_settings,
            *run.settings,
        ]
        steps = ["--steps", str(s.student_steps), "--teacher", str(self._teacher)]
        return ["train", "distill_light", *common, *steps, *_sets(settings)]

    def _predicting(self, run: Run, results: Path) -> list[str]:
        weights = self._teacher
        mode = ["--causal"] if run.kind == "untrained" else []
        if run.kind == "teacher":
            weights, mode = self.folder(run) / "avism.safetensors", ["--offline"]
        elif run.kind == "student":
            weights = self.folder(run) / "student.safetensors"
        data = ["--data", str(self._short.val), "--model", str(weights), "--out", str(results)]
        return ["predict", *data, *mode]

    @property
    def _teacher(self) -> Path:
        return self._folder / f"{TEACHER}-seed0" / "avism.safetensors"

    def _command(self, folder: Path, arguments: Sequence[str], say: Callable[[str], None]) -> bool:
        """Run one command, its output in the run's log; False if it was stopped.

        Raises:
            InputError: it failed.
        """
        log = folder / "log.txt"
        say(shlex.join(["streamavis", *arguments]))
        environment = os.environ | {"OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1")}
        with log.open("a", encoding="utf-8") as file:
            child = subprocess.Popen(
                [sys.executable, "-m", "streamavis_apps", *arguments],
                stdout=file,
                stderr=subprocess.STDOUT,
                env=environment,
                start_new_session=True,  # Ctrl-C comes through this process alone
            )
            while child.poll() is None:
                if self._stop.event.wait(_POLL_S):
                    os.kill(child.pid, signal.SIGINT)
                    child.wait()
                    return False
        if child.returncode:
            last = log.read_text(encoding="utf-8").strip().splitlines()[-1:]
            code = child.returncode
            how = f"ended with exit code {code}" if code > 0 else f"was ended by signal {-code}"
            raise InputError(
                f"`{shlex.join(['streamavis', *arguments])}` {how}: {' '.join(last)}; all of its "
                f"output is in {log}"
            )
        return True

    def _scores(self, results: Path) -> dict[str, dict[str, float | None]]:
        from streamavis_training.prediction import score
        from streamavis_training.split import read_split

        split, predicted = read_split(self._short.val), json.loads(results.read_text())
        found = score(split, predicted)
        # The public evaluator aborts at `null` in some frames: it gets what published code writes.
        found["official"] = score(split, _with_empty_masks(predicted)).get("official", {})
        return {
            protocol: {k: round(v, 3) if math.isfinite(v) else None for k, v in figures.items()}
            for protocol, figures in found.items()
        }


def _with_empty_masks(results: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The same predictions with a mask in every frame, empty in place of `null`."""
    filled = []
    for entry in results:
        size = next(mask["size"] for mask in entry["segmentations"] if mask is not None)
        empty = {"size": size, "counts": encode(np.zeros(size, bool)).counts}
        masks = [empty if mask is None else mask for mask in entry["segmentations"]]
        filled.append(entry | {"segmentations": masks})
    return filled


def _sets(settings: Sequence[str]) -> list[str]:
    return [word for setting in settings for word in ("--set", setting)]


def _videos(split: Path) -> int:
    from streamavis_training.split import read_split

    return len(read_split(split).clips)


def _cpu_s() -> float:
    """Of the processes that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
