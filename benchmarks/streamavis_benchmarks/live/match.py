"""Which picture a result is of, how long it took, and what became of all the others.

The wire does not carry a picture's number in its camera, but `seq` counts the pictures that
arrived, dropped ones included, and TCP loses and swaps none: within a connection `seq` less the
camera's number is one constant. It is the largest one that has no picture arrive before it left,
and exact if a single picture of the connection took less than one period to arrive.
"""

from __future__ import annotations

import bisect
from collections import defaultdict
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from streamavis.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streamavis_benchmarks.rigs import Departure

__all__ = ["PARTS", "Account", "Arrival", "Matched", "account_for", "match"]

PARTS = ("to the engine", "to the model", "model", "masks and tracks", "to the robot")


class Arrival(NamedTuple):
    """A result at the robot."""

    seq: int
    captured_ns: int  # when its picture arrived at the engine
    begun_ns: int  # when the model began with it
    done_ns: int  # when the model had done
    sent_ns: int  # when the engine handed it on
    received_ns: int  # arrival at the robot


class Matched(NamedTuple):
    """A result and the picture it is of."""

    departure: Departure
    arrival: Arrival

    @property
    def total_ms(self) -> float:
        """From departure at the camera to arrival at the robot."""
        return (self.arrival.received_ns - self.departure.left_ns) / 1e6

    @property
    def parts_ms(self) -> dict[str, float]:
        """Where the time went, in order; the parts sum up to `total_ms`."""
        result = self.arrival
        moments = (
            self.departure.left_ns,
            result.captured_ns,
            result.begun_ns,
            result.done_ns,
            result.sent_ns,
            result.received_ns,
        )
        return {
            name: (after - before) / 1e6
            for name, (before, after) in zip(PARTS, pairwise(moments), strict=True)
        }


@dataclass(frozen=True, slots=True)
class Account:
    """Counts of all sent pictures, by the camera, the engine and the robot."""

    left: int  # the camera
    arrived: int  # at the engine: the last `seq`, plus 1
    on_the_way: int  # sent into connections that were cut, and lost with them
    early: int  # arrived before the engine began
    captured: int  # by the engine
    processed: int
    dropped: dict[str, int]  # cause -> pictures
    received: int  # results, by the robot
    unheard: int  # results from before the robot had joined
    missed: int  # gaps in `seq` between the robot's results

    @property
    def adds_up(self) -> bool:
        """Every picture that left is accounted for, by counts of different origin."""
        dropped = sum(self.dropped.values())
        return (
            self.left == self.early + self.captured + self.on_the_way
            and self.captured == self.processed + dropped
            and self.processed == self.received + self.unheard
            and min(self.early, self.on_the_way, self.unheard) >= 0
            and self.missed <= dropped
        )


def match(departures: Sequence[Departure], arrivals: Sequence[Arrival]) -> list[Matched]:
    """Find the picture of every result.

    Args:
        departures: every picture that left, in order; connections follow each other.
        arrivals: results, in order.

    Raises:
        InputError: a result is of no picture: the counts contradict each other.
    """
    pictures: dict[int, list[Departure]] = defaultdict(list)
    for departure in departures:
        pictures[departure.connection].append(departure)
    opened = sorted((sent[0].left_ns, connection) for connection, sent in pictures.items())
    of: dict[int, list[Arrival]] = defaultdict(list)
    for arrival in arrivals:
        place = bisect.bisect_right(opened, arrival.captured_ns, key=lambda pair: pair[0])
        if place == 0:
            raise InputError(f"result {arrival.seq} arrived before any picture left")
        of[opened[place - 1][1]].append(arrival)
    matched: list[Matched] = []
    for connection, results in of.items():
        matched += _match_connection(pictures[connection], results)
    return matched


def account_for(
    departures: Sequence[Departure],
    matched: Sequence[Matched],
    *,
    captured: int,
    processed: int,
    dropped: dict[str, int],
) -> Account:
    """Say what became of every picture, once nothing is under way any more.

    Args:
        departures: every picture that left, in order.
        matched: every result of the robot.
        captured, processed, dropped: as the stream's last message counts them.

    Raises:
        InputError: there is no result.
    """
    if not matched:
        raise InputError("the robot got no result")
    first, last = matched[0], matched[-1]
    connections: dict[int, int] = defaultdict(int)  # -> pictures sent
    for departure in departures:
        connections[departure.connection] += 1
    begin = {m.departure.connection: m.arrival.seq - m.departure.number for m in matched}
    lost = 0
    for (before, seq), (_, next_seq) in pairwise(sorted(begin.items())):
        lost += connections[before] - (next_seq - seq)
    # Of connections without a single result all is lost: they were cut before one arrived.
    lost += sum(sent for connection, sent in connections.items() if connection not in begin)
    tail = connections[last.departure.connection] - 1 - last.departure.number
    arrived = last.arrival.seq + 1 + tail
    span = last.arrival.seq - first.arrival.seq + 1
    return Account(
        left=len(departures),
        arrived=arrived,
        on_the_way=lost,
        early=arrived - captured,
        captured=captured,
        processed=processed,
        dropped=dict(dropped),
        received=len(matched),
        unheard=processed - len(matched),
        missed=span - len(matched),
    )


def _match_connection(sent: Sequence[Departure], results: Sequence[Arrival]) -> list[Matched]:
    begin_seq = max(
        arrival.seq
        - (bisect.bisect_right(sent, arrival.captured_ns, key=lambda one: one.left_ns) - 1)
        for arrival in results
    )
    matched = []
    for arrival in results:
        number = arrival.seq - begin_seq
        if not 0 <= number < len(sent):
            raise InputError(
                f"result {arrival.seq} would be of picture {number} of connection "
                f"{sent[0].connection}, which sent {len(sent)}"
            )
        matched.append(Matched(sent[number], arrival))
    return matched
