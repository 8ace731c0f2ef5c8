"""Published figures on AVISeg's test split, beside which ours are printed. None of them is ours.

FSLA, HOTA and mAP as the papers of AVISM, ACVIS and H2S report them, by the public evaluator
(our `official` protocol). Other columns and rows of their tables are not kept here: they stay
empty. Nobody has published frames per second, or figures under the `corrected` protocol.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["PUBLISHED_ROWS", "PublishedRow"]


@dataclass(frozen=True)
class PublishedRow:
    """One method of a paper."""

    method: str
    backbone: str
    pretraining: str  # ImageNet, or COCO besides
    scores: dict[str, float]  # of `metrics.SUMMARY`, percent
    source: str


_AVISM = "AVISM, Guo et al., CVPR 2025, arXiv:2310.18709"


def _row(
    method: str, backbone: str, pretraining: str, *figures: float, source: str
) -> PublishedRow:
    scores = dict(zip(("FSLA", "HOTA", "mAP"), figures, strict=True))
    return PublishedRow(method, backbone, pretraining, scores, source)


PUBLISHED_ROWS = (
    _row("AVISM", "ResNet-50", "ImageNet", 42.78, 61.73, 40.57, source=_AVISM),
    _row("AVISM", "ResNet-50", "COCO", 44.42, 64.52, 45.04, source=_AVISM),
    _row("AVISM", "Swin-L", "COCO", 52.49, 71.13, 53.46, source=_AVISM),
    _row("ACVIS", "ResNet-50", "COCO", 46.72, 65.02, 46.64, source="ACVIS"),
    _row("H2S", "ResNet-50", "COCO", 47.58, 65.70, 48.54, source="H2S"),
    _row("H2S", "Swin-L", "COCO", 55.06, 72.27, 55.38, source="H2S"),
)
