"""From results to movements of a head."""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from typing import TYPE_CHECKING, Final

from streamavis.follow.attention import Attention, AttentionConfig, Target
from streamavis.follow.head import Pose
from streamavis.follow.motion import Motion

if TYPE_CHECKING:
    from streamavis.follow.head import Axis, Head
    from streamavis.types import FrameResult

__all__ = ["Follower"]

_NS: Final = 1_000_000_000
_PAST_NS: Final = 3 * _NS  # for which the head's poses are kept
_STEP_S: Final = (0.001, 0.1)  # of the motion: a pause of the caller is no leap of the head
_STEADY_DEG: Final = 1.5  # moved less than this around a picture: its bearings are exact
_AROUND_NS: Final = 20_000_000
_STEADY_SOUND_DEG: Final = 8.0  # likewise while a sound's bearing was measured
_SOUND_NS: Final = 400_000_000  # what a sound's bearing is averaged over
_DOUBT_NS: Final = _NS  # the sound comes from elsewhere for so long: it is not this track's
_LEFT_OVER_DEG: Final = 15.0
_SOUND_OLD_NS: Final = 500_000_000  # an older bearing says nothing about now


class Follower:
    """Turns a head to who sounds, on screen or off.

    `see` takes results, `step` moves the head; neither waits, and the time is passed in.

    Attributes:
        stopped: True while the head stands still because the wire is silent, or nothing came yet.
    """

    def __init__(
        self,
        head: Head,
        *,
        pan: Axis,
        tilt: Axis,
        attention: AttentionConfig | None = None,
        moving: bool = True,
        confidence: float = 0.6,
        dead_zone_deg: float = 2.0,
    ) -> None:
        """Prepare; the head is not moved before the first result.

        Args:
            head: its driver.
            pan: what the pan joint may do.
            tilt: what the tilt joint may do.
            attention: how speakers are chosen.
            moving: camera and microphones are on the head; False: beside it, and stand still.
            confidence: of a sound's bearing, from which the head turns to what is not in view.
            dead_zone_deg: a target this near to where the head points does not move it.
        """
        self.stopped = True
        self._head = head
        self._attention = Attention(attention or AttentionConfig())
        self._moving = moving
        self._confidence = confidence
        self._dead_zone = dead_zone_deg
        begin = head.pose() or Pose(0.0, 0.0)
        self._pan, self._tilt = Motion(pan, begin.pan), Motion(tilt, begin.tilt)
        self._turning = [False, False]  # pan, tilt: on the way to a target
        self._agreed_ns: dict[int, int] = {}  # track -> until when the sound agreed with it
        self._times: deque[int] = deque()
        self._poses: deque[Pose] = deque()
        self._stepped_ns: int | None = None
        self._held = True  # nothing is sent before the first result

    @property
    def target(self) -> Target | None:
        """What the head turns to, in the axes of its base."""
        return self._attention.target

    @property
    def sent(self) -> Pose:
        """Where the head was sent last."""
        return Pose(self._pan.position, self._tilt.position)

    def see(self, result: FrameResult, captured_ns: int) -> Target | None:
        """Take in a result; return the target.

        Args:
            result: newer than those before it.
            captured_ns: when its picture was taken, on the clock that `step` is given.
        """
        self.stopped = self._held = False
        heard = self._seen(result, captured_ns)
        if not any(track.bearing_agrees for track in result.tracks if track.is_sounding):
            sound = self._heard(result, captured_ns - result.capture_time_ns)
            if sound is not None and not self._left_over(sound, result):
                heard.append(sound)
        return self._attention.update(heard, captured_ns)

    def silence(self) -> None:
        """The wire is silent: brake and stand still until a result comes."""
        self.stopped = True
        self._turning = [False, False]

    def step(self, now_ns: int) -> Pose:
        """Move the head; called about 50 times a second.

        Args:
            now_ns: monotonic.

        Returns:
            Where the head was sent.

        Raises:
            OutputError: the head does not answer.
        """
        if self._stepped_ns is None:
            self._stepped_ns = now_ns
        dt_s = (now_ns - self._stepped_ns) / _NS
        if dt_s > 0:
            dt_s = min(max(dt_s, _STEP_S[0]), _STEP_S[1])
            target = None if self.stopped else self._attention.target
            home = not self.stopped and target is None
            pan = 0.0 if home else None if target is None else target.pan
            tilt = 0.0 if home else None if target is None else target.tilt
            self._pan.step(self._goal(0, self._pan, pan), dt_s)
            self._tilt.step(self._goal(1, self._tilt, tilt), dt_s)
            self._stepped_ns = now_ns
        if not self._held:
            self._head.move(self.sent)
        if self.stopped and not self._held and self._pan.velocity == self._tilt.velocity == 0:
            self._head.hold()
            self._held = True
        self._note(now_ns)
        return self.sent

    def _goal(self, number: int, motion: Motion, target: float | None) -> float | None:
        """What an axis goes to: nothing within the dead zone, unless it is on its way."""
        if target is None:
            self._turning[number] = False
            return None
        off = abs(target - motion.position)
        if off > self._dead_zone:
            self._turning[number] = True
        elif off < 0.05 and abs(motion.velocity) < 1:
            self._turning[number] = False
        return target if self._turning[number] else None

    def _seen(self, result: FrameResult, captured_ns: int) -> list[Target]:
        """Tracks that sound and have a bearing, in the base's axes."""
        pose = self._pose_at(captured_ns)
        moved = self._moved(captured_ns - _AROUND_NS, captured_ns + _AROUND_NS)
        self._agreed_ns = {
            track.id: captured_ns
            if track.bearing_agrees is not False or not track.is_sounding
            else self._agreed_ns.get(track.id, captured_ns)
            for track in result.tracks
        }
        return [
            Target(
                pose.pan + track.bearing[0],
                pose.tilt + track.bearing[1],
                track.id,
                track.sounding or 0.0,
                is_exact=moved <= _STEADY_DEG,
            )
            for track in result.tracks
            if track.is_sounding and track.bearing is not None
            if captured_ns - self._agreed_ns[track.id] <= _DOUBT_NS
        ]

    def _heard(self, result: FrameResult, offset_ns: int) -> Target | None:
        """What sounds but is not in view."""
        sound = result.sound_bearing
        if sound is None or sound.azimuth is None or sound.confidence < self._confidence:
            return None
        if result.capture_time_ns - sound.time_ns > _SOUND_OLD_NS:
            return None
        end_ns = sound.time_ns + offset_ns
        if self._moved(end_ns - _SOUND_NS, end_ns) > _STEADY_SOUND_DEG:
            return None  # smeared by the movement, and full of the motors' own sound
        return Target(self._pose_at(end_ns).pan + sound.azimuth, None, None, sound.confidence)

    def _left_over(self, sound: Target, result: FrameResult) -> bool:
        """True where the target is seen to be silent by now: its sound's bearing lags behind."""
        target = self._attention.target
        return (
            target is not None
            and abs(sound.pan - target.pan) <= _LEFT_OVER_DEG
            and any(
                track.id == target.track_id and track.sounding is not None and not track.is_sounding
                for track in result.tracks
            )
        )

    def _note(self, now_ns: int) -> None:
        self._times.append(now_ns)
        self._poses.append(self._head.pose() or self.sent)
        while now_ns - self._times[0] > _PAST_NS:
            self._times.popleft()
            self._poses.popleft()

    def _pose_at(self, time_ns: int) -> Pose:
        """Where camera and microphones pointed, between the two nearest notes."""
        if not self._moving or not self._times:
            return Pose(0.0, 0.0) if not self._moving else self.sent
        place = bisect_right(self._times, time_ns)
        if place in (0, len(self._times)):
            return self._poses[0 if place == 0 else -1]
        before_ns, after_ns = self._times[place - 1], self._times[place]
        before, after = self._poses[place - 1], self._poses[place]
        part = (time_ns - before_ns) / (after_ns - before_ns)
        return Pose(
            before.pan + part * (after.pan - before.pan),
            before.tilt + part * (after.tilt - before.tilt),
        )

    def _moved(self, start_ns: int, end_ns: int) -> float:
        """Degrees of pan between two times, from one extreme to the other."""
        if not self._moving:
            return 0.0
        pans = [self._pose_at(start_ns).pan, self._pose_at(end_ns).pan]
        first, last = bisect_right(self._times, start_ns), bisect_right(self._times, end_ns)
        pans += [self._poses[number].pan for number in range(first, last)]
        return max(pans) - min(pans)
