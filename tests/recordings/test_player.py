"""A recording is played back: paced, the same each time, numbered as one engine would."""

from __future__ import annotations

from dataclasses import replace

import pytest
from wire_samples import EOS, FRAME, HELLO, STATUS

from streamavis.errors import ArgumentError, InputError
from streamavis.recordings import Player, Recorded, Summary
from streamavis.types import FrameResult, Stage
from streamavis.wire import EndOfStream, Hello, Status

SECOND = 1_000_000_000


class Clock:
    """Time that passes in pauses alone."""

    def __init__(self) -> None:
        self.now_ns = 500 * SECOND
        self.stop_after = 10**9  # pauses
        self.waits: list[float] = []

    def __call__(self) -> int:
        return self.now_ns

    def pause(self, seconds: float) -> bool:
        self.waits.append(seconds)
        self.now_ns += round(seconds * 1e9)
        return len(self.waits) > self.stop_after


class Tape:
    """A recording in memory."""

    path = "tape"
    cut = ""

    def __init__(self, *said: Recorded) -> None:
        self.said = said

    def summary(self, stream: str | None) -> Summary:
        if not self.said:
            raise InputError("no results")
        hellos = [one.message for one in self.said if isinstance(one.message, Hello)]
        return Summary("cam-1", 1, 0, 1, hellos[0] if hellos else None, FRAME.size)

    def messages(self, stream: str | None = None):
        assert stream == "cam-1"
        yield from self.said


class Target:
    """A publisher that keeps what it is given, and when."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.got: list[tuple[int, object]] = []

    def take(self, message: object) -> None:
        self.got.append((self.clock.now_ns, message))

    publish = hello = status = end = take


def frame(at_s: float, seq: int, **fields: object) -> Recorded:
    return Recorded(round(at_s * SECOND), replace(FRAME, seq=seq, **fields))


def play(*said: Recorded, rounds: int = 1, speed: float = 1.0) -> tuple[Player, Target]:
    clock = Clock()
    player = Player(Tape(*said), speed=speed, clock=clock, pause=clock.pause)
    target = Target(clock)
    assert player.play(target, rounds=rounds)
    return player, target


@pytest.mark.parametrize("speed", [1.0, 4.0, 0.5])
def test_messages_come_at_their_times(speed):
    said = (Recorded(10 * SECOND, HELLO), frame(10.5, 0), frame(12.5, 1))
    player, target = play(*said, speed=speed)
    times = [(at_ns - 500 * SECOND) / SECOND for at_ns, _ in target.got]
    assert times == pytest.approx([0, 0.5 / speed, 2.5 / speed, 2.5 / speed])
    assert (player.frames, player.late_s) == (2, 0.0)


def test_a_clock_that_was_set_back_takes_no_time():
    _, target = play(frame(10, 0), frame(7, 1), frame(8, 2))
    assert [(at_ns - 500 * SECOND) // SECOND for at_ns, _ in target.got] == [0, 0, 1, 1]


def test_ages_are_what_they_were():
    stamps = {Stage.CAPTURE: 1_000, Stage.PUBLISH: 31_000}
    _, target = play(frame(0, 0, stamps=stamps), frame(3, 1, stamps=stamps))
    now_ns, result = target.got[1]
    assert result.stamps == {Stage.CAPTURE: now_ns - 30_000, Stage.PUBLISH: now_ns}
    assert (result.capture_time_ns, result.boot_id) == (FRAME.capture_time_ns, "")
    assert result.tracks == FRAME.tracks


def test_a_status_has_the_clock_of_now():
    told = replace(STATUS, monotonic_ns=100)
    _, target = play(frame(0, 0), Recorded(SECOND, told))
    now_ns, status = target.got[1]
    assert status.notices[0].time_ns == now_ns - 1
    assert status.inputs[0].since_ns == now_ns - 23
    assert (status.boot_id, status.source) == ("", "running")


def test_the_end_is_that_of_the_recording_or_says_that_it_was_cut():
    _, target = play(frame(0, 41), Recorded(1, EOS))
    assert target.got[-1][1] == replace(EOS, boot_id="", wall_time=0.0)
    _, target = play(frame(0, 41))
    assert target.got[-1][1].reason == "ended"


def test_numbers_go_on_where_the_engine_was_started_again_and_in_each_round():
    said = (
        frame(0, 5, epoch=0),
        frame(1, 6, epoch=1),
        Recorded(SECOND, replace(EOS, epoch=1, seq=6)),
        frame(2, 0, epoch=0, boot_id="b1"),
        Recorded(3 * SECOND, replace(STATUS, epoch=0, seq=None, boot_id="b1")),
    )
    _, target = play(*said, rounds=2)
    results = [message for _, message in target.got if isinstance(message, FrameResult)]
    assert [(one.epoch, one.seq) for one in results] == [
        (0, 5), (1, 6), (2, 7), (3, 8 + 5), (4, 8 + 6), (5, 15)
    ]  # fmt: skip
    statuses = [message for _, message in target.got if isinstance(message, Status)]
    assert [(one.epoch, one.seq) for one in statuses] == [(2, None), (5, None)]
    ends = [message for _, message in target.got if isinstance(message, EndOfStream)]
    assert len(ends) == 1, "the end comes once"


def test_a_recording_without_a_hello_tells_the_size():
    player, _ = play(frame(0, 0))
    assert player.hello.size == FRAME.size
    player, _ = play(Recorded(0, HELLO), frame(0, 0))
    assert player.hello == replace(HELLO, boot_id="")


def test_stopping_sends_no_end():
    clock = Clock()
    clock.stop_after = 2
    player = Player(Tape(*(frame(n, n) for n in range(5))), clock=clock, pause=clock.pause)
    target = Target(clock)
    assert not player.play(target, rounds=None)
    assert [message.seq for _, message in target.got] == [0, 1]


@pytest.mark.parametrize("speed", [0.0, -1.0, float("inf"), float("nan")])
def test_a_speed_that_is_none(speed):
    clock = Clock()
    with pytest.raises(ArgumentError, match="speed is"):
        Player(Tape(), speed=speed, clock=clock, pause=clock.pause)
