"""A robot installs the wire alone: importing it must bring in nothing heavy."""

from __future__ import annotations

import subprocess
import sys

HEAVY = (
    "torch",
    "numpy",
    "cv2",
    "av",
    "scipy",
    "pycocotools",
    "sounddevice",
    "typer",
    "rich",
    "asyncio",
)


def test_importing_the_wire_imports_nothing_heavy():
    code = f"import sys, streamavis.wire; print([m for m in {HEAVY!r} if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=100
    )
    assert done.stdout.strip() == "[]"


def test_what_is_exported_exists():
    import streamavis.wire

    for name in streamavis.wire.__all__:
        assert getattr(streamavis.wire, name) is not None
