"""When a decoded picture is to be shown, from stamps that may be missing or wrong."""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import av
    from av.packet import Packet

__all__ = ["PictureStamps"]

_FEWEST = 3  # packets before their order is judged
_MOST_HELD = 24  # stamps that wait for their picture; decoders hold fewer


class PictureStamps:
    """The best guess of each picture's stamp, as FFmpeg makes it.

    The picture's own, or its packet's decoding stamp where the own one is missing or steps back
    more often than that does. Some containers (AVI) stamp pictures in the order in which they are
    decoded: then each takes the smallest stamp that is left.
    """

    def __init__(self, *, decoding_order: bool) -> None:
        """Start; `decoding_order` where the container stamps in decoding order for certain."""
        self._by_container = self._decoding_order = decoding_order
        self._in_order = True  # so far the stamps of packets only rose
        self._packets = 0
        self._last_packet: int | None = None
        self._waiting: list[int] = []  # heap
        self._last: int | None = None  # given
        self._faults = {"pts": 0, "dts": 0}
        self._seen: dict[str, int | None] = {"pts": None, "dts": None}

    def sent(self, packet: Packet[Any]) -> None:
        """Tell that a packet goes to the decoder."""
        first, second = packet.pts, packet.dts
        if self._by_container:  # which has decoding stamps only: FFmpeg made the others up
            first, second = second, first
        stamp = second if first is None else first
        if stamp is None:
            return
        self._packets += 1
        if self._last_packet is not None and stamp <= self._last_packet:
            self._in_order = False
        self._last_packet = stamp
        heapq.heappush(self._waiting, stamp)
        if len(self._waiting) > _MOST_HELD:
            heapq.heappop(self._waiting)

    def of(self, frame: av.VideoFrame) -> int | None:
        """The stamp of a decoded picture, in the order in which they come; None: unknown."""
        best = self._best(frame)
        if not self._decoding_order and self._last is not None and best is not None:
            # Pictures come in another order than their stamps: the packets tell whose fault it is.
            enough = self._in_order and self._packets >= _FEWEST
            self._decoding_order = enough and best <= self._last and bool(self._waiting)
        if self._decoding_order:
            best = self._smallest()
        if best is not None:
            self._last = best
        return best

    def _smallest(self) -> int | None:
        while self._waiting:
            stamp = heapq.heappop(self._waiting)
            if self._last is None or stamp > self._last:
                return stamp
        return None

    def _best(self, frame: av.VideoFrame) -> int | None:
        """As libavcodec's `guess_correct_pts`."""
        for kind, stamp in (("pts", frame.pts), ("dts", frame.dts)):
            last = self._seen[kind]
            if stamp is not None:
                self._faults[kind] += last is not None and stamp <= last
                self._seen[kind] = stamp
        own_is_better = self._faults["pts"] <= self._faults["dts"]
        if frame.pts is not None and (own_is_better or frame.dts is None):
            return frame.pts
        return frame.dts
