"""The offline network and the causal one made of it see the same picture."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from test_avism import TINY

from streamavis.model import AVISM, StreamAVIS
from streamavis.resize import prepare, resize


@pytest.mark.parametrize("size", [(50, 70), (40, 300), (300, 40), (64, 64)])
def test_both_networks_see_the_same_picture(size):
    torch.manual_seed(0)
    offline = AVISM(replace(TINY, short_side=32, long_side=118, audio="causal"))
    causal = StreamAVIS.from_avism(offline).config
    picture = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    c = offline.config
    seen = resize(picture[None], c.short_side, long_side=c.long_side)
    assert max(seen.shape[2:]) <= 118
    assert torch.equal(seen, prepare(picture, causal.short_side, long_side=causal.long_side))
