"""VGGish's features of a data set, computed once and kept on disk.

    DIR/FEATAudios/VIDEO.npy    as AVISeg publishes them, (T, 128), taken as they are
    CACHE/KEY.npy               ours; KEY is made of the recording's bytes, the weights, T and fps

Row i is of the second that begins at frame i.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from streamavis.audio.vggish import FEATURES
from streamavis.errors import InputError, OutputError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from streamavis.audio.vggish import VGGish

__all__ = ["PUBLISHED", "FeatureCache", "Recording", "read_features"]

PUBLISHED = "FEATAudios"  # beside WAVAudios


@dataclass(frozen=True)
class Recording:
    """The sound of one video."""

    wav: Path  # DIR/WAVAudios/VIDEO.wav
    rows: int  # frames of the video
    fps: float = 1.0


class FeatureCache:
    """Where the features of recordings are, and what computes those that are missing."""

    def __init__(
        self,
        folder: Path,
        vggish: VGGish | None,
        waveform: Callable[[Path], NDArray[np.float32]],
    ) -> None:
        """Name the folder; nothing is computed yet.

        Args:
            folder: of our own files; created when the first is written.
            vggish: None: only published features can be used.
            waveform: decodes a file to (samples,) 16 kHz mono in [-1, 1].
        """
        self._folder, self._vggish, self._waveform = folder, vggish, waveform
        self._weights = b"" if vggish is None else _digest_of(vggish)

    def path(self, recording: Recording) -> Path:
        """The file of a recording's features; published ones come before ours.

        Raises:
            InputError: the recording cannot be read.
        """
        published = recording.wav.parent.with_name(PUBLISHED) / f"{recording.wav.stem}.npy"
        if published.is_file():
            return published
        try:
            content = recording.wav.read_bytes()
        except OSError as error:
            raise InputError(f"{recording.wav} cannot be read: {error.strerror}") from error
        settings = f"{recording.rows} {recording.fps}".encode()
        key = hashlib.blake2b(content + self._weights + settings, digest_size=16)
        return self._folder / f"{key.hexdigest()}.npy"

    def fill(
        self,
        recordings: Sequence[Recording],
        progress: Callable[[int, int], None] = lambda done, total: None,
    ) -> list[Path]:
        """Compute what is missing; what an earlier call computed is kept.

        Args:
            recordings: of the data set.
            progress: called with the recordings done, and of how many.

        Returns:
            the file of each recording.

        Raises:
            InputError: a recording cannot be read, or features are missing and there is no VGGish.
            OutputError: the cache cannot be written.
        """
        paths = []
        for done, recording in enumerate(recordings, 1):
            path = self.path(recording)
            if not path.is_file():
                _write(path, self._features(recording))
            paths.append(path)
            progress(done, len(recordings))
        return paths

    @torch.inference_mode()
    def _features(self, recording: Recording) -> NDArray[np.float32]:
        if self._vggish is None:
            raise InputError(
                f"{recording.wav} has no features in {PUBLISHED} and there are no VGGish weights "
                "to compute them with; give VGGish's published weights, or train the recipe "
                "`light`, which has an audio encoder of its own"
            )
        waveform = torch.from_numpy(self._waveform(recording.wav))
        return self._vggish.per_second(waveform, recording.rows, recording.fps).numpy()


def read_features(path: Path, rows: Sequence[int] | NDArray[np.int64]) -> NDArray[np.float32]:
    """Some rows of a file of features; a row beyond its end is zeros.

    AVISeg's files differ from the number of frames by a row now and then.

    Args:
        path: of `FeatureCache.fill`; rows: n indices, 0 or more.

    Returns:
        (n, 128)

    Raises:
        InputError: the file holds something else.
    """
    try:
        stored = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise InputError(f"{path} is no .npy file of numbers: {error}") from error
    if stored.ndim != 2 or stored.shape[1] != FEATURES or stored.dtype.kind not in "fiu":
        raise InputError(
            f"{path} holds {stored.dtype} {stored.shape}, expected numbers (T, {FEATURES})"
        )
    wanted = np.asarray(rows)
    features = np.zeros((len(wanted), FEATURES), np.float32)
    known = wanted < len(stored)
    features[known] = stored[wanted[known]]
    return features


def _write(path: Path, features: NDArray[np.float32]) -> None:
    part = path.with_suffix(f".{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with part.open("wb") as file:
            np.save(file, features)
        part.replace(path)
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error.strerror}") from error


def _digest_of(network: torch.nn.Module) -> bytes:
    key = hashlib.blake2b(digest_size=16)
    for name, value in sorted(network.state_dict().items()):
        key.update(name.encode())
        key.update(value.detach().cpu().contiguous().numpy().tobytes())
    return key.digest()
