"""One time for a container whose clock may begin anew: recordings that were joined, HLS, resets."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from streamavis.clock import MAX_GAP_FRAMES, MAX_GAP_S, RESTART_NS

if TYPE_CHECKING:
    from av.packet import Packet

__all__ = ["Continuity"]

_RESTART_S = Fraction(RESTART_NS, 1_000_000_000)
_DECODE_RESTART_S = _RESTART_S / 4  # of decoding stamps, which never step back in a sound stream
_JITTER_FRAMES = Fraction(5, 2)  # a step back of a frame or two is no new clock
_REORDERED_FRAMES = 17  # nor, of the stamps for showing, what B-frames need
_GAP_S = Fraction(MAX_GAP_S)
_PAUSE_S = Fraction(3600)  # where time is written down once and for all, as in mp4
_APART_S = Fraction(10)  # how far streams of one clock may lie apart in the container
_SHORTEST_S = Fraction(1, 1000)  # that a packet lasts
_LONGEST_S = Fraction(60)  # likewise; a damaged one lasts days
_REORDERED_S = Fraction(60)  # between decoding a picture and showing it; beyond: damage


@dataclass(slots=True)
class _Clock:
    """A stretch of the container on one clock; its stamps plus `shift_s` are our time."""

    shift_s: Fraction
    first_s: Fraction  # its stamps
    latest_s: Fraction


@dataclass(slots=True)
class _Place:
    """Where a stream is."""

    clock: int
    stamp_s: Fraction
    decoding: bool  # the stamp is one for decoding, else for showing


class Continuity:
    """Moves the stamps of packets so that time goes on where a container's clock begins anew.

    A clock begins anew where a stream's stamps step back by 1 s (decoding stamps: 0.25 s) and
    more than two frames, or leap ahead of every stream by more than a pause may last: 5 s in
    containers whose clocks break (MPEG-TS, HLS, Ogg), an hour in others. The new clock's first
    packet then follows the end of all that came before, and its other streams keep their distance
    to it. Up to the first such place nothing is moved, unless the first packet is as far from
    where the container says that time begins.
    """

    def __init__(self, *, breaks: bool, origin_s: Fraction | None = None) -> None:
        """Start.

        Args:
            breaks: the container's clock may break at any time.
            origin_s: where time begins on the container's timeline; None: reading does not begin
                there.
        """
        self._origin_s = origin_s
        self._pause_s = _GAP_S if breaks else _PAUSE_S
        self._clocks: list[_Clock] = []
        self._starts_s: list[Fraction] = []  # our time, of every clock but the first
        self._places: dict[int, _Place] = {}
        self._end_s = Fraction(0)  # our time, of all that came so far

    def place(self, packet: Packet[Any]) -> None:
        """Move the packet's stamps."""
        base = packet.time_base
        stamp = packet.pts if packet.dts is None else packet.dts
        if base is None or stamp is None or not base:
            return
        stamp_s = stamp * base
        if packet.pts is not None and abs(packet.pts - stamp) * base > _REORDERED_S:
            packet.pts = None  # damaged
        shown_s = stamp_s if packet.pts is None else packet.pts * base
        number = self._clock_of(packet, stamp_s, shown_s)
        clock = self._clocks[number]
        clock.latest_s = max(clock.latest_s, stamp_s)
        self._places[packet.stream.index] = _Place(number, stamp_s, packet.dts is not None)
        told_s = min((packet.duration or 0) * base, _LONGEST_S)
        lasts_s = max(told_s, _period_s(packet), _SHORTEST_S)
        self._end_s = max(self._end_s, shown_s + clock.shift_s + lasts_s)
        if clock.shift_s:
            shift = round(clock.shift_s / base)
            packet.pts = None if packet.pts is None else packet.pts + shift
            packet.dts = None if packet.dts is None else packet.dts + shift

    def epoch_at(self, time_s: Fraction) -> int:
        """How often the clock had begun anew by `time_s`."""
        return bisect_right(self._starts_s, time_s)

    def _clock_of(self, packet: Packet[Any], stamp_s: Fraction, shown_s: Fraction) -> int:
        """The number of the packet's clock, which may be a new one."""
        if not self._clocks:
            shift_s = self._shift_to_origin(shown_s)
            self._clocks.append(_Clock(shift_s, stamp_s, stamp_s))
            self._end_s = shown_s + shift_s
            return 0
        period_s = _period_s(packet)
        pause_s = max(self._pause_s, MAX_GAP_FRAMES * period_s)
        place = self._places.get(packet.stream.index)
        if place is None:  # a stream may begin late, but on a clock that there is
            latest = self._clocks[-1]
            if latest.first_s - _APART_S <= stamp_s <= latest.latest_s + pause_s:
                return len(self._clocks) - 1
            return self._new_clock(stamp_s, shown_s)
        if packet.dts is not None and place.decoding:
            least_s = max(_DECODE_RESTART_S, _JITTER_FRAMES * period_s)
        else:
            least_s = max(_RESTART_S, _REORDERED_FRAMES * period_s)
        ahead_s = stamp_s - self._clocks[place.clock].latest_s
        if place.stamp_s - stamp_s < least_s and ahead_s <= pause_s:
            return place.clock
        for number in range(len(self._clocks) - 1, -1, -1):
            clock = self._clocks[number]
            # A later clock was begun by another stream; an earlier one goes on after a glitch.
            from_s = clock.first_s - _APART_S if number > place.clock else clock.latest_s - least_s
            if number != place.clock and from_s <= stamp_s <= clock.latest_s + pause_s:
                return number
        return self._new_clock(stamp_s, shown_s)

    def _shift_to_origin(self, shown_s: Fraction) -> Fraction:
        """How far the first packet is from where time begins, if that cannot be a pause."""
        if self._origin_s is None or abs(shown_s - self._origin_s) <= max(_APART_S, self._pause_s):
            return Fraction(0)
        return self._origin_s - shown_s

    def _new_clock(self, stamp_s: Fraction, shown_s: Fraction) -> int:
        """Begin one with a packet of these stamps; returns its number."""
        self._clocks.append(_Clock(self._end_s - shown_s, stamp_s, stamp_s))
        self._starts_s.append(self._end_s)
        return len(self._clocks) - 1


def _period_s(packet: Packet[Any]) -> Fraction:
    """Between two pictures; 0 where nothing is known of it."""
    rate = getattr(packet.stream, "average_rate", None)  # sound has none
    return 1 / Fraction(rate) if rate else Fraction(0)
