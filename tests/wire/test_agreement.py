"""Frames whose fields contradict each other are refused, with what contradicts what."""

from dataclasses import replace

import msgpack
import numpy as np
import pytest
from wire_samples import FRAME

from streamavis import masks
from streamavis.errors import SchemaError
from streamavis.types import Rle
from streamavis.wire import decode, encode

DOG, DRUM = FRAME.tracks
CONTRADICTIONS = {
    "mask of another size": (
        {"rle": masks.encode(np.ones((5, 8), bool))},
        r"track 7: rle\.size is \(5, 8\), but the frame's size is \(6, 8\)",
    ),
    "mask transposed": (
        {"rle": masks.encode(np.ones((8, 6), bool))},
        r"rle\.size is \(8, 6\), but the frame's size is \(6, 8\)",
    ),
    "id of the other track": ({"id": 9}, "track id 9 occurs twice"),
    "negative width": ({"box": (2, 1, -5, 3)}, r"track 7: box is \(2, 1, -5, 3\).*\(6, 8\)"),
    "negative height": ({"box": (2, 1, 5, -3)}, "not within the frame's size"),
    "beyond the right edge": ({"box": (4, 1, 5, 3)}, "not within the frame's size"),
    "beyond the lower edge": ({"box": (2, 4, 5, 3)}, "not within the frame's size"),
    "left of the picture": ({"box": (-1, 1, 5, 3)}, "not within the frame's size"),
    "area larger than the box": ({"area": 16}, r"area is 16, but its box .* has 15 pixels"),
    "centroid outside": ({"centroid": (4.0, 6.5)}, r"centroid is \(4\.0, 6\.5\)"),
}


def as_sent(**changes):
    """The sample frame, its first track changed behind the sender's back."""
    head, payload = encode(FRAME).split(b"\0", 1)
    fields = msgpack.unpackb(payload)
    if isinstance(changes.get("rle"), Rle):
        changes["rle"] = {"size": changes["rle"].size, "counts": changes["rle"].counts}
    fields["tracks"][0] |= changes
    return head + b"\0" + msgpack.packb(fields)


@pytest.mark.parametrize("name", CONTRADICTIONS)
def test_a_contradiction_is_refused_by_reader_and_sender(name):
    changes, words = CONTRADICTIONS[name]
    with pytest.raises(SchemaError, match=words):
        decode(as_sent(**changes))
    with pytest.raises(SchemaError, match=words):
        encode(replace(FRAME, tracks=[replace(DOG, **changes), DRUM]))


def test_an_area_that_is_not_that_of_the_mask_is_refused_by_the_reader():
    with pytest.raises(SchemaError, match=r"track 7: area is 14, but its mask has 15 pixels"):
        decode(as_sent(area=14))


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 1.0])
def test_the_area_of_every_mask_is_counted_right(share):
    """Odd and even numbers of runs, masks that begin and end with either value."""
    random = np.random.default_rng(round(share * 10))
    for side in (1, 2, 7, 40):
        mask = random.random((side, 8)) < share
        track = replace(
            DOG, rle=masks.encode(mask), area=int(mask.sum()), box=(0, 0, 8, side), centroid=(0, 0)
        )
        frame = replace(FRAME, size=(side, 8), tracks=[track])
        assert decode(encode(frame)).tracks[0].area == mask.sum()
