import json
import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamavis.runtime.stats import LatencyHistogram, StreamStatistics
from streamavis.types import Stage

durations = st.lists(
    st.one_of(st.integers(0, 300), st.integers(0, 2**40)), min_size=1, max_size=200
)


@given(durations, st.floats(0, 100))
def test_percentiles_are_right_to_one_part_in_128(values, percent):
    histogram = LatencyHistogram()
    for value in values:
        histogram.record(value)
    exact = int(np.percentile(values, percent, method="inverted_cdf"))
    assert exact <= histogram.percentile_ns(percent) <= exact + exact / 128
    assert histogram.percentile_ns(100) == max(values)


def test_a_summary_is_in_milliseconds():
    histogram = LatencyHistogram()
    assert set(histogram.summary().values()) == {0}
    for ms in range(1, 101):
        histogram.record(ms * 1_000_000)
    summary = histogram.summary()
    assert summary["count"] == 100
    assert summary["mean_ms"] == pytest.approx(50.5)
    assert summary["p50_ms"] == pytest.approx(50, rel=1 / 128)
    assert summary["p95_ms"] == pytest.approx(95, rel=1 / 128)
    assert summary["p99_ms"] == pytest.approx(99, rel=1 / 128)
    assert summary["max_ms"] == 100


def test_durations_beyond_the_scale_are_kept_as_maximum():
    histogram = LatencyHistogram()
    histogram.record(-5)
    histogram.record(2**60)
    assert histogram.percentile_ns(50) == 0
    assert histogram.summary()["max_ms"] == 2**60 / 1e6


def test_a_stage_lasts_since_the_stamp_before_it():
    statistics = StreamStatistics()
    stamps = {Stage.PUBLISH: 100, Stage.CAPTURE: 10, Stage.MODEL: 60, Stage.DECODE: 30}
    statistics.observe({str(stage): t * 1_000_000 for stage, t in stamps.items()})
    stages = statistics.snapshot()["stages"]
    assert {name: s["max_ms"] for name, s in stages.items()} == {
        "decode": 20,
        "model": 30,
        "publish": 40,
        "total": 90,
    }


@pytest.mark.parametrize("stamps", [{}, {"model": 7}])
def test_a_single_stamp_is_no_latency(stamps):
    statistics = StreamStatistics()
    statistics.observe(stamps)
    assert statistics.snapshot()["stages"] == {}


def test_threads_may_count_together_and_a_snapshot_is_plain():
    statistics = StreamStatistics()

    def work():
        for _ in range(500):
            statistics.count("frames")
            statistics.record("lateness", 1000)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    statistics.count("dropped", 3)
    snapshot = json.loads(json.dumps(statistics.snapshot()))
    assert snapshot["counters"] == {"frames": 2000, "dropped": 3}
    assert snapshot["stages"]["lateness"]["count"] == 2000
