"""People around a simulated head with camera and microphones on it, and what a publisher says."""

from __future__ import annotations

import random
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from streamavis.bearing.annotate import agrees
from streamavis.bearing.microphones import wrapped
from streamavis.clock import ManualClock
from streamavis.follow import AttentionConfig, Axis, Follower, SimulatedHead
from streamavis.types import FrameResult, Rle, SoundBearing, Track

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streamavis.follow import Pose

__all__ = ["CONVERSATION", "PAN", "TILT", "Person", "Scene", "Trace", "play"]

_NS: Final = 1_000_000_000
_SIZE: Final = (360, 640)
_NOBODY: Final = Rle(_SIZE, "PPo6")  # 230,400 background pixels
PAN: Final = Axis(low=-120, high=120)
TILT: Final = Axis(low=-30, high=40)


@dataclass(frozen=True)
class Person:
    """Somebody who speaks at times."""

    name: str
    azimuth: float  # degrees, in the axes of the head's base
    elevation: float
    speaks: tuple[tuple[float, float], ...]  # from, to; seconds

    def sounds(self, at_s: float) -> bool:
        """True while it speaks."""
        return any(start <= at_s < end for start, end in self.speaks)


@dataclass(frozen=True, kw_only=True)
class Scene:
    """Who is there, and how well a camera and an array of microphones see and hear them."""

    people: tuple[Person, ...]
    seconds: float
    fps: float = 15.0
    latency_s: float = 0.09  # from a picture to its result at the follower
    age_error_s: float = 0.0  # by which a picture is taken for newer than it is
    sound_delay_s: float = 0.25  # from a change of speaker to that of the sound's bearing
    hfov_deg: float = 70.0
    seen_noise_deg: float = 0.5  # standard deviations
    heard_noise_deg: float = 2.0
    array: bool = True  # there are microphones that tell directions
    silent_from_s: float = float("inf")  # the wire gives nothing after that
    seed: int = 1


CONVERSATION: Final = Scene(
    people=(
        Person("left", -16, 4, ((1.0, 4.0), (8.0, 10.0), (16.5, 18.0))),
        Person("right", 15, 8, ((4.0, 8.0), (9.2, 12.0))),
        Person("off screen", 105, 0, ((12.5, 16.0),)),
    ),
    seconds=21.0,
    silent_from_s=18.0,
)


@dataclass
class Trace:
    """What happened, 50 times a second."""

    times_s: list[float] = field(default_factory=list)
    poses: list[Pose] = field(default_factory=list)  # of the head
    sent: list[Pose] = field(default_factory=list)  # to it
    stopped: list[bool] = field(default_factory=list)


def play(
    scene: Scene,
    *,
    pan: Axis = PAN,
    tilt: Axis = TILT,
    attention: AttentionConfig | None = None,
    dead_man_s: float = 0.5,
    tick_s: float = 0.02,
) -> Trace:
    """Let a follower follow the scene on a clock of its own; takes no real time."""
    clock = ManualClock(5 * _NS)
    begin_ns = clock.now_ns()
    head = SimulatedHead(clock.now_ns)
    follower = Follower(head, pan=pan, tilt=tilt, attention=attention)
    world = _World(scene, head, random.Random(scene.seed))
    trace = Trace()
    on_the_way: deque[tuple[float, FrameResult]] = deque()
    heard_s = 0.0
    for number in range(round(scene.seconds / tick_s)):
        at_s = number * tick_s
        if world.frame_due(at_s):
            on_the_way.append((at_s + scene.latency_s, world.result(at_s, clock.now_ns())))
        while on_the_way and on_the_way[0][0] <= at_s:
            _, result = on_the_way.popleft()
            if at_s < scene.silent_from_s:
                follower.see(result, result.capture_time_ns + round(scene.age_error_s * _NS))
                heard_s = at_s
        if at_s - heard_s >= dead_man_s:
            follower.silence()
        sent = follower.step(begin_ns + round(at_s * _NS))
        trace.times_s.append(at_s)
        trace.poses.append(head.pose())
        trace.sent.append(sent)
        trace.stopped.append(follower.stopped)
        clock.advance(round((at_s + tick_s) * _NS) + begin_ns - clock.now_ns())
    return trace


class _World:
    """Makes results as a publisher with this camera and these microphones would."""

    def __init__(self, scene: Scene, head: SimulatedHead, rng: random.Random) -> None:
        self._scene = scene
        self._head = head
        self._rng = rng
        self._seq = 0
        self._sound: SoundBearing | None = None
        self._sound_at_s = -1.0
        self._ids: dict[str, int] = {}
        self._in_view: set[str] = set()

    def frame_due(self, at_s: float) -> bool:
        """Whether a picture is taken now."""
        return at_s >= self._seq / self._scene.fps - 1e-9

    def result(self, at_s: float, now_ns: int) -> FrameResult:
        """The result of the picture that is taken now."""
        pose = self._head.pose()
        sound = self._heard(at_s, now_ns, pose)
        tracks = []
        in_view = set()
        for person in self._scene.people:
            azimuth = wrapped(person.azimuth - pose.pan) + self._noise()
            elevation = person.elevation - pose.tilt + self._noise()
            if abs(azimuth) > self._scene.hfov_deg / 2:
                continue
            in_view.add(person.name)
            if person.name not in self._in_view:  # who comes back is somebody new to the tracker
                self._ids[person.name] = len(self._ids) + self._seq + 1
            bearing = (azimuth, elevation)
            tracks.append(
                Track(
                    id=self._ids[person.name],
                    label="person",
                    class_id=0,
                    score=0.9,
                    sounding=0.9 if person.sounds(at_s) else 0.1,
                    visible=0.9,
                    box=(0, 0, 0, 0),
                    centroid=(0.0, 0.0),
                    area=0,
                    rle=_NOBODY,
                    bearing=bearing,
                    bearing_agrees=agrees(bearing, sound),
                )
            )
        self._in_view = in_view
        result = FrameResult(
            stream="scene",
            epoch=0,
            seq=self._seq,
            capture_time_ns=now_ns,
            size=_SIZE,
            audio="ok",
            audio_delay_s=0.0,
            video="ok",
            clock="driver",
            tracks=tracks,
            sound_bearing=sound,
        )
        self._seq += 1
        return result

    def _heard(self, at_s: float, now_ns: int, pose: Pose) -> SoundBearing | None:
        """The array's bearing, renewed 10 times a second, late by what it averages over."""
        if not self._scene.array:
            return None
        if at_s - self._sound_at_s < 0.1 - 1e-9 and self._sound is not None:
            return self._sound
        self._sound_at_s = at_s
        speaking = _speaking(self._scene.people, at_s - self._scene.sound_delay_s)
        azimuth = None
        if speaking:
            off = self._rng.gauss(0, self._scene.heard_noise_deg)
            azimuth = wrapped(self._rng.choice(speaking).azimuth - pose.pan + off)
        self._sound = SoundBearing(now_ns, azimuth, 0.9 if speaking else 0.1)
        return self._sound

    def _noise(self) -> float:
        return self._rng.gauss(0, self._scene.seen_noise_deg)


def _speaking(people: Sequence[Person], at_s: float) -> list[Person]:
    return [person for person in people if person.sounds(at_s)]
