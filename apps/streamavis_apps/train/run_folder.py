"""Records in a run's folder: settings, and each start with its command and machine."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from streamavis_apps.machine import machine

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["CONFIG", "RUN", "command_line", "record_start"]

CONFIG, RUN = "config.json", "run.json"


def record_start(folder: Path, values: Mapping[str, Any], **more: Any) -> dict[str, Any] | None:
    """Write the settings, and add this start to the run's starts.

    Args:
        folder: of the run; created.
        values: all settings, plain.
        more: further facts of this start.

    Returns:
        The settings of the start before; None where this is the first.
    """
    folder.mkdir(parents=True, exist_ok=True)
    config, run = folder / CONFIG, folder / RUN
    before = json.loads(config.read_text()) if config.exists() else None
    starts = json.loads(run.read_text())["starts"] if run.exists() else []
    starts.append(
        {
            "command": command_line(),
            "time": datetime.now(UTC).isoformat(timespec="seconds"),
            "git": _git(),
            "machine": machine(),
            **more,
        }
    )
    config.write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")
    run.write_text(json.dumps({"starts": starts}, indent=1) + "\n", encoding="utf-8")
    return before


def command_line() -> str:
    """As the user typed it."""
    return " ".join(["streamavis", *sys.argv[1:]])


def _git() -> dict[str, Any] | None:
    """Commit of the clone this runs from, and whether files differ from it; None: no clone."""
    git = ["git", "-C", str(Path(__file__).parent)]
    try:
        commit = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True)
        status = subprocess.run([*git, "status", "--porcelain"], capture_output=True, text=True)
    except OSError:
        return None  # git is not installed
    if commit.returncode or status.returncode:
        return None
    return {"commit": commit.stdout.strip(), "changed": bool(status.stdout.strip())}
