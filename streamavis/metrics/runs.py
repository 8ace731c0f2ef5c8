"""COCO's compressed run lengths, read many masks at a time, and the order of their contents.

A mask's counts are column-major run lengths, zeros first. From the third on, each is written as
the difference to the one two before it, in characters of 5 bits ('0' + bits, + 32 while more
follow), the last one signed.
"""

from __future__ import annotations

from functools import cache, cmp_to_key
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from streamavis.metrics.data import MaskTrack

__all__ = ["MaskError", "areas", "content_key", "run_lengths"]

_MAX_CHARACTERS = 6  # of one run: longer ones overflow the integers of pycocotools


class MaskError(ValueError):
    """Mask number `index` of those that were read is not well-formed."""

    def __init__(self, index: int, what: str) -> None:
        super().__init__(what)
        self.index = index
        self.what = what


def areas(counts: Sequence[bytes], pixels: int) -> NDArray[np.int64]:
    """Pixels that are set in each mask.

    Raises:
        MaskError: counts cannot be read, or do not fill a frame of `pixels`.
    """
    if not counts:
        return np.empty(0, np.int64)
    runs, lengths = _decode(counts)
    starts = np.cumsum(lengths) - lengths
    totals = np.add.reduceat(runs, starts)
    wrong = np.flatnonzero((np.minimum.reduceat(runs, starts) < 0) | (totals != pixels))
    if wrong.size:
        index = int(wrong[0])
        raise MaskError(index, f"run lengths fill {totals[index]} of {pixels} pixels")
    return np.add.reduceat(np.where(_places(lengths) % 2, runs, 0), starts)


def run_lengths(counts: bytes) -> list[int]:
    """The run lengths of one well-formed mask; runs of no length inside it are left out."""
    runs: list[int] = _decode([counts])[0].tolist()
    if 0 not in runs[1:]:
        return runs
    merged = runs[:1]
    for i in range(1, len(runs)):
        if runs[i]:
            if (len(merged) - i) % 2:  # an odd number of runs was left out: the value goes on
                merged[-1] += runs[i]
            else:
                merged.append(runs[i])
    return merged


def content_key(tracks: Sequence[MaskTrack]) -> Callable[[int], Any]:
    """A sort key for places in `tracks`: by what the tracks contain, never by where they stand.

    Frame by frame the run lengths are compared as lists; a frame without a pixel counts as [].
    """
    contents = [_contents(track) for track in tracks]
    decoded = cache(lambda mask: run_lengths(mask) if mask else [])

    def compare(one: int, other: int) -> int:
        for left, right in zip_longest(contents[one], contents[other]):
            # Equal counts are equal masks, and need no decoding.
            if left != right and decoded(left) != decoded(right):
                return -1 if decoded(left) < decoded(right) else 1
        return len(contents[one]) - len(contents[other])

    return cmp_to_key(compare)


def _contents(track: MaskTrack) -> list[bytes | None]:
    return [
        mask if area > 0 else None
        for mask, area in zip(track.masks, track.areas.tolist(), strict=True)
    ]


def _places(lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """0, 1, 2 ... within each of the pieces that `lengths` cuts."""
    starts = np.cumsum(lengths) - lengths
    return np.arange(lengths.sum()) - np.repeat(starts, lengths)


def _decode(counts: Sequence[bytes]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """All run lengths one after the other, and how many each mask has."""
    sizes = np.array([len(mask) for mask in counts])
    if not sizes.all():
        raise MaskError(int(np.argmin(sizes)), "no run lengths")
    ends = np.cumsum(sizes)
    text = np.frombuffer(b"".join(counts), np.uint8) - np.uint8(48)
    closing = text < 32  # the last character of its run
    digits_end = np.flatnonzero(closing)
    digits = np.diff(digits_end, prepend=-1)
    bad = (text > 63) | np.repeat(~closing[ends - 1], sizes)
    bad[digits_end[digits > _MAX_CHARACTERS]] = True
    if bad.any():
        index = int(np.searchsorted(ends, np.argmax(bad), side="right"))
        raise MaskError(index, f"no COCO run lengths: {_shown(counts[index])}")
    shifts = 5 * _places(digits)
    values = np.add.reduceat((text & 31).astype(np.int64) << shifts, digits_end - digits + 1)
    negative = (text[digits_end] & 16) != 0
    values -= np.where(negative, 1 << (5 * digits), 0)
    lengths = np.add.reduceat(closing, ends - sizes, dtype=np.int64)
    return _undo_differences(values, lengths), lengths


def _undo_differences(values: NDArray[np.int64], lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """Sum every second value of each mask, the very first excepted.

    Masks are laid out from even places on, so that one cumulative sum over two columns does all.
    """
    slots = lengths + lengths % 2
    starts = np.cumsum(slots) - slots
    places = np.repeat(starts, lengths) + _places(lengths)
    laid = np.zeros(int(slots.sum()), np.int64)
    laid[places] = values
    first = laid[starts]
    laid[starts] = 0
    sums = laid.reshape(-1, 2).cumsum(axis=0)
    before = np.where((starts > 0)[:, None], sums[starts // 2 - 1], 0)
    sums -= np.repeat(before, slots // 2, axis=0)
    undone = sums.reshape(-1)
    undone[starts] = first
    return undone[places]


def _shown(counts: bytes) -> str:
    return repr(counts[:20].decode("ascii", "replace")) + ("..." if len(counts) > 20 else "")
