"""What the frame queries proposed, for sinks that ask."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest
import torch
from runtime_fakes import FakeModel, FakeSource, ListSink, clip

from streamavis.runtime.candidates import candidates
from streamavis.runtime.engine import Engine, Feed, Policy
from streamavis.session import Session


@dataclass
class Proposals:
    frame_class_logits: torch.Tensor
    frame_mask_logits: torch.Tensor


def proposals(size: tuple[int, int], boxes: list[tuple[int, int, int, int]]) -> Proposals:
    """One query per (x, y, w, h) box of cells; query n says class n % 3, surer than the last."""
    height, width = (-(-side // 4) for side in size)
    masks = torch.full((1, len(boxes), height + 3, width + 5), -1.0)  # padded
    masks[..., height:, :] = masks[..., width:] = 1.0  # what the network sees in its padding
    logits = torch.zeros(1, len(boxes), 4)
    for n, (x, y, w, h) in enumerate(boxes):
        masks[0, n, y : y + h, x : x + w] = 1.0
        logits[0, n, n % 3] = 2.0 + n
    return Proposals(logits, masks)


def test_a_box_covers_the_cells_of_its_mask_in_source_pixels():
    output = proposals((192, 256), [(0, 0, 64, 48), (10, 4, 8, 6)])
    best, second = candidates(output, (192, 256), (384, 512), ("a", "b", "c"))
    assert (best.label, best.class_id, best.box) == ("b", 1, (80, 32, 64, 48))
    assert second.box == (0, 0, 512, 384)
    assert best.score > second.score
    assert best.score == pytest.approx(float(np.exp(3) / (np.exp(3) + 3)), rel=1e-5)


def test_what_is_nothing_or_nowhere_is_left_out():
    output = proposals((64, 64), [(0, 0, 4, 4), (3, 3, 0, 0), (2, 2, 1, 1)])
    output.frame_class_logits[0, 0] = torch.tensor([-9.0, -9.0, -9.0, 9.0])
    assert [c.class_id for c in candidates(output, (64, 64), (64, 64), "abc")] == [2]


def test_a_model_without_frame_queries_proposes_nothing():
    session = Session(FakeModel(), stream="cam")
    assert session.candidates() == []
    Engine([Feed(FakeSource(clip(2)), session)], Policy(speed=None)).run()
    assert session.candidates() == []


@dataclass
class Asking(ListSink):
    inspects: bool = False
    got: list[list] = field(default_factory=list)

    def inspect(self, found) -> None:
        self.got.append((len(self.results), found))


def test_only_those_who_ask_are_told_and_before_the_result(monkeypatch):
    session = Session(FakeModel(), stream="cam")
    told = []
    monkeypatch.setattr(session, "candidates", lambda: told.append(0) or ["one"])
    sink = Asking(inline=True)
    engine = Engine(
        [Feed(FakeSource(clip(6)), session, [sink])],
        Policy(speed=None),
    )
    for result in engine.results():
        sink.inspects = 1 <= result.seq < 3
    assert sink.got == [(2, ["one"]), (3, ["one"])]
    assert len(told) == 2, "nobody asks: nothing is computed"
