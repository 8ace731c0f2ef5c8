"""What is kept of a run once it is done: all that a report is made from."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from streamavis.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

__all__ = ["RECORD", "Record", "read_all", "trained_minutes"]

RECORD = "record.json"  # in a run's folder


@dataclass(frozen=True)
class Record:
    """One finished run."""

    name: str
    study: str
    variant: str
    title: str
    kind: str
    seed: int
    command: str  # that trains it; empty where nothing is trained
    steps: int
    minutes: float  # of training, waiting for data included
    cpu_minutes: float | None  # of all processes of the run; None: it was interrupted
    scores: dict[str, dict[str, float | None]]  # protocol -> figure -> percent
    machine: dict[str, Any]
    train_clips: int
    val_clips: int
    loss: float | None  # mean of the last tenth of the steps

    def write(self, folder: Path) -> None:
        """Keep it, whole or not at all."""
        part = folder / (RECORD + ".part")
        part.write_text(json.dumps(asdict(self), indent=1) + "\n", encoding="utf-8")
        part.replace(folder / RECORD)


def read_all(folders: Iterable[Path]) -> list[Record]:
    """The records that there are.

    Raises:
        InputError: a file is no record.
    """
    found = []
    for folder in folders:
        path = folder / RECORD
        if not path.exists():
            continue
        try:
            found.append(msgspec.convert(json.loads(path.read_text()), Record))
        except (ValueError, msgspec.ValidationError) as error:
            raise InputError(
                f"{path} is no record of a run: {error}; delete it, and the run is scored again"
            ) from error
    return found


def trained_minutes(curve: Path) -> tuple[int, float, float | None]:
    """Steps, minutes and the mean loss of the last tenth of the steps, from a run's curve.

    A run that went on after an interruption counts its seconds from 0 again: they are added.
    """
    losses, minutes, before = [], 0.0, 0.0
    for line in curve.read_text(encoding="utf-8").splitlines():
        entry = json.loads(line)
        if "loss" not in entry:
            continue
        losses.append(entry["loss"])
        seconds = entry["seconds"]
        minutes += (seconds - before if seconds >= before else seconds) / 60
        before = seconds
    late = losses[-max(len(losses) // 10, 1) :]
    return len(losses), minutes, sum(late) / len(late) if late else None
