"""The packet reader against a container that does exactly what it is told."""

from dataclasses import dataclass
from fractions import Fraction
from types import SimpleNamespace

import av
import pytest

from streamavis.io.container import Media
from streamavis.io.demux import PacketReader

VIDEO, AUDIO, OTHER = (SimpleNamespace(index=index) for index in range(3))


@dataclass
class Packet:
    stream: SimpleNamespace
    number: int = 0
    size: int = 1000
    is_corrupt: bool = False
    pts: int | None = None
    dts: int | None = None
    time_base: Fraction | None = None
    duration: int | None = None


class Container:
    """Plays a list of packets and errors; as in PyAV, an error ends the generator, not the file."""

    def __init__(self, events):
        self._events = iter(events)
        self.format = SimpleNamespace(name="test", flags=0)

    def demux(self):
        for event in self._events:
            if isinstance(event, Exception):
                raise event
            yield event
        yield Packet(VIDEO, size=0)  # PyAV's flush


def reader(events, look_ahead=600):
    media = Media("test", None, Container(events), VIDEO, AUDIO, Fraction(0))
    return PacketReader(media, look_ahead)


def rest(packets, stream):
    numbers = []
    while (packet := packets.next(stream)) is not None:
        numbers.append(packet.number)
    return numbers


def invalid():
    return av.error.InvalidDataError(-1, "invalid")


def test_each_stream_comes_in_order_whoever_asks_first():
    events = [Packet(VIDEO, 0), Packet(OTHER), Packet(AUDIO, 0), Packet(AUDIO, 1), Packet(VIDEO, 1)]
    packets = reader(events)
    assert [packets.next(s).number for s in (AUDIO, AUDIO, VIDEO)] == [0, 1, 0]
    assert (rest(packets, VIDEO), rest(packets, AUDIO)) == ([1], [])
    assert packets.at_end
    assert not packets.broke_off


def test_looking_ahead_ends_at_its_limit_without_losing_anything():
    packets = reader([*(Packet(VIDEO, n) for n in range(10)), Packet(AUDIO)], look_ahead=4)
    assert packets.next(AUDIO, wait=False) is None
    assert not packets.at_end
    assert packets.next(AUDIO).number == 0
    assert rest(packets, VIDEO) == list(range(10))


def test_memory_is_bounded_by_bytes():
    big = 1 << 20
    packets = reader([*(Packet(AUDIO, n, size=big) for n in range(100)), Packet(VIDEO)])
    assert packets.next(VIDEO).number == 0
    assert rest(packets, AUDIO) == list(range(64))


@pytest.mark.parametrize("error", [IndexError("list index out of range"), invalid()])
def test_reading_goes_on_after_an_error(error):
    packets = reader([Packet(VIDEO, 0), error, Packet(VIDEO, 1)])
    assert rest(packets, VIDEO) == [0, 1]
    assert not packets.broke_off


@pytest.mark.parametrize("last", [invalid(), OSError("disk"), Packet(AUDIO, is_corrupt=True)])
def test_an_error_at_the_end_means_it_broke_off(last):
    packets = reader([Packet(VIDEO, 0), last])
    assert rest(packets, VIDEO) == [0]
    assert packets.broke_off


def test_a_stream_that_began_after_opening_is_no_damage():
    packets = reader([Packet(VIDEO, 0), IndexError()])
    assert rest(packets, VIDEO) == [0]
    assert not packets.broke_off


def test_a_demuxer_that_repeats_its_error_is_given_up():
    def errors():
        while True:
            yield invalid()

    packets = reader(errors())
    assert packets.next(VIDEO) is None
    assert packets.broke_off
