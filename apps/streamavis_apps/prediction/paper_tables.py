"""Tables in the form of AVISM's paper: what each weights file is, and where its row belongs."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from streamavis.model import AVISM
from streamavis.model.resnet import ResNetConfig
from streamavis.model.swin import SwinConfig
from streamavis_apps.prediction.published import PUBLISHED_ROWS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from streamavis.metrics import Protocol
    from streamavis_apps.prediction.networks import Loaded

__all__ = ["TableRow", "Traits", "markdown", "traits_of"]

FULL = ("FSLA", "FSLAn", "FSLAs", "FSLAm", "HOTA", "DetA", "AssA", "mAP", "AP_s", "AP_m", "AP_l")
SHORT = ("FSLA", "HOTA", "mAP")
_RESNETS: dict[tuple[int, ...], str] = {(3, 4, 6, 3): "ResNet-50", (3, 4, 23, 3): "ResNet-101"}
_SWIN_L = 192  # channels of its first stage


@dataclass(frozen=True)
class Traits:
    """What a table sorts a model by."""

    method: str
    backbone: str
    pretraining: str  # "COCO", "ImageNet", or "-" unknown
    frame_fusion: bool
    video_fusion: bool
    window: int


@dataclass
class TableRow:
    """One model's figures, or why there are none."""

    name: str  # of the file, and how it ran
    traits: Traits | None = None  # None: the file is not usable
    scores: dict[str, dict[str, float]] = field(default_factory=dict)  # protocol -> name -> percent
    frames_per_s: float = math.nan
    problem: str = ""

    def document(self) -> dict[str, Any]:
        """Ready for JSON: null where there is nothing to score."""
        known = {
            protocol: {k: v if math.isfinite(v) else None for k, v in scores.items()}
            for protocol, scores in self.scores.items()
        }
        rate = self.frames_per_s if math.isfinite(self.frames_per_s) else None
        traits = vars(self.traits) if self.traits else None
        about = {"model": self.name, "traits": traits, "problem": self.problem or None}
        return about | {"frames_per_s": rate} | known


def traits_of(loaded: Loaded, name: str) -> Traits:
    """Read a network's shape; what weights do not contain is taken from the file's name."""
    config = loaded.network.config
    backbone = config.backbone
    kind = type(backbone).__name__.removesuffix("Config")
    if isinstance(backbone, ResNetConfig):
        kind = _RESNETS.get(backbone.blocks, "ResNet")
    elif isinstance(backbone, SwinConfig):
        kind = "Swin-L" if backbone.embed == _SWIN_L else "Swin"
    tokens = set(re.split(r"[^A-Za-z0-9]+", name.upper()))
    pretraining = "COCO" if "COCO" in tokens else "ImageNet" if "IN" in tokens else "-"
    network = loaded.network
    if isinstance(network, AVISM):
        method = "ACVIS" if network.config.count_levels else "AVISM"
        fusion = network.config.frame_fusion != "none", network.config.video_fusion
    else:
        method = "StreamAVIS, causal"
        fusion = network.config.audio != "none", network.config.audio_layers > 0
    return Traits(method, kind, pretraining, *fusion, config.window)


def markdown(rows: Sequence[TableRow], protocol: Protocol, about: str) -> str:
    """All four tables under one protocol; a missing entry is marked in its row."""
    text = [f"## {protocol.capitalize()} protocol", "", about, ""]
    text += _table_2(rows, protocol) + _table_4(rows, protocol)
    text += _table_5(rows, protocol) + _table_7(rows, protocol)
    return "\n".join(text)


def _table_2(rows: Sequence[TableRow], protocol: Protocol) -> list[str]:
    """Every method."""
    head = ("method", "backbone", "pre-training", *FULL, "frames/s")
    lines = []
    if protocol == "official":
        for published in PUBLISHED_ROWS:
            figures = [_figure(published.scores.get(key, math.nan)) for key in FULL]
            named = (f"{published.method} (published)", published.backbone, published.pretraining)
            lines.append([*named, *figures, "-"])
    for row in rows:
        if row.traits is None:
            lines.append([row.name, *["-"] * (len(head) - 2), row.problem])
            continue
        named = (f"{row.traits.method}: {row.name}", row.traits.backbone, row.traits.pretraining)
        lines.append([*named, *_cells(row, protocol, FULL)])
    if not rows:
        lines.append(["no weights found", *["-"] * (len(head) - 1)])
    return _section("Table 2: methods on the test split", head, lines)


def _table_4(rows: Sequence[TableRow], protocol: Protocol) -> list[str]:
    """Fusion of sound, within a frame and over time."""
    lines = []
    for frame, video in ((False, False), (True, False), (False, True), (True, True)):

        def belongs(t: Traits, frame: bool = frame, video: bool = video) -> bool:
            return (t.frame_fusion, t.video_fusion, t.window) == (frame, video, 6)

        named = ["yes" if on else "no" for on in (frame, video)]
        lines += _matching(rows, protocol, named, belongs)
    head = ("FL-AVFM", "VL-AVFM", "model", *SHORT, "frames/s")
    return _section("Table 4: fusion of sound (window 6)", head, lines)


def _table_5(rows: Sequence[TableRow], protocol: Protocol) -> list[str]:
    """Frames of a window."""
    lines = []
    for window in (3, 6, 12):

        def belongs(t: Traits, window: int = window) -> bool:
            return t.window == window and t.frame_fusion and t.video_fusion

        lines += _matching(rows, protocol, [str(window)], belongs)
    head = ("window", "model", *SHORT, "frames/s")
    return _section("Table 5: frames of a window (both fusions on)", head, lines)


def _table_7(rows: Sequence[TableRow], protocol: Protocol) -> list[str]:
    """Backbones and what they were trained on before."""
    lines = []
    for backbone in ("ResNet-50", "ResNet-101", "Swin-L"):
        for pretraining in ("ImageNet", "COCO"):

            def belongs(t: Traits, two: tuple[str, str] = (backbone, pretraining)) -> bool:
                return t.method == "AVISM" and (t.backbone, t.pretraining) == two

            if protocol == "official":
                lines += [
                    [backbone, pretraining, "published"]
                    + [_figure(one.scores[key]) for key in SHORT]
                    + ["-"]
                    for one in PUBLISHED_ROWS
                    if (one.method, one.backbone, one.pretraining)
                    == ("AVISM", backbone, pretraining)
                ]
            lines += _matching(rows, protocol, [backbone, pretraining], belongs)
    head = ("backbone", "pre-training", "model", *SHORT, "frames/s")
    return _section("Table 7: backbones and pre-training", head, lines)


def _matching(
    rows: Sequence[TableRow],
    protocol: Protocol,
    named: list[str],
    belongs: Callable[[Traits], bool],
) -> list[list[str]]:
    found = [row for row in rows if row.traits is not None and belongs(row.traits)]
    if not found:
        return [[*named, "no weights found", *["-"] * (len(SHORT) + 1)]]
    return [[*named, row.name, *_cells(row, protocol, SHORT)] for row in found]


def _cells(row: TableRow, protocol: Protocol, keys: Sequence[str]) -> list[str]:
    if row.problem:
        return ["-"] * len(keys) + [row.problem]
    scores = row.scores.get(protocol, {})
    return [_figure(scores.get(key, math.nan)) for key in keys] + [_figure(row.frames_per_s)]


def _figure(value: float) -> str:
    return f"{value:.2f}" if math.isfinite(value) else "-"


def _section(title: str, head: Sequence[str], lines: list[list[str]]) -> list[str]:
    widths = [max(len(cells[i]) for cells in (head, *lines)) for i in range(len(head))]
    table = [head, ["-" * width for width in widths], *lines]
    padded = (map(str.ljust, cells, widths) for cells in table)
    return [f"### {title}", "", *(f"| {' | '.join(cells)} |" for cells in padded), ""]
