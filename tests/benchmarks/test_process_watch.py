"""Memory that grows is told from memory that comes and goes."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from streamavis_benchmarks.process_watch import ProcessWatch, Reading


def watched(resident_mb, minutes=10.0):
    """Four readings a second of `resident_mb(second)`."""
    times = np.arange(0, minutes * 60, 0.25)
    return ProcessWatch(readings=[Reading(s, resident_mb(s), 9, 23) for s in times])


@given(
    slope=st.floats(-50, 50),
    step_mb=st.floats(0, 20),
    warm_mb=st.floats(0, 100),
    seed=st.integers(0, 1000),
)
def test_the_slope_is_that_of_what_stays(slope, step_mb, warm_mb, seed):
    """Two thirds of the readings fall into a step that holds megabytes of its own."""
    draw = np.random.default_rng(seed)

    def resident_mb(s):
        warming = warm_mb * min(0.0, s / 200 - 1)
        return 400 + slope * s / 3600 + warming + step_mb * draw.random() * (draw.random() < 2 / 3)

    figures = watched(resident_mb).figures()
    assert figures["slope_mb_per_h"] == pytest.approx(slope, abs=0.3 + 0.01 * abs(slope))
    kept = figures["resident_mb"]["last"] - figures["resident_mb"]["first"]
    assert kept == pytest.approx(slope * 380 / 3600, abs=0.2 + 0.01 * abs(slope))


def test_one_large_moment_is_no_slope():
    figures = watched(lambda s: 400 + 90 * (300 < s < 330)).figures()
    assert figures["slope_mb_per_h"] == 0
    assert figures["resident_mb"] == {"first": 400, "last": 400, "most": 490}


def test_a_short_time_has_no_slope():
    assert watched(lambda s: 400 + s, minutes=1).figures()["slope_mb_per_h"] is None
    assert ProcessWatch().figures() == {}


GROWING = """
import os, threading
print("small", flush=True)
input()
ballast = b"x" * 40_000_000
threading.Thread(target=threading.Event().wait, daemon=True).start()
pipe = os.pipe()
print("large", flush=True)
input()
"""


def test_it_reads_another_process():
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", GROWING], text=True, **pipes) as child:
        watch = ProcessWatch(pid=child.pid)
        for at_s, word in enumerate(["small", "large"]):
            assert child.stdout.readline() == f"{word}\n"
            watch.read(at_s)
            watch.read(at_s + 0.1)  # too soon
            child.stdin.write("\n")
            child.stdin.flush()
    before, after = watch.readings
    assert after.resident_mb - before.resident_mb == pytest.approx(40, abs=2)
    assert after.threads - before.threads == 1
    assert after.descriptors - before.descriptors == 2


def test_a_process_that_is_gone_says_so():
    with pytest.raises(OSError, match="99999999"):
        ProcessWatch(pid=99_999_999).read(0.0)
