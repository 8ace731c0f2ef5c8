"""Models of timm (PyTorch Image Models) as backbones: an optional package, imported when built."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

from streamavis.errors import ArgumentError, MissingExtraError

__all__ = ["TimmBackbone", "TimmConfig", "timm_backbone"]

_STRIDES = (4, 8, 16, 32)
# No ":" and no "/": timm would take such a name for an address and download from it.
_NAME = re.compile(r"[a-zA-Z0-9_]+(\.[a-zA-Z0-9_]+)*")


@dataclass(frozen=True)
class TimmConfig:
    """A model of timm; `timm_backbone` fills in the channels."""

    name: str  # as timm has it, such as "convnext_tiny"
    channels: tuple[int, int, int, int]  # of its maps at strides 4, 8, 16, 32
    kind: str = field(default="timm", init=False, repr=False)

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ArgumentError(
                f"timm model {self.name!r}: expected one of timm's own names, such as "
                "'convnext_tiny': letters, digits, '_' and '.'"
            )


def timm_backbone(name: str) -> TimmConfig:
    """The configuration of a timm model; timm tells its channels.

    Raises:
        MissingExtraError: timm is not installed.
        ArgumentError: timm has no such model, or it gives no maps at strides 4, 8, 16 and 32.
    """
    made = _features(TimmConfig(name, (0, 0, 0, 0)))
    c4, c8, c16, c32 = made.feature_info.channels()
    return TimmConfig(name, (c4, c8, c16, c32))


class TimmBackbone(nn.Module):
    """A timm model with random weights.

    For ImageNet weights, copy those of `timm.create_model(name, pretrained=True,
    features_only=True, out_indices=backbone.model.feature_info.out_indices)` into `backbone.model`.
    """

    def __init__(self, config: TimmConfig) -> None:
        """Build it.

        Raises:
            MissingExtraError: timm is not installed.
            ArgumentError: timm has no such model, or its maps have other strides or channels.
        """
        super().__init__()
        self.model = _features(config)
        found = tuple(self.model.feature_info.channels())
        if found != tuple(config.channels):
            raise ArgumentError(
                f"timm model {config.name!r} has maps of {found} channels, but the configuration "
                f"says {config.channels}; make it with timm_backbone({config.name!r})"
            )
        # Some transformers keep channels last.
        self._channels_last = str(getattr(self.model, "output_fmt", "NCHW")).endswith("NHWC")

    def forward(self, x: Tensor) -> list[Tensor]:
        """(N, 3, H, W) normalised -> maps at strides 4, 8, 16, 32."""
        maps = list(self.model(x))
        return [m.permute(0, 3, 1, 2) for m in maps] if self._channels_last else maps


def _features(config: TimmConfig) -> Any:
    """The model with its maps at strides 4, 8, 16 and 32 as outputs."""
    try:
        import timm
    except ModuleNotFoundError as error:
        if error.name != "timm":
            raise
        raise MissingExtraError("timm", "timm") from error
    make = timm.create_model
    try:
        strides = list(make(config.name, features_only=True).feature_info.reduction())
    except (RuntimeError, ValueError, AttributeError) as error:
        raise ArgumentError(
            f"timm model {config.name!r} cannot be a backbone: {error}; `timm.list_models()` has "
            "the names"
        ) from error
    # Of several maps at one stride the last is the deepest.
    last = {stride: index for index, stride in enumerate(strides)}
    if not set(_STRIDES) <= last.keys():
        raise ArgumentError(
            f"timm model {config.name!r} has maps at strides {strides}, expected {_STRIDES} "
            "among them"
        )
    outputs = tuple(last[stride] for stride in _STRIDES)
    return make(config.name, features_only=True, out_indices=outputs)
