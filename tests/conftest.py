"""What every test gets: one thread per library, reproducible examples, reasons for skips."""

from __future__ import annotations

import os

import pytest
from hypothesis import settings

# Set before a test loads numpy or torch. Sums then come out alike on any number of cores.
for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

# No deadline: a loaded machine is no failure. The same examples each time: a red run is repeatable.
settings.register_profile("streamavis", deadline=None, derandomize=True, max_examples=50)
settings.load_profile("streamavis")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what needs a CUDA device where there is none, and say so."""
    on_gpu = [item for item in items if item.get_closest_marker("gpu")]
    if not on_gpu:
        return
    import torch

    if not torch.cuda.is_available():
        skip = pytest.mark.skip(reason="needs a CUDA device; torch.cuda.is_available() is False")
        for item in on_gpu:
            item.add_marker(skip)
