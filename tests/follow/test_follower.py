"""A follower on a simulated head: in time, without oscillation, within its limits, and stopped."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
from streamavis_apps.follow.scene import CONVERSATION, PAN, Person, Scene, Trace, play

from streamavis.clock import ManualClock
from streamavis.errors import ArgumentError
from streamavis.follow import Attention, AttentionConfig, Axis, Motion, SimulatedHead, Target

NS = 1_000_000_000
LEFT, RIGHT = -25.0, 25.0


def turns(*speaks: tuple[float, float, float]) -> tuple[Person, ...]:
    """One person for each direction, who speaks from and to the given times."""
    people: dict[float, list[tuple[float, float]]] = {}
    for azimuth, start, end in speaks:
        people.setdefault(azimuth, []).append((start, end))
    return tuple(Person(f"{az:g}", az, 3.0, tuple(times)) for az, times in people.items())


def pan_at(trace: Trace, at_s: float) -> float:
    return trace.poses[round(at_s * 50)].pan


def test_the_head_is_on_the_right_speaker_within_0_7_s_of_a_change() -> None:
    """In view the model's `sounding` tells; farther apart the array does, which takes longer."""
    for left, right, within_s in ((-15.0, 15.0, 0.7), (LEFT, RIGHT, 0.9)):
        changes = [(left, 1.0, 3.0), (right, 3.0, 5.0), (left, 5.0, 7.0), (right, 7.0, 9.0)]
        trace = play(Scene(people=turns(*changes), seconds=9))
        for azimuth, start, end in changes:
            places = [pan_at(trace, start + within_s + n * 0.1) for n in range(10)]
            assert places == pytest.approx([azimuth] * 10, abs=5), f"from {start} to {end} s"


@pytest.mark.parametrize("latency_s", [0.03, 0.09, 0.3])
def test_a_change_makes_one_movement_without_oscillation(latency_s: float) -> None:
    people = turns((LEFT, 0.5, 3.0), (RIGHT, 3.0, 8.0))
    trace = play(Scene(people=people, seconds=8, latency_s=latency_s))
    after = [pose.pan for pose in trace.sent[150:]]
    assert max(after) < RIGHT + 2.5, "no overshoot"
    backwards = sum(max(0.0, a - b) for a, b in itertools.pairwise(after))
    assert backwards < 2.5, "the movement never turns back"
    settled = [pose.pan for pose in trace.sent[250:]]
    assert max(settled) - min(settled) < 2.5, "it stands still then"


def test_an_unknown_network_delay_does_not_make_it_swing() -> None:
    """On another machine ages are a lower bound: the head is taken to be farther than it was."""
    people = turns((-30.0, 0.5, 4.0))
    slow = replace(PAN, speed=80)
    trace = play(Scene(people=people, seconds=4, age_error_s=0.06), pan=slow)
    pans = [pose.pan for pose in trace.sent]
    assert min(pans) > -33
    assert pans[-1] == pytest.approx(-30, abs=3)


def test_an_off_screen_voice_turns_the_head_and_is_then_seen() -> None:
    trace = play(Scene(people=turns((0.0, 0.5, 2.0), (100.0, 2.0, 5.0)), seconds=5))
    assert pan_at(trace, 1.9) == pytest.approx(0, abs=4)
    assert pan_at(trace, 3.2) == pytest.approx(100, abs=5)
    assert trace.poses[-1].tilt == pytest.approx(3, abs=2), "the tilt is known once it is seen"
    deaf = play(Scene(people=turns((100.0, 2.0, 5.0)), seconds=5, array=False))
    assert pan_at(deaf, 4.9) == 0


def test_two_who_speak_at_once_do_not_pull_it_to_and_fro() -> None:
    people = turns((LEFT, 0.5, 6.0), (RIGHT, 2.0, 6.0))
    trace = play(Scene(people=people, seconds=6))
    assert all(abs(pose.pan - LEFT) < 5 for pose in trace.poses[80:]), "stays with the first"


def test_short_words_of_others_do_not_turn_it() -> None:
    people = turns((LEFT, 0.5, 2.0), (RIGHT, 2.0, 2.1), (LEFT, 2.1, 4.0))
    trace = play(Scene(people=people, seconds=4, array=False))
    assert all(abs(pose.pan - LEFT) < 5 for pose in trace.poses[80:])


def test_limits_speed_and_acceleration_hold_always() -> None:
    pan = Axis(low=-40, high=60, speed=150, acceleration=700)
    tilt = Axis(low=-5, high=1.5, speed=50, acceleration=300)
    people = turns((-100.0, 0.5, 2.5), (110.0, 2.5, 4.0), (-30.0, 4.0, 4.6), (55.0, 4.6, 7.0))
    trace = play(Scene(people=people, seconds=7), pan=pan, tilt=tilt)
    for axis, places in (
        (pan, [pose.pan for pose in trace.sent]),
        (tilt, [pose.tilt for pose in trace.sent]),
    ):
        assert axis.low <= min(places)
        assert max(places) <= axis.high
        speeds = [(b - a) / 0.02 for a, b in itertools.pairwise(places)]
        assert max(map(abs, speeds)) <= axis.speed + 1e-6
        changes = [abs(b - a) / 0.02 for a, b in itertools.pairwise(speeds)]
        assert max(changes) <= axis.acceleration + 1e-6
    assert min(pose.pan for pose in trace.sent) < -39, "it did go to the limit"


def test_it_stops_when_the_wire_is_silent_and_goes_on_when_it_is_not() -> None:
    # The wire falls silent in the middle of a movement.
    people = turns((-100.0, 0.5, 1.5), (110.0, 1.5, 6.0))
    axis = replace(PAN, speed=60)
    trace = play(Scene(people=people, seconds=6, silent_from_s=2.4), pan=axis)
    stopped = trace.stopped.index(True, 60)
    assert trace.times_s[stopped] <= 2.4 + 0.5 + 0.1
    still = [pose.pan for pose in trace.sent[stopped + 5 :]]
    assert max(still) - min(still) < 1e-9, "braked within 0.1 s"
    assert abs(still[0] - 110) > 20, "on the way"


def test_nothing_moves_before_the_first_result() -> None:
    trace = play(Scene(people=turns((LEFT, 0.0, 2.0)), seconds=2, silent_from_s=0))
    assert all(trace.stopped)
    assert {pose.pan for pose in trace.sent} == {0.0}


def test_it_goes_home_where_that_is_asked_for() -> None:
    scene = Scene(people=turns((LEFT, 0.5, 2.0)), seconds=6)
    assert pan_at(play(scene), 5.9) == pytest.approx(LEFT, abs=4)
    home = play(scene, attention=AttentionConfig(home_s=2))
    assert pan_at(home, 3.5) == pytest.approx(LEFT, abs=4)
    assert pan_at(home, 5.9) == pytest.approx(0, abs=0.1)


def test_the_conversation_of_the_documents_is_followed() -> None:
    trace = play(CONVERSATION)
    expected = {3.9: -16, 7.9: 15, 9.1: -16, 11.9: 15, 15.9: 105, 17.8: -16, 20.9: -16}
    for at_s, azimuth in expected.items():
        assert pan_at(trace, at_s) == pytest.approx(azimuth, abs=5), f"at {at_s} s"


def test_motion_never_overshoots_from_any_state() -> None:
    axis = Axis(low=-90, high=90, speed=200, acceleration=900)
    for target in (-90.0, -3.0, 0.5, 40.0, 200.0):
        motion = Motion(axis)
        for _ in range(20):
            motion.step(70, 0.02)
        goal = axis.within(target)
        before = motion.position
        places = [motion.step(target, 0.02) for _ in range(200)]
        assert places[-1] == pytest.approx(goal, abs=1e-6)
        brake = motion.step(None, 0.02)
        assert brake == pytest.approx(goal, abs=1e-6)
        low, high = min(before, goal), max(before, goal)
        stopping = 200**2 / (2 * 900) + 4
        assert low - 1e-6 <= min(places)
        assert max(places) <= high + stopping


def test_the_present_speaker_keeps_the_turn_over_short_pauses() -> None:
    attention = Attention(AttentionConfig(dwell_s=0.2))
    here, there = Target(-20, 0, 1, 0.9), Target(20, 0, 2, 0.99)
    for tenth in range(5):
        attention.update([here], tenth * NS // 10)
    assert attention.target is not None
    attention.update([here, there], NS)
    assert attention.target.track_id == 1, "louder is no reason"
    attention.update([there], NS + NS // 10)
    assert attention.target.track_id == 1
    attention.update([there], NS + 3 * NS // 10)
    assert attention.target.track_id == 2


def test_wrong_limits_and_times_are_refused() -> None:
    with pytest.raises(ArgumentError, match="expected the front"):
        Axis(low=10, high=50)
    with pytest.raises(ArgumentError, match="speed is 0"):
        Axis(low=-10, high=50, speed=0)
    with pytest.raises(ArgumentError, match="dwell_s is -1"):
        AttentionConfig(dwell_s=-1)


def test_the_simulated_head_has_the_lag_of_servos() -> None:
    clock = ManualClock()
    head = SimulatedHead(clock.now_ns, lag_s=0.1)
    head.move(replace(head.pose(), pan=10))
    clock.advance(NS // 10)
    assert head.pose().pan == pytest.approx(10 * (1 - 0.3679), abs=0.01)
    head.hold()
    clock.advance(NS)
    assert head.pose().pan == pytest.approx(6.32, abs=0.01)
