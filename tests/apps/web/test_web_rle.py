"""Masks in JavaScript: run lengths against pycocotools, outlines against the masks they enclose."""

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import streamavis_apps.web
from pycocotools import mask as coco

NODE = shutil.which("node")
pytestmark = pytest.mark.skipif(NODE is None, reason="needs Node.js: apt-get install nodejs")
STATIC = Path(streamavis_apps.web.__file__).parent / "static"
SCRIPT = """
const [rle, outline] = await Promise.all(process.argv.slice(1, 3).map((path) => import(path)));
let text = "";
for await (const part of process.stdin) text += part;
const answers = JSON.parse(text).map((mask) => {
  const cut = rle.patch(mask);
  if (!cut) return null;
  const loops = outline.loops(cut);
  return { ...cut, mask: Array.from(cut.mask), loops, smooth: loops.map(outline.smooth) };
});
console.log(JSON.stringify(answers));
"""


def in_javascript(masks):
    """What the page makes of (H, W) bool masks, by way of COCO's text."""
    packed = [coco.encode(np.asfortranarray(mask.astype(np.uint8))) for mask in masks]
    texts = [
        {"size": list(m.shape), "counts": p["counts"].decode()}
        for m, p in zip(masks, packed, strict=True)
    ]
    done = subprocess.run(
        [NODE, "--input-type=module", "-e", SCRIPT]
        + [(STATIC / name).as_uri() for name in ("rle.js", "outline.js")],
        input=json.dumps(texts),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def blobs(seed):
    """Masks of every kind: noise, shapes with holes, frames, single pixels, whole pictures."""
    draw = np.random.default_rng(seed)
    masks = []
    for _ in range(60):
        height, width = draw.integers(1, 50, 2)
        masks.append(draw.random((height, width)) < draw.choice([0.02, 0.3, 0.7, 0.98]))
    for _ in range(20):
        rows, columns = np.indices((120, 200))
        y, x, r = draw.integers(0, 120), draw.integers(0, 200), draw.integers(3, 90)
        distance = np.hypot(rows - y, columns - x)
        masks.append((distance < r) & (distance > r * draw.choice([0, 0.5])))
    for shape in [(1, 1), (1, 40), (40, 1), (720, 1280)]:
        masks.append(np.ones(shape, bool))
    frame = np.ones((30, 40), bool)
    frame[5:-5, 5:-5] = False
    return [*masks, frame]


def test_masks_are_those_of_pycocotools():
    masks = [*blobs(1), np.zeros((20, 30), bool)]
    cuts = in_javascript(masks)
    assert cuts[-1] is None
    for mask, cut in zip(masks, cuts, strict=True):
        if not mask.any():
            assert cut is None
            continue
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        x, y, width, height = cut["x"], cut["y"], cut["width"], cut["height"]
        assert (x, width) == (columns[0], columns[-1] - columns[0] + 1)
        # A run that goes round a column's end makes the box taller than it must be, never lower.
        assert y <= rows[0]
        assert y + height > rows[-1]
        padded = np.zeros((height + 2, width + 2), bool)
        padded[1:-1, 1:-1] = mask[y : y + height, x : x + width]
        np.testing.assert_array_equal(np.reshape(cut["mask"], padded.shape), padded)


def area(loop):
    x, y = np.array(loop).reshape(-1, 2).T
    return float(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2


def corners(loop):
    """How often the way turns: a step between middles of edges that meet is diagonal."""
    steps = np.diff(np.reshape(loop, (-1, 2)), axis=0, append=[loop[:2]])
    return int((np.abs(steps).min(1) > 0.25).sum())


def test_outlines_go_once_around_everything_and_the_other_way_round_holes():
    """The middles of pixel edges enclose each pixel, but for an eighth of one at each corner."""
    masks = [mask for mask in blobs(2) if mask.any()]
    for mask, cut in zip(masks, in_javascript(masks), strict=True):
        total = sum(area(loop) for loop in cut["loops"])
        turns = sum(corners(loop) for loop in cut["loops"])
        assert abs(total - mask.sum()) <= turns / 8 + 1e-6
        edges = np.pad(mask, 1).astype(int)
        length = np.abs(np.diff(edges, axis=0)).sum() + np.abs(np.diff(edges, axis=1)).sum()
        assert sum(len(loop) for loop in cut["loops"]) == 2 * length
    frame = in_javascript([blobs(3)[-1]])[0]
    assert len(frame["loops"]) == 2
    assert sorted(np.sign([area(loop) for loop in frame["loops"]])) == [-1, 1]


def test_smoothing_stays_within_two_pixels_of_the_mask():
    masks = blobs(4)[60:80]
    for cut in in_javascript([mask for mask in masks if mask.any()]):
        for loop, smooth in zip(cut["loops"], cut["smooth"], strict=True):
            points = np.reshape(loop, (-1, 2))
            for point in np.reshape(smooth, (-1, 2)):
                assert np.abs(points - point).max(1).min() <= 2


@pytest.mark.parametrize("counts", ["~", "\x7f", "P"])
def test_text_that_is_none_is_an_error_and_no_endless_loop(counts):
    script = f"""
const {{ runs }} = await import({json.dumps((STATIC / "rle.js").as_uri())});
try {{ runs({json.dumps(counts)}); console.log("read"); }}
catch (error) {{ console.log(error.name); }}
"""
    command = [NODE, "--input-type=module", "-e", script]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "RangeError"
