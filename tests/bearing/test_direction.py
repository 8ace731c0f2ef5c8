"""Bearings of sound in simulated rooms: accuracy, silence, noise, change, wrong channels."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from streamavis.bearing import MicArray, SoundDirection, wrapped
from streamavis.bearing.room import (
    Room,
    diffuse_noise,
    scaled_to,
    sensor_noise,
    voice,
)
from streamavis.errors import ArgumentError, ShapeError
from streamavis.types import SoundBearing

RATE = 16_000
STEREO = MicArray.stereo(0.1)
RING = MicArray.ring(4, 0.05)
FREE = Room(rt60_s=0.0)


def heard(
    array: MicArray,
    azimuth: float,
    *,
    room: Room = FREE,
    snr_db: float = 20.0,
    seconds: float = 2.0,
    seed: int = 1,
) -> NDArray[np.float32]:
    rng = np.random.default_rng(seed)
    sound = room.hear(array, voice(seconds, RATE, rng), azimuth, 1.5, RATE)
    noise = diffuse_noise(array, len(sound), RATE, rng)
    return (sound + scaled_to(noise, sound, snr_db)).astype(np.float32)


def found(array: MicArray, sound: NDArray[np.float32]) -> list[SoundBearing]:
    return SoundDirection(array, RATE).feed(sound, 0)


def errors(bearings: list[SoundBearing], truth: float) -> NDArray[np.float64]:
    known = [b.azimuth for b in bearings[5:] if b.azimuth is not None]
    assert len(known) > 0.5 * len(bearings[5:]), "mostly known"
    return np.abs([wrapped(azimuth - truth) for azimuth in known])


@pytest.mark.parametrize("azimuth", [-70.0, -20.0, 0.0, 45.0])
def test_stereo_finds_the_front_half(azimuth: float) -> None:
    assert np.median(errors(found(STEREO, heard(STEREO, azimuth)), azimuth)) < 2


@pytest.mark.parametrize("azimuth", [-179.0, -100.0, 30.0, 135.0])
def test_a_ring_finds_all_round(azimuth: float) -> None:
    assert np.median(errors(found(RING, heard(RING, azimuth)), azimuth)) < 2


@pytest.mark.parametrize(("array", "azimuth"), [(STEREO, 35.0), (RING, -140.0)])
def test_the_goal_in_a_reverberant_noisy_room(array: MicArray, azimuth: float) -> None:
    sound = heard(array, azimuth, room=Room(rt60_s=0.3), snr_db=10)
    assert np.median(errors(found(array, sound), azimuth)) <= 5


@pytest.mark.parametrize("array", [STEREO, RING])
def test_noise_from_everywhere_has_no_direction(array: MicArray) -> None:
    rng = np.random.default_rng(3)
    for noise in (
        0.03 * diffuse_noise(array, 4 * RATE, RATE, rng),
        0.03 * sensor_noise(array, 4 * RATE, rng),
        np.zeros((4 * RATE, len(array.positions))),
    ):
        bearings = found(array, noise.astype(np.float32))
        assert [b.azimuth for b in bearings] == [None] * len(bearings)
        assert max(b.confidence for b in bearings) < 0.5


def test_ten_bearings_a_second_each_with_the_end_of_its_sound() -> None:
    finder = SoundDirection(STEREO, RATE)
    sound = heard(STEREO, 20, seconds=1.0)
    start_ns = 5_000_000_000
    times = []
    for begin in range(0, len(sound), 700):
        block = sound[begin : begin + 700]
        bearings = finder.feed(block, start_ns + begin * 1_000_000_000 // RATE)
        times += [b.time_ns for b in bearings]
    assert times == [start_ns + n * 100_000_000 for n in range(1, 11)]


def test_blocks_of_any_length_give_the_same() -> None:
    sound = heard(RING, 60, seconds=1.0)
    finder = SoundDirection(RING, RATE)
    pieces = [
        bearing
        for begin in range(0, len(sound), 333)
        for bearing in finder.feed(sound[begin : begin + 333], begin * 1_000_000_000 // RATE)
    ]
    whole = found(RING, sound)
    assert [b.azimuth for b in pieces] == [b.azimuth for b in whole]


def test_another_speaker_is_found_within_half_a_second() -> None:
    first, second = heard(STEREO, -40), heard(STEREO, 40, seed=5)
    bearings = found(STEREO, np.concatenate([first, second]))
    changed = next(b for b in bearings if b.azimuth is not None and abs(b.azimuth - 40) < 10)
    assert 2.0e9 < changed.time_ns <= 2.5e9
    between = [b.azimuth for b in bearings[5:]]
    assert all(az is None or min(abs(az - 40), abs(az + 40)) < 12 for az in between), "no average"


def test_after_the_sound_the_direction_is_unknown_again() -> None:
    sound = heard(STEREO, 30)
    rest = np.zeros((RATE, 2), np.float32)
    bearings = found(STEREO, np.concatenate([sound, rest]))
    assert bearings[19].azimuth is not None
    assert all(b.azimuth is None for b in bearings[24:])


def test_a_gap_in_the_sound_begins_anew() -> None:
    finder = SoundDirection(STEREO, RATE)
    finder.feed(heard(STEREO, 30), 0)
    (after,) = finder.feed(np.zeros((1600, 2), np.float32), 60_000_000_000)
    assert after.azimuth is None
    assert after.time_ns == 60_100_000_000


def test_damaged_samples_do_not_spoil_what_follows() -> None:
    sound = heard(STEREO, 30)
    sound[5000:5100] = np.nan
    sound[6000, 0] = np.inf
    assert np.median(errors(found(STEREO, sound), 30)) < 2


def test_another_number_of_channels_is_refused() -> None:
    finder = SoundDirection(RING, RATE)
    with pytest.raises(ShapeError, match="a channel for each microphone"):
        finder.feed(np.zeros((100, 2), np.float32), 0)
    with pytest.raises(ArgumentError, match="8000"):
        SoundDirection(RING, 4000)


def test_a_wrong_order_of_a_ring_is_said_and_a_right_one_is_not() -> None:
    sound = np.concatenate(
        [heard(RING, azimuth, seconds=2.5, seed=n) for n, azimuth in enumerate((-120, 10, 80))]
    )
    right = SoundDirection(RING, RATE)
    right.feed(sound, 0)
    assert right.problem is None
    wrong = SoundDirection(RING, RATE)
    wrong.feed(sound[:, [0, 2, 1, 3]], 0)
    assert wrong.problem is not None
    assert "do not fit the declared positions" in wrong.problem
    assert "1, 3, 2, 4" in wrong.problem


def test_copies_of_one_channel_have_no_direction_and_are_said() -> None:
    sound = heard(STEREO, 50, seconds=3)
    same = np.repeat(sound[:, :1], 2, axis=1)
    finder = SoundDirection(STEREO, RATE)
    bearings = finder.feed(same, 0)
    assert finder.problem is not None
    assert "channels 1 and 2 carry the same sound" in finder.problem
    assert bearings[-1].azimuth is None


def test_a_silent_channel_is_said() -> None:
    sound = heard(RING, 50, seconds=3)
    sound[:, 2] = 0
    finder = SoundDirection(RING, RATE)
    finder.feed(sound, 0)
    assert finder.problem is not None
    assert "channel 3 is silent" in finder.problem
