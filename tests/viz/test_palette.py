"""Colours that a colour-blind eye can tell apart, and the same ones in every viewer."""

from __future__ import annotations

import itertools
import json

import numpy as np
import pytest

from streamavis.viz import PALETTE, colour_of, palette

# Machado, Oliveira, Fernandes 2009, table 1, severity 1.0; on linear RGB.
VISION = {
    "normal": np.eye(3),
    "protanopia": np.array(
        [
            [0.152286, 1.052583, -0.204868],
            [0.114503, 0.786281, 0.099216],
            [-0.003882, -0.048116, 1.051998],
        ]
    ),
    "deuteranopia": np.array(
        [
            [0.367322, 0.860646, -0.227968],
            [0.280085, 0.672501, 0.047413],
            [-0.011820, 0.042940, 0.968881],
        ]
    ),
    "tritanopia": np.array(
        [
            [1.255528, -0.076749, -0.178779],
            [-0.078411, 0.930809, 0.147602],
            [0.004733, 0.691367, 0.303900],
        ]
    ),
}
TO_XYZ = np.array(  # IEC 61966-2-1, divided by the white point D65
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750],
     [0.0193339, 0.1191920, 0.9503041]]
) / np.array([[0.95047], [1.0], [1.08883]])  # fmt: skip


def linear(colours) -> np.ndarray:
    c = np.asarray(colours) / 255
    return np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)


def lab(rgb: np.ndarray) -> np.ndarray:
    t = np.clip(rgb, 0, 1) @ TO_XYZ.T
    f = np.where(t > 216 / 24389, np.cbrt(t), (24389 / 27 * t + 16) / 116)
    x, y, z = f.T
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], -1)


@pytest.mark.parametrize("vision", VISION)
def test_tracks_can_be_told_apart_whatever_the_eye(vision):
    """CIE 1976 colour difference; 2.3 is just noticeable, Okabe and Ito's seven reach 16."""
    seen = lab(linear(PALETTE) @ VISION[vision].T)
    for one, other in itertools.combinations(range(len(PALETTE)), 2):
        assert np.linalg.norm(seen[one] - seen[other]) > 25, (PALETTE[one], PALETTE[other])
    following = np.roll(seen, -1, axis=0)
    assert np.linalg.norm(seen - following, axis=1).min() > 30


def test_dark_text_can_be_read_on_every_track_colour():
    """WCAG 2.2: a contrast of 4.5 for text."""
    luminance = linear(PALETTE) @ [0.2126, 0.7152, 0.0722]
    ink = float(linear(palette()["ink"]) @ [0.2126, 0.7152, 0.0722])
    assert ((luminance + 0.05) / (ink + 0.05)).min() > 4.5


def test_an_id_keeps_its_colour_and_a_browser_gets_the_same():
    told = json.loads(json.dumps(palette()))
    for number in range(1, 30):
        assert colour_of(number) == tuple(told["tracks"][(number - 1) % len(told["tracks"])])
    assert set(told["states"]) >= {"ok", "gap", "lost", "absent", "running", "stalled", "failed"}
