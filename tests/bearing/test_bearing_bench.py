"""`streamavis bench bearing`: what a row measures, with its own voice and with recordings."""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np
import pytest
from streamavis_benchmarks.bearing import Plan, Row, measure, rows

from streamavis.bearing import MicArray
from streamavis.errors import InputError

PLAN = Plan(directions=4, seconds=1.5)
STEREO = MicArray.stereo(0.1)


def test_the_table_has_the_goals_of_both_arrays_and_of_noise_alone() -> None:
    goals = [row for row in rows() if row.is_goal]
    assert {row.array.all_round for row in goals} == {True, False}
    voices = [row for row in goals if not row.alone]
    assert {(row.snr_db, row.rt60_s) for row in voices} == {(10, 0.3)}
    alone = {row.alone for row in goals if row.alone}
    assert alone == {"diffuse noise", "microphone noise", "silence"}


def test_a_row_scores_a_voice_and_noise_alone() -> None:
    voiced = measure(Row(array=STEREO, rt60_s=0.0, is_goal=True), PLAN)
    assert voiced.reached is True
    assert voiced.median_deg is not None
    assert voiced.median_deg < 3
    alone = measure(Row(array=STEREO, alone="diffuse noise", is_goal=True), PLAN)
    assert (alone.known, alone.reached, alone.median_deg) == (0.0, True, None)


def test_recordings_take_the_place_of_the_voice(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no recording"):
        measure(Row(array=STEREO, rt60_s=0.0), Plan(directions=4, sounds=tmp_path))
    (tmp_path / "a").mkdir()
    with wave.open(str(tmp_path / "a" / "noise.wav"), "wb") as file:
        file.setparams((1, 2, 22_050, 0, "NONE", ""))
        noise = np.random.default_rng(0).normal(0, 3000, 22_050)
        file.writeframes(noise.astype("<i2").tobytes())
    figures = measure(
        Row(array=STEREO, rt60_s=0.0), Plan(directions=4, seconds=1.5, sounds=tmp_path / "a")
    )
    assert figures.median_deg is not None
    assert figures.median_deg < 3
