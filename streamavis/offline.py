"""The offline network on a recording: it sees the whole clip, then says what sounds when and where.

T frames, A audio channels, H W source pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from streamavis import checkpoint
from streamavis.device import Placement, place
from streamavis.errors import ArgumentError, InputError
from streamavis.io.container import BEST, Tracks
from streamavis.io.locate import locate
from streamavis.io.media import MediaSource
from streamavis.io.pictures import fitted
from streamavis.io.sampled import frames_at, listen
from streamavis.masks import decode
from streamavis.model import segmentation
from streamavis.types import SAMPLE_RATE, WINDOW_SAMPLES, FrameResult, Track

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from streamavis.audio.vggish import VGGish
    from streamavis.errors import TruncatedInputError
    from streamavis.io.sampled import FirstPass
    from streamavis.model.avism import AVISM
    from streamavis.model.segmentation import Segments
    from streamavis.types import Rle

__all__ = ["ClipResult", "ClipTrack", "OfflineModel", "check_source", "load_offline", "segment"]

_NS = 1_000_000_000


@dataclass(frozen=True)
class OfflineModel:
    """An offline network ready to run, and what it hears with."""

    network: AVISM
    vggish: VGGish | None = None  # None: the network has an audio encoder, or hears nothing

    @property
    def classes(self) -> tuple[str, ...]:
        """Names by class id."""
        return self.network.config.classes


@dataclass(frozen=True)
class ClipTrack:
    """One sounding object of a recording."""

    id: int  # from 1, the best score first
    label: str
    class_id: int
    score: float  # 0..1
    sounding: NDArray[np.bool_]  # (T,), it has a mask in this frame, which says that it sounds
    rles: list[Rle]  # T, of source size; empty where it is silent or absent

    def mask(self, frame: int) -> NDArray[np.bool_]:
        """(H, W) bool in one frame, decoded on every call."""
        return decode(self.rles[frame])

    @property
    def masks(self) -> NDArray[np.bool_]:
        """(T, H, W) bool, decoded on every access."""
        return np.stack([decode(rle) for rle in self.rles])


@dataclass(frozen=True)
class ClipResult:
    """What sounds in a recording, when and where. Iterating over it gives a result per frame."""

    source: str  # as it was named
    size: tuple[int, int]  # H, W
    fps: float  # frames looked at per second
    times_s: NDArray[np.float64]  # (T,), seconds from the start of the recording
    tracks: list[ClipTrack]  # the best first
    has_audio: bool
    broke_off: TruncatedInputError | None = None  # the recording is damaged; this is its beginning

    def __len__(self) -> int:
        return len(self.times_s)

    def __iter__(self) -> Iterator[FrameResult]:
        return (self.frame(index) for index in range(len(self)))

    def __getitem__(self, label: str) -> list[ClipTrack]:
        """The tracks of one class; an empty list where there are none."""
        return [track for track in self.tracks if track.label == label]

    def frame(self, index: int) -> FrameResult:
        """One frame as the live network's results are: the tracks that sound in it.

        Raises:
            ArgumentError: there is no such frame.
        """
        if not 0 <= index < len(self):
            raise ArgumentError(f"frame {index} is asked for; expected 0 to {len(self) - 1}")
        return FrameResult(
            stream=Path(self.source).stem,
            epoch=0,
            seq=index,
            capture_time_ns=round(self.times_s[index] * _NS),
            size=self.size,
            audio="ok" if self.has_audio else "absent",
            audio_delay_s=0.0,
            video="ok",
            clock="pts",
            tracks=[_in_frame(track, index) for track in self.tracks if track.sounding[index]],
        )


def load_offline(
    path: str | Path,
    *,
    device: str | torch.device | Placement = "auto",
    dtype: str | torch.dtype = "auto",
    vggish: str | Path | None = None,
) -> OfflineModel:
    """Load an offline network and what it hears with.

    Args:
        path: a file or folder that `streamavis convert` wrote without --causal.
        device, dtype: as `streamavis.load`.
        vggish: published weights of VGGish; None: those in `path`, if it has any.

    Raises:
        CheckpointError: a file is missing, damaged, or of another kind or version.
        ArgumentError: the device cannot be used.
    """
    placement = place(device, dtype)
    network = checkpoint.load_avism(path)
    if vggish is not None:
        ear = checkpoint.vggish_from_reference(checkpoint.read_foreign(Path(vggish)))
    else:
        kept = checkpoint.load_vggish(path) if network.audio_encoder is None else None
        if kept is None:
            return OfflineModel(_placed(network, placement.device, placement.dtype))
        ear = kept
    moved = ear.to(placement.device)
    return OfflineModel(_placed(network, placement.device, placement.dtype), moved)


def check_source(source: str | Path) -> None:
    """Refuse what is no recording that can be read several times.

    Raises:
        InputError: there is no such file, or it is a pipe.
    """
    if locate(source).once:
        raise InputError(
            f"{source}: is a pipe, which can be read once, and segment reads its input three "
            "times; save it to a file first"
        )


def segment(
    source: str | Path,
    model: OfflineModel | AVISM | str | Path,
    *,
    fps: float = 1.0,
    threshold: float = 0.3,
    features: str | Path | NDArray[np.floating] | None = None,
    mute: bool = False,
    tracks: Tracks = BEST,
    progress: Callable[[str, int, int | None], None] = lambda stage, done, total: None,
) -> ClipResult:
    """Find what sounds in a recording, with the offline network.

        clip = streamavis.segment("band.mp4", "avism.safetensors")
        for track in clip.tracks:
            print(track.label, track.score, clip.times_s[track.sounding])

    Memory does not grow with the recording, but for its sound, queries and run-length masks.

    Args:
        source: a file, a folder or pattern of pictures; read three times.
        model: of `streamavis.load(..., offline=True)`; or a network, or its file.
        fps: frames looked at per second; 1 is what AVISM was trained on.
        threshold: keep objects that score above it.
        features: instead of hearing, ready audio features (T, A), an array or a .npy file.
        mute: instead of hearing, take the recording as silent.
        tracks: which of the file's pictures and sounds.
        progress: told the stage ("hearing", "seeing", "drawing"), the frames done, and of how many
            once that is known.

    Raises:
        InputError: the recording cannot be read, can be read once only, or nothing is there to
            hear it with.
        CheckpointError: as `streamavis.load`.
        ModelOutputError: the weights are damaged.
    """
    check_source(source)
    ready = _ready(model)
    with MediaSource(source, tracks=tracks) as media:
        info = media.info
        deaf = mute or features is not None or not info.has_audio
        if not deaf and ready.network.audio_encoder is None and ready.vggish is None:
            raise InputError(
                f"the model holds no VGGish to hear {Path(source).name} with; give its published "
                "weights as vggish= (--vggish FILE; `streamavis convert ... --vggish FILE` keeps "
                "them in the model), ready features as features= (--features), or take it as "
                "silent with mute= (--mute)"
            )
        first = listen(media, fps, lambda frames: progress("hearing", frames, None))
    total = first.frames
    progress("hearing", total, total)
    rows = _rows(ready, first, fps, features, deaf=deaf)
    with MediaSource(source, tracks=tracks) as media:
        # A picture may grow on the way; the network takes one size.
        pictures = (fitted(frame.image, info.height, info.width) for frame in frames_at(media, fps))
        found = segmentation.segment(
            ready.network,
            pictures,
            rows,
            threshold=threshold,
            progress=lambda stage, frames: progress(stage, frames, total),
        )
    return ClipResult(
        source=str(source),
        size=found.size,
        fps=fps,
        times_s=np.arange(total) / fps,
        tracks=_tracks(found, ready.classes),
        has_audio=info.has_audio,
        broke_off=first.truncated,
    )


def _ready(model: OfflineModel | AVISM | str | Path) -> OfflineModel:
    if isinstance(model, str | Path):
        return load_offline(model)
    return model if isinstance(model, OfflineModel) else OfflineModel(model)


def _placed(network: AVISM, device: torch.device, dtype: torch.dtype) -> AVISM:
    network = network.to(device)
    network.compute_dtype = dtype
    return network


def _rows(
    model: OfflineModel,
    first: FirstPass,
    fps: float,
    features: str | Path | NDArray[np.floating] | None,
    *,
    deaf: bool,
) -> torch.Tensor:
    """(T, A), a row of sound for each frame; zeros where there is nothing to hear."""
    network = model.network
    wanted = (first.frames, network.config.audio_channels)
    if features is not None:
        return _ready_features(features, wanted)
    if deaf:
        return torch.zeros(wanted)
    waveform = torch.from_numpy(first.waveform).to(network.device)
    with torch.inference_mode():
        if model.vggish is not None:
            return model.vggish.per_second(waveform, first.frames, fps)
        begins_s = torch.arange(first.frames, dtype=torch.float64) / fps
        return network.hear_recording(waveform, begins_s + WINDOW_SAMPLES / SAMPLE_RATE)


def _ready_features(
    features: str | Path | NDArray[np.floating], wanted: tuple[int, int]
) -> torch.Tensor:
    """Rows that were made elsewhere, a row for each frame.

    Raises:
        InputError: the file is no .npy file, or the array is not of `wanted` shape.
    """
    name = "features"
    rows = features
    if isinstance(rows, str | Path):
        name = str(rows)
        try:
            rows = np.load(rows, allow_pickle=False)
        except (OSError, ValueError) as error:
            raise InputError(f"{name}: is no .npy file of numbers: {error}") from error
    if rows.shape != wanted or rows.dtype.kind not in "fiu":
        raise InputError(
            f"{name}: holds {rows.dtype} {rows.shape}, expected numbers {wanted}: a row for each "
            "frame that is looked at"
        )
    return torch.from_numpy(rows.astype(np.float32))


def _tracks(found: Segments, classes: tuple[str, ...]) -> list[ClipTrack]:
    return [
        ClipTrack(
            id=i + 1,
            label=classes[int(found.labels[i])],
            class_id=int(found.labels[i]),
            score=float(found.scores[i]),
            sounding=np.array([decode(rle).any() for rle in found.rles[i]], np.bool_),
            rles=found.rles[i],
        )
        for i in range(len(found))
    ]


def _in_frame(track: ClipTrack, index: int) -> Track:
    mask = track.mask(index)
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    top, left = int(rows[0]), int(columns[0])
    size = (int(columns[-1]) - left + 1, int(rows[-1]) - top + 1)
    y, x = (float(axis.mean()) for axis in np.nonzero(mask))
    return Track(
        id=track.id,
        label=track.label,
        class_id=track.class_id,
        score=track.score,
        sounding=1.0,
        visible=None,
        box=(left, top, *size),
        centroid=(x, y),
        area=int(mask.sum()),
        rle=track.rles[index],
    )
