"""A source with a frame stride: every n-th frame is processed, and all of its sound."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streamavis.types import VideoFrame

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from streamavis.io.media import MediaInfo, MediaSource
    from streamavis.types import SourceItem

__all__ = ["Strided"]


class Strided:
    """Leaves frames out before any work is spent on them; they are gaps in `seq`."""

    def __init__(self, source: MediaSource, stride: Callable[[], int]) -> None:
        """Thin out `source`; `stride` >= 1 is read at every frame."""
        self._source = source
        self._stride = stride

    @property
    def info(self) -> MediaInfo:
        """Of the source."""
        return self._source.info

    def __iter__(self) -> Iterator[SourceItem]:
        for item in self._source:
            if not isinstance(item, VideoFrame) or item.index % self._stride() == 0:
                yield item
