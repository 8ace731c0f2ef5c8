"""Packets of a container, stream by stream, in bounded memory."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

import av

from streamavis.io.continuity import Continuity

if TYPE_CHECKING:
    from collections.abc import Sequence

    from av.packet import Packet
    from av.stream import Stream

    from streamavis.io.container import Media

__all__ = ["PacketReader"]

_QUEUE_BYTES = 64 << 20  # compressed, so minutes of video
_MOST_ERRORS = 1000  # in a row: a demuxer that cannot go on repeats itself


class PacketReader:
    """Read the streams of a container each at its own pace.

    Asking for one stream's next packet queues what comes of the other, at most `look_ahead`
    packets and 64 MiB, so a badly interleaved file costs bounded memory.

    Stamps are on one time, also where the container's clock begins anew.

    Attributes:
        continuity: where it did.
        at_end: nothing more comes.
    """

    def __init__(
        self,
        media: Media,
        look_ahead: int,
        streams: Sequence[Stream] | None = None,
        *,
        from_start: bool = True,
    ) -> None:
        """Start.

        Args:
            media: the container.
            look_ahead: packets to queue at most.
            streams: those whose packets are wanted, by default all that are used. All are read:
                only together they tell where the clock begins anew.
            from_start: the container was not sought in.
        """
        self._media = media
        self._look_ahead = look_ahead
        used = [s for s in (media.video, media.audio) if s is not None]
        self._used = {s.index for s in used}
        self._queues: dict[int, deque[Packet[Any]]] = {
            s.index: deque() for s in (used if streams is None else streams)
        }
        self._queued_bytes = 0
        self._source = media.container.demux()
        self._errors = 0  # since the last packet
        self.continuity = Continuity(
            breaks=media.clock_breaks, origin_s=media.origin_s if from_start else None
        )
        self.at_end = False

    def next(self, stream: Stream, *, wait: bool = True) -> Packet[Any] | None:
        """The next packet of `stream`; None at its end or, unless `wait`, past the look-ahead.

        With `wait` the other stream's packets are thrown away once there is no more room for
        them; its decoder then leaves a gap.
        """
        queue = self._queues[stream.index]
        while not queue and not self.at_end and (wait or self._has_room()):
            self._read(stream.index)
        if not queue:
            return None
        packet = queue.popleft()
        self._queued_bytes -= packet.size
        return packet

    @property
    def broke_off(self) -> bool:
        """True when the container ended in an error or inside a packet."""
        return self.at_end and self._errors > 0

    def _has_room(self) -> bool:
        queued = sum(len(queue) for queue in self._queues.values())
        return queued < self._look_ahead and self._queued_bytes < _QUEUE_BYTES

    def _read(self, wanted: int) -> None:
        try:
            packet = next(self._source)
        except StopIteration:
            self.at_end = True
            return
        except IndexError:  # a stream that began after opening, which PyAV does not know
            self._source = self._media.container.demux()  # an exception ends a generator
            return
        except (av.error.FFmpegError, OSError, ValueError, OverflowError):
            self._errors += 1
            self.at_end = self._errors > _MOST_ERRORS
            self._source = self._media.container.demux()
            return
        if packet.size == 0:  # PyAV's flush packets, at the end
            return
        index = packet.stream.index
        if index not in self._used:
            return
        self._errors = int(packet.is_corrupt)
        self.continuity.place(packet)
        fits = index == wanted or self._queued_bytes < _QUEUE_BYTES
        if index in self._queues and fits:
            self._queues[index].append(packet)
            self._queued_bytes += packet.size
