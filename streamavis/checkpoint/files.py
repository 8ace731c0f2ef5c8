"""Our weights files: safetensors with the configuration inside. No pickle is ever read here."""

from __future__ import annotations

import dataclasses
import json
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from safetensors import SafetensorError, safe_open

from streamavis.checkpoint.configured import check_fit, parsed
from streamavis.checkpoint.folder import WEIGHTS, header_beside, weights_in, write_header
from streamavis.checkpoint.vggish import vggish_from_reference
from streamavis.checkpoint.writing import write_tensors
from streamavis.errors import CheckpointError, UnknownModelError
from streamavis.model.avism import AVISM, AVISMConfig
from streamavis.model.streamavis import StreamAVIS, StreamAVISConfig

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from streamavis.audio.vggish import VGGish

__all__ = [
    "configuration",
    "find",
    "kind_of",
    "load",
    "load_avism",
    "load_vggish",
    "metadata",
    "save",
    "shipped",
]

_KIND, _OFFLINE_KIND = "streamavis", "avism"
_VERSION = 1
_VGGISH = "vggish."  # before its weights, where it is kept beside an offline network
_WRITERS = (
    "a file that `streamavis train` or `streamavis convert --causal` wrote, or a shipped name"
)
_OFFLINE_WRITER = "a file that `streamavis convert` wrote without --causal"
Network = TypeVar("Network", StreamAVIS, AVISM)


def shipped() -> list[str]:
    """Names of the weights that come with the package."""
    folder = resources.files("streamavis") / "weights"
    if not folder.is_dir():
        return []
    return sorted(
        f.name.removesuffix(".safetensors")
        for f in folder.iterdir()
        if f.name.endswith(".safetensors")
    )


def find(name_or_path: str | Path) -> Path:
    """Path of the weights of a shipped name ("nano"), a weights file or a model's folder.

    Raises:
        CheckpointError: there is no such file, or the folder holds no model.
        UnknownModelError: it is neither a path nor a shipped name.
    """
    path = Path(name_or_path)
    if path.is_file():
        return path
    if str(name_or_path) in shipped():
        return Path(str(resources.files("streamavis") / "weights" / f"{name_or_path}.safetensors"))
    if path.is_dir():
        return weights_in(path)
    known = (
        "expected a .safetensors file, a folder with one, or a shipped name "
        f"({', '.join(shipped()) or 'none'})"
    )
    if path.suffix or path.parent != Path():
        raise CheckpointError(f"{name_or_path}: no such file; {known}")
    raise UnknownModelError(f"no model is called {str(name_or_path)!r}; {known}")


def save(
    model: StreamAVIS | AVISM,
    path: str | Path,
    notes: Mapping[str, str] | None = None,
    *,
    half: bool = True,
    vggish: VGGish | None = None,
) -> None:
    """Write weights and configuration to one safetensors file, or to a folder.

    Args:
        model: its weights and buffers are written.
        path: of the file, replaced if it exists; or of a folder that exists, which gets
            `model.safetensors` and `config.json`, as model hubs have them.
        notes: kept in the file's metadata beside the configuration (data, command, seed).
        half: store float16; it is loaded as float32 again.
        vggish: what an offline network hears with, kept beside it for `load_vggish`.

    Raises:
        CheckpointError: the file cannot be written.
    """
    state = dict(model.state_dict())
    if vggish is not None:
        state |= {_VGGISH + name: t for name, t in vggish.state_dict().items()}
    tensors = {
        name: (t.half() if half and t.is_floating_point() else t).contiguous().cpu()
        for name, t in state.items()
    }
    header = {
        "kind": _OFFLINE_KIND if isinstance(model, AVISM) else _KIND,
        "version": str(_VERSION),
        "config": json.dumps(dataclasses.asdict(model.config)),
        **(notes or {}),
    }
    path = Path(path)
    if path.is_dir():
        try:
            write_header(path, header)
        except OSError as error:
            raise CheckpointError(f"{path} cannot be written: {error}") from error
        path /= WEIGHTS
    write_tensors(tensors, path, header)


def metadata(name_or_path: str | Path) -> dict[str, str]:
    """The header of a causal network's weights file, checked.

    Raises:
        CheckpointError: not a safetensors file, of another kind, or of another version.
    """
    return _header(find(name_or_path), _KIND, _WRITERS)


def load(name_or_path: str | Path, *, ready_features: bool = False) -> StreamAVIS:
    """Load a causal network, ready for inference (float32, eval mode).

    Args:
        name_or_path: a shipped name or a file.
        ready_features: also take a network that hears through VGGish and lacks its weights: it
            is given VGGish's features in place of sound.

    Raises:
        CheckpointError: the file is missing, of another kind or version, cannot hear, or does not
            fit its own configuration; the message names the first wrong weight.
    """
    path = find(name_or_path)
    config = configuration(path)
    if config.audio == "vggish" and config.vggish == "absent" and not ready_features:
        raise CheckpointError(
            f"{path} hears through VGGish, whose weights it does not hold; "
            "convert it again with `streamavis convert ... --causal --vggish FILE`"
        )
    return _filled(lambda: StreamAVIS(config), path)


def configuration(name_or_path: str | Path) -> StreamAVISConfig:
    """Shape and memory of a causal network, without its weights.

    Raises:
        CheckpointError: the file is missing, of another kind or version, or not readable.
    """
    path = find(name_or_path)
    header = metadata(path)
    try:
        return parsed(StreamAVISConfig, header)
    except ValueError as error:
        raise CheckpointError(f"{path} has no readable configuration: {error}") from error


def load_avism(name_or_path: str | Path) -> AVISM:
    """Load an offline network, ready for inference (float32, eval mode).

    Raises:
        CheckpointError: as `load`.
    """
    path = find(name_or_path)
    header = _header(path, _OFFLINE_KIND, _OFFLINE_WRITER)
    try:
        config = parsed(AVISMConfig, header)
    except ValueError as error:
        raise CheckpointError(f"{path} has no readable configuration: {error}") from error
    return _filled(lambda: AVISM(config), path)


def load_vggish(name_or_path: str | Path) -> VGGish | None:
    """Load the VGGish that is kept beside an offline network; None where there is none.

    Raises:
        CheckpointError: as `load`.
    """
    path = find(name_or_path)
    _header(path, _OFFLINE_KIND, _OFFLINE_WRITER)
    with safe_open(str(path), "pt") as file:
        names = [name for name in file.keys() if name.startswith(_VGGISH)]  # noqa: SIM118
        state = {name.removeprefix(_VGGISH): file.get_tensor(name).float() for name in names}
    return vggish_from_reference(state) if state else None


def kind_of(path: Path) -> str | None:
    """Which network a weights file holds: "streamavis", "avism"; None: it does not say.

    Raises:
        CheckpointError: not a safetensors file.
    """
    return _read_header(path).get("kind")


def _read_header(path: Path) -> dict[str, str]:
    try:
        with safe_open(str(path), "pt") as file:
            header = file.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path} is not a safetensors file: {error}") from error
    return header if "kind" in header else header | header_beside(path)


def _header(path: Path, kind: str, cure: str) -> dict[str, str]:
    header = _read_header(path)
    found = header.get("kind")
    if found != kind:
        raise CheckpointError(
            f"{path} holds weights of kind {found or 'unknown'!r}, expected {kind!r}; choose {cure}"
        )
    if header.get("version") != str(_VERSION):
        raise CheckpointError(
            f"{path} has version {header.get('version')!r}, this StreamAVIS reads {_VERSION}; "
            "install the StreamAVIS that wrote it, or convert the file with it"
        )
    return header


def _filled(make: Callable[[], Network], path: Path) -> Network:
    check_fit(path, make, _VGGISH)
    model = make()
    with safe_open(str(path), "pt") as file:
        names = [name for name in file.keys() if not name.startswith(_VGGISH)]  # noqa: SIM118
        model.load_state_dict({name: file.get_tensor(name) for name in names})
    return model.eval().requires_grad_(False)
