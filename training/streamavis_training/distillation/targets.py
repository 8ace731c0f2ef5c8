"""Outputs of a teacher for one clip, and their files.

T frames, N objects of the clip, M of them found, C channels, K classes, h4 w4 cells of the frame
without its padding.
"""

from __future__ import annotations

import hashlib
import os
import zipfile
import zlib
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from streamavis.errors import InputError, OutputError, ShapeError
from streamavis.model.heads import class_sounding
from streamavis_training.avism_training import vggish_features
from streamavis_training.data.sample import CELL, collate
from streamavis_training.matcher import match

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import Tensor

    from streamavis.audio.vggish import VGGish
    from streamavis.model.avism import AVISM
    from streamavis_training.batch import Batch
    from streamavis_training.data.sample import Sample

__all__ = ["TargetFiles", "TeacherTargets", "checksum", "file_key", "observe"]

_MOST_OBJECTS = 64  # of a clip, that the teacher is matched with
_FRAMES_AT_ONCE = 4


@dataclass
class TeacherTargets:
    """Outputs of a teacher for one clip. Floats are float16."""

    objects: NDArray[np.int64]  # (M,) rows of the sample's objects that it was matched with
    overlap: NDArray[np.float16]  # (M,) mean IoU of its mask and the truth's where they sound
    class_logits: NDArray[np.float16]  # (M, K+1)
    queries: NDArray[np.float16]  # (M, C)
    mask_logits: NDArray[np.float16]  # (T, M, h4, w4)
    sounding: NDArray[np.float16]  # (T, M) class score where the mask is not empty, else 0
    content: NDArray[np.int64]  # () checksum of the clip it is of


@torch.inference_mode()
def observe(teacher: AVISM, vggish: VGGish | None, sample: Sample) -> TeacherTargets:
    """Run the teacher over a whole clip and match it with the truth.

    Args:
        teacher: in evaluation mode; sees the clip's frames at their size.
        vggish: for its audio features, if it has no audio encoder and the clip no features.
        sample: at least one frame.

    Raises:
        ShapeError: the teacher has nothing to hear with.
    """
    device = teacher.class_embed.weight.device
    objects = min(max(len(sample.class_ids), 1), _MOST_OBJECTS)
    batch = collate([sample], objects=objects)
    audio = _heard(teacher, vggish, batch).to(device)
    queries, maps = [], []
    for part in torch.arange(len(sample.frames)).split(_FRAMES_AT_ONCE):
        features, found = teacher.locate(batch.frames[0, part].to(device), audio[part])
        queries.append(teacher.localizer.norm(found.queries[-1]))
        maps.append(teacher.video_mask_features(features.stride4))
    video = teacher.track(torch.cat(queries)[None], audio[None])[0]  # (V, C)
    said = teacher.read(video)
    masks = torch.einsum("vc,tchw->tvhw", said.mask_embed, torch.cat(maps))
    # A teacher detects sounding objects: its mask is empty elsewhere and carries no information.
    truth = batch.truth
    truth.visible = torch.where(truth.sounding == 0, 0.0, truth.visible)
    per_frame = said.class_logits.expand(1, len(masks), -1, -1)
    pairs = match(per_frame.cpu(), masks[None].cpu(), truth)
    mine = masks[:, pairs.query].cpu()
    per_frame = per_frame[:, :, pairs.query].cpu()
    sounding = class_sounding(per_frame, mine[None])[0].sigmoid()
    shown = (mine > 0).flatten(2).any(2)
    seen = truth.seen[0][:, pairs.object]
    height, width = (-(-side // CELL) for side in sample.frames.shape[1:3])
    return TeacherTargets(
        objects=_kept_rows(sample, objects)[pairs.object.numpy()],
        overlap=_half(_overlap(mine, truth.masks[0][:, pairs.object], seen)),
        class_logits=_half(said.class_logits[pairs.query]),
        queries=_half(video[pairs.query]),
        mask_logits=_half(mine[..., :height, :width]),
        sounding=_half(torch.where(shown, sounding, 0.0)),
        content=np.array(checksum(sample)),
    )


def _heard(teacher: AVISM, vggish: VGGish | None, batch: Batch) -> Tensor:
    """(T, A)"""
    if teacher.audio_encoder is not None:
        return teacher.hear(batch.audio[0], batch.times_s[0])
    if batch.audio.shape[-1] == teacher.config.audio_channels:
        return batch.audio[0]
    if vggish is None and batch.audio.any():
        raise ShapeError(
            "the teacher needs VGGish features, but its file holds no VGGish weights and the data "
            "no ready features; convert it again with `streamavis convert ... --vggish FILE`"
        )
    if vggish is None:
        return torch.zeros(batch.audio.shape[1], teacher.config.audio_channels)
    return vggish_features(vggish, batch.audio)[0]


def _kept_rows(sample: Sample, objects: int) -> NDArray[np.int64]:
    """Rows of the sample that `collate` keeps: all, but of very many the largest."""
    area = (sample.masks.sum((2, 3)) * (sample.visible == 1)).sum(0)
    return np.sort(np.argsort(-area, kind="stable")[:objects])


def _overlap(logits: Tensor, masks: Tensor, seen: Tensor) -> Tensor:
    """(T, M, H, W), (T, M, H, W), (T, M) -> (M,) mean IoU over the frames seen."""
    found = (logits > 0).float()
    both = torch.minimum(found, masks).sum((2, 3))
    either = torch.maximum(found, masks).sum((2, 3)).clamp_min(1e-6)
    return (both / either * seen).sum(0) / seen.sum(0).clamp_min(1)


def checksum(sample: Sample) -> int:
    """Of pictures, sound and truth: identifies the clip that the targets belong to."""
    parts = (sample.frames, sample.times_ns, sample.waveform, sample.class_ids, sample.masks)
    value = 0
    for part in parts:
        if part is not None:
            value = zlib.crc32(np.ascontiguousarray(part).data, value)
    return value


class TargetFiles:
    """A folder of targets, one file a clip."""

    def __init__(self, folder: Path) -> None:
        """Name the folder; it is created when the first file is written."""
        self.folder = folder

    def has(self, index: int) -> bool:
        """Whether the clip's targets are there."""
        return self._path(index).is_file()

    def write(self, index: int, targets: TeacherTargets) -> None:
        """Keep a clip's targets, whole or not at all.

        Raises:
            OutputError: the file cannot be written.
        """
        path = self._path(index)
        part = path.with_suffix(f".{os.getpid()}.part")
        arrays = {f.name: getattr(targets, f.name) for f in fields(targets)}
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with part.open("wb") as file:
                np.savez_compressed(file, **arrays)
            part.replace(path)
        except OSError as error:
            raise OutputError(f"{path} cannot be written: {error.strerror}") from error

    def read(self, index: int, sample: Sample) -> TeacherTargets:
        """The targets of a clip.

        Args:
            index: of the clip; sample: the clip as it is now.

        Raises:
            InputError: the file cannot be read, or is of another clip.
        """
        path = self._path(index)
        try:
            with np.load(path, allow_pickle=False) as file:
                arrays: dict[str, Any] = {name: file[name] for name in file.files}
            targets = TeacherTargets(**arrays)
        except (OSError, ValueError, TypeError, zipfile.BadZipFile) as error:
            raise InputError(
                f"{path} cannot be read as a teacher's outputs ({error}); remove it and start "
                "again, which computes it anew"
            ) from error
        if int(targets.content) != checksum(sample):
            raise InputError(
                f"{path} is of another clip than {sample.name} is now: the data set has changed "
                f"since; remove {self.folder} and start again, which computes it anew"
            )
        return targets

    def _path(self, index: int) -> Path:
        return self.folder / f"{index:06d}.npz"


def file_key(path: Path, *settings: object) -> str:
    """A name for what follows from a file's content and some settings.

    Raises:
        InputError: the file cannot be read.
    """
    key = hashlib.blake2b(digest_size=8)
    try:
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                key.update(block)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error
    key.update(repr(settings).encode())
    return key.hexdigest()


def _half(x: Tensor) -> NDArray[np.float16]:
    return x.half().cpu().numpy()
