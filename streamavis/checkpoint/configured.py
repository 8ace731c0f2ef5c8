"""A configuration out of a weights file: every value checked before a network is built of it.

A file may come from anybody. Its configuration is read as plain values, each within a range that
covers every network of ours many times over; what it describes is built without memory first
(`meta`), and compared with the file's own weights before anything is allocated.
"""

from __future__ import annotations

import dataclasses
import json
import math
from typing import TYPE_CHECKING, Any, Final, TypeVar, get_type_hints

import torch
from safetensors import safe_open
from torch.overrides import TorchFunctionMode

from streamavis.errors import ArgumentError, CheckpointError
from streamavis.model.avism import AVISM
from streamavis.model.backbones import KINDS
from streamavis.model.streamavis import StreamAVIS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

__all__ = [
    "MAX_CLASSES",
    "MAX_CONFIG",
    "MAX_LABEL",
    "MAX_STATE",
    "check_fit",
    "parsed",
]

MAX_CONFIG: Final = 1 << 20  # characters of a configuration
MAX_CLASSES: Final = 1_024  # as on the wire
MAX_LABEL: Final = 256  # characters, as on the wire
MAX_STATE: Final = 4 << 30  # bytes that one stream's past may take

_WIDTH: Final = (1, 16_384)
_LAYERS: Final = (1, 64)
_QUERIES: Final = (1, 4_096)
_RANGES: Final[dict[str, tuple[float, float]]] = {
    "short_side": (32, 4_096),
    **dict.fromkeys(("channels", "mask_channels", "audio_channels", "audio_widths"), _WIDTH),
    **dict.fromkeys(("hidden", "pixel_hidden", "embed"), _WIDTH),
    "identity_channels": (0, 16_384),
    **dict.fromkeys(("frame_layers", "video_layers", "pixel_layers", "blocks", "depths"), _LAYERS),
    **dict.fromkeys(("object_layers", "audio_layers"), (0, 64)),
    "heads": (1, 256),
    **dict.fromkeys(("frame_queries", "slots", "video_queries"), _QUERIES),
    **dict.fromkeys(("points", "fusion_points"), (1, 256)),
    "window": (1, 1_024),
    **dict.fromkeys(("sinks", "pin_first"), (0, 1_024)),
    "count_levels": (0, 64),
    "memory_stride_s": (1e-3, 1e6),
    "carry": (-1e6, 1e6),
    **dict.fromkeys(("score_on", "score_off"), (0, 1)),
}
_MAKERS: Final = frozenset(("empty", "zeros", "ones", "full", "randn", "rand"))
# Files of the first versions name no kind: there were three, of these fields.
_UNTAGGED: Final = {
    frozenset(("blocks",)): "resnet",
    frozenset(("embed", "depths", "heads", "window")): "swin",
}
_MAX_STAGES: Final = 16  # of a backbone, of an audio encoder
_Config = TypeVar("_Config")
_Network = TypeVar("_Network", StreamAVIS, AVISM)


def parsed(kind: type[_Config], header: Mapping[str, str]) -> _Config:
    """The configuration that a file's header holds, every value in its range.

    Raises:
        ArgumentError: it is not readable, or a value is of another type or out of range.
    """
    if "config" not in header:
        raise ArgumentError("the header has no 'config'")
    text = header["config"]
    if len(text) > MAX_CONFIG:
        raise ArgumentError(f"it has {len(text)} characters, at most {MAX_CONFIG}")
    try:
        values = json.loads(text)
    except RecursionError as error:
        raise ArgumentError("it is nested too deeply") from error
    if not isinstance(values, dict):
        raise ArgumentError(f"expected fields by name but got {type(values).__name__}")
    if "backbone" in values:
        values["backbone"] = _backbone(values["backbone"])
    return _checked(kind, values)


def check_fit(path: Path, make: Callable[[], _Network], prefix: str) -> None:
    """Refuse a file whose weights are not those of the network that its configuration describes.

    The network is built on the `meta` device: nothing is allocated and nothing is read but names
    and shapes.

    Args:
        path: of the weights.
        make: builds the network.
        prefix: of weights that belong to another network.

    Raises:
        CheckpointError: the configuration cannot be built, a weight is missing, unknown or of
            another shape, or a stream's past would take more than `MAX_STATE`.
    """
    try:
        with _ShapesOnly():
            model = make()
            state = model.init_state(1) if isinstance(model, StreamAVIS) else None
    except Exception as error:  # whatever a module says of sizes that do not go together
        raise CheckpointError(f"{path}: its configuration describes no network: {error}") from error
    if state is not None and state.nbytes > MAX_STATE:
        raise CheckpointError(
            f"{path}: one stream's past would take {state.nbytes} bytes, at most {MAX_STATE}"
        )
    with safe_open(str(path), "pt") as file:
        found = {
            name: tuple(file.get_slice(name).get_shape())
            for name in file.keys()  # noqa: SIM118
            if not name.startswith(prefix)
        }
    expected = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    missing, extra = sorted(expected.keys() - found.keys()), sorted(found.keys() - expected.keys())
    if missing or extra:
        raise CheckpointError(
            f"{path} does not fit its configuration: {len(missing)} weights missing "
            f"(first {missing[:1]}), {len(extra)} unknown (first {extra[:1]})"
        )
    for name, shape in expected.items():
        if found[name] != shape:
            raise CheckpointError(f"{path}: {name} has shape {found[name]}, expected {shape}")


class _ShapesOnly(TorchFunctionMode):
    """Makes weights on the `meta` device, which has shapes and no memory.

    `torch.device("meta")` does so too, but moves small constants there as well, and PyTorch loads
    its compiler to compute with them: over a second, at every start of every command.
    """

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        name = getattr(func, "__name__", "")
        if name in _MAKERS:
            dtype = kwargs.get("dtype") or torch.get_default_dtype()
            return torch.empty(*args[: 1 if name == "full" else None], dtype=dtype, device="meta")
        if name.endswith(("normal_", "uniform_")):
            return args[0] if args else kwargs["tensor"]
        if name in ("mul", "__mul__") and args[0].is_meta:
            return args[0]
        return func(*args, **kwargs)


def _backbone(values: object) -> Any:
    """The configuration of a backbone, by its kind."""
    if not isinstance(values, dict):
        raise ArgumentError(f"backbone is a {type(values).__name__}, expected fields by name")
    kind = str(values.pop("kind", None) or _UNTAGGED.get(frozenset(values), "nano"))
    if kind not in KINDS:
        raise ArgumentError(f"backbone is of kind {kind!r}, expected one of {', '.join(KINDS)}")
    return _checked(KINDS[kind].config, values)


def _checked(kind: type[_Config], values: dict[str, Any]) -> _Config:
    assert dataclasses.is_dataclass(kind), "configurations are dataclasses"
    hints = get_type_hints(kind)
    unknown = sorted(values.keys() - hints.keys())
    if unknown:
        raise ArgumentError(f"field {unknown[0]!r} is unknown")
    fields = {name: _value(name, hints[name], value) for name, value in values.items()}
    missing = [
        f.name
        for f in dataclasses.fields(kind)
        if f.name not in fields
        and f.default is dataclasses.MISSING
        and f.default_factory is dataclasses.MISSING
    ]
    if missing:
        raise ArgumentError(f"field {missing[0]!r} is missing")
    return kind(**fields)


def _value(name: str, hint: Any, value: Any) -> Any:
    """One field as its configuration takes it."""
    if name == "backbone":
        return value
    if name == "classes":
        return _classes(value)
    if str(hint).startswith("tuple["):
        if not isinstance(value, list) or not 1 <= len(value) <= _MAX_STAGES:
            raise ArgumentError(f"{name} is {_short(value)}, expected a list of 1 to {_MAX_STAGES}")
        return tuple(_number(name, int, item) for item in value)
    if hint in (int, float):
        return _number(name, hint, value)
    expected = bool if hint is bool else str  # names out of a choice, which the class checks
    if type(value) is not expected:
        raise ArgumentError(f"{name} is {_short(value)}, expected {expected.__name__}")
    return value


def _number(name: str, kind: type, value: Any) -> Any:
    low, high = _RANGES.get(name, _WIDTH)
    if type(value) not in ((int,) if kind is int else (int, float)):
        raise ArgumentError(f"{name} is {_short(value)}, expected {kind.__name__}")
    if not (math.isfinite(value) if isinstance(value, float) else True) or not low <= value <= high:
        raise ArgumentError(f"{name} is {_short(value)}, expected {low} to {high}")
    return value


def _classes(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not 1 <= len(value) <= MAX_CLASSES:
        raise ArgumentError(
            f"classes is {_short(value)}, expected a list of 1 to {MAX_CLASSES} names"
        )
    for label in value:
        if not isinstance(label, str) or len(label) > MAX_LABEL:
            raise ArgumentError(
                f"classes has {_short(label)}, expected names of at most {MAX_LABEL} characters"
            )
        try:
            label.encode()
        except UnicodeEncodeError as error:
            raise ArgumentError(f"classes has {_short(label)}, which is not Unicode") from error
    return tuple(value)


def _short(value: object) -> str:
    text = repr(value) if not isinstance(value, int) or abs(value) < 1 << 64 else "a huge number"
    return text if len(text) <= 40 else f"{text[:40]}..."
