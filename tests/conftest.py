"""What every test gets: one thread per library, reproducible examples, reasons for skips."""

from __future__ import annotations

import os
import shutil
import sys
import threading
from importlib.util import find_spec
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from live_rig import Rig

# Set before a test loads numpy or torch. Sums then come out alike on any number of cores.
for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

# No deadline: a loaded machine is no failure. The same examples each time: a red run is repeatable.
settings.register_profile("streamavis", deadline=None, derandomize=True, max_examples=50)
settings.load_profile("streamavis")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what needs a CUDA device or a browser where there is none, and say so."""
    if reason := _no_browser():
        for item in items:
            if item.get_closest_marker("browser"):
                item.add_marker(pytest.mark.skip(reason=reason))
    on_gpu = [item for item in items if item.get_closest_marker("gpu")]
    if not on_gpu:
        return
    import torch

    if not torch.cuda.is_available():
        skip = pytest.mark.skip(reason="needs a CUDA device; torch.cuda.is_available() is False")
        for item in on_gpu:
            item.add_marker(skip)


def _no_browser() -> str:
    """Why no test can drive Chromium here; empty where it can."""
    if shutil.which("chromium") is None and shutil.which("chromium-browser") is None:
        return "needs Chromium: apt-get install chromium, or make system"
    if find_spec("playwright") is None:
        return "needs pip install playwright"
    return ""


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """A test may skip before it begins only: what it has started would run on."""
    try:
        yield
    except pytest.skip.Exception as skipped:
        pytest.fail(f"{item.name} skips after it has begun ({skipped}); skip in a fixture or mark")


@pytest.fixture(autouse=True)
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stop leaves behind who does not end within 1.5 s: of a loaded machine, anybody."""
    if "streamavis.runtime.engine" in sys.modules:
        monkeypatch.setattr("streamavis.runtime.engine._STOP_S", 60.0)
        monkeypatch.setattr("streamavis.runtime.engine._LEFT_S", 60.0)
    if "streamavis_apps.live.live" in sys.modules:
        monkeypatch.setattr("streamavis_apps.live.live._STEP_S", 60.0)
        monkeypatch.setattr("streamavis_apps.live.live._ENGINE_S", 120.0)


@pytest.fixture
def running() -> Iterator[Callable[[Rig], Rig]]:
    """Runs a rig's engine on a thread of its own until the test is over."""
    from runtime_fakes import assert_no_threads

    rigs = []

    def start(rig: Rig) -> Rig:
        thread = threading.Thread(target=rig.engine.run)
        thread.start()
        rigs.append((rig, thread))
        return rig

    yield start
    for rig, thread in rigs:
        rig.engine.stop()
        thread.join(60)
    assert_no_threads()
