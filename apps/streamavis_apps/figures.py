"""Figures of a benchmark: to a file, and what they were taken on."""

from __future__ import annotations

import json
import statistics
from typing import TYPE_CHECKING, Any, TypedDict

from streamavis.errors import OutputError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from rich.console import Console

    from streamavis_apps.machine import Machine

__all__ = ["Spread", "describe_machine", "spread", "write"]


class Spread(TypedDict):
    """Of repeated measurements."""

    median: float
    min: float
    max: float


def spread(values: Sequence[float]) -> Spread:
    """Summarise one figure, measured at least once."""
    return {
        "median": round(statistics.median(values), 3),
        "min": round(min(values), 3),
        "max": round(max(values), 3),
    }


def describe_machine(about: Machine, threads: int, kernels: str) -> str:
    """One line that a figure must not be quoted without."""
    return (
        f"{about['cpu']}, {about['cores']} cores, load {about['load_1min']}; "
        f"{threads} torch threads, {kernels} kernels, torch {about['versions']['torch']}"
    )


def write(console: Console, path: Path | None, figures: Mapping[str, Any]) -> None:
    """Write figures as JSON and say where; nothing where `path` is None.

    Raises:
        OutputError: `path` cannot be written.
    """
    if path is None:
        return
    try:
        path.write_text(json.dumps(figures, indent=2) + "\n")
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror}") from error
    console.print(f"figures  {path}", markup=False, soft_wrap=True)
