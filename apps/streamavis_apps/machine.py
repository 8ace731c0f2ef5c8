"""The machine that a figure was measured on."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from pathlib import Path
from typing import TypedDict

__all__ = ["Machine", "cores", "machine", "resident_bytes"]

_DISTRIBUTIONS = ("streamavis", "torch", "numpy", "av", "opencv-python", "pyzmq")


class Machine(TypedDict):
    """A machine and what runs on it, ready for JSON."""

    cpu: str
    cores: int  # this process may use
    system: str
    load_1min: float | None  # before the measurement; None: unknown to the system
    versions: dict[str, str]


def machine() -> Machine:
    """Describe this machine now."""
    versions = {name: importlib.metadata.version(name) for name in _DISTRIBUTIONS}
    return {
        "cpu": _cpu(),
        "cores": cores(),
        "system": platform.platform(),
        "load_1min": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        "versions": {"python": platform.python_version(), **versions},
    }


def cores() -> int:
    """How many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def resident_bytes() -> int | None:
    """Memory of this process that is in RAM now; None: unknown to the system."""
    counts = Path("/proc/self/statm")
    if not counts.exists():
        return None
    return int(counts.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _cpu() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
