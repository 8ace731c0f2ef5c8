"""A run's curve: one JSON object a line, and TensorBoard's files if requested."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

from streamavis.errors import MissingExtraError
from streamavis_training.tasks.base import DrawsPictures

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from torch import nn

__all__ = ["CURVE", "Curve"]

CURVE = "curve.jsonl"  # in a run's folder


class Curve:
    """Writes the curve of one run."""

    def __init__(self, folder: Path, step: int, tensorboard: bool) -> None:
        """Open it; lines of steps after `step`, of a run that was cut, are dropped.

        Raises:
            MissingExtraError: TensorBoard is requested and not installed.
        """
        path = folder / CURVE
        if path.exists():
            lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
            path.write_text("".join(x for x in lines if _step(x) <= step), encoding="utf-8")
        self._file = path.open("a", encoding="utf-8", buffering=1)
        self._board: Any = None
        if tensorboard:
            try:
                from torch.utils.tensorboard import SummaryWriter
            except ImportError as error:
                raise MissingExtraError("tensorboard", "train") from error
            self._board = SummaryWriter(str(folder / "tensorboard"), purge_step=step + 1)

    def step(
        self,
        step: int,
        terms: Mapping[str, float],
        rate: float,
        grad_norm: float,
        seconds: float,
        waited_s: float,
    ) -> None:
        """Add a training step."""
        values = {"loss": sum(terms.values()), "rate": rate, "grad_norm": grad_norm}
        self._write(step, values | {"seconds": seconds, "waited_s": waited_s}, terms=terms)
        if self._board is not None:
            for name, value in (values | {f"terms/{k}": v for k, v in terms.items()}).items():
                self._board.add_scalar(name, value, step)

    def evaluation(
        self, step: int, figures: Mapping[str, float], task: object, network: nn.Module
    ) -> None:
        """Add what a validation found, and the task's pictures."""
        if figures:
            self._write(step, {}, evaluation=figures)
        if self._board is None:
            return
        for name, value in figures.items():
            self._board.add_scalar(f"evaluation/{name}", value, step)
        if isinstance(task, DrawsPictures):
            for name, picture in task.pictures(network).items():
                self._board.add_image(name, picture, step)
        self._board.flush()

    def close(self) -> None:
        """Close the files."""
        self._file.close()
        if self._board is not None:
            self._board.close()

    def _write(self, step: int, values: dict[str, float], **more: Mapping[str, float]) -> None:
        kept = {name: _short(of) for name, of in more.items()}
        self._file.write(json.dumps({"step": step} | _short(values) | kept) + "\n")


def _short(values: Mapping[str, float]) -> dict[str, float | None]:
    """Six digits; None for what JSON has no number for."""
    return {k: float(f"{x:.6g}") if math.isfinite(x) else None for k, x in values.items()}


def _step(line: str) -> float:
    """A line that broke off belongs to no step that is kept."""
    try:
        return float(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError):
        return float("inf")
