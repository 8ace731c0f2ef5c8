"""From a network and the videos of a split to predictions, and from predictions to scores.

A causal network runs frame by frame in a `Session`, as a user has it; an AVISM looks at the whole
video. Predictions have the form that `streamavis eval` and the public evaluator read.
T frames, K classes.
"""

from __future__ import annotations

import json
import tempfile
from collections import Counter, defaultdict
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch

from streamavis import metrics
from streamavis.errors import InputError
from streamavis.model import AVISM
from streamavis.model.segmentation import segment
from streamavis.session import Session
from streamavis.types import SAMPLE_RATE, AudioChunk, VideoFrame
from streamavis_training.split import ClassMap, match_classes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from streamavis.audio.vggish import VGGish
    from streamavis.runtime.step import StepModel
    from streamavis.runtime.tracks import TrackConfig
    from streamavis.types import FrameResult, Track
    from streamavis_training.split import Clip, Split

__all__ = [
    "Objects",
    "Settings",
    "entries_of",
    "evaluate_folder",
    "feature_rows",
    "predict_video",
    "score",
    "watch_clip",
]

Objects = Literal["sounding", "visible"]


@dataclass(frozen=True)
class Settings:
    """How predictions are made."""

    objects: Objects = "sounding"  # in which frames an object's mask is given
    threshold: float = 0.3  # of an AVISM's objects; a causal network has its own, on tracks
    no_audio: bool = False  # the network is given no sound: absent, or rows of zeros
    tracks: TrackConfig | None = None  # of a causal network; None: as it was made for


def predict_video(
    network: StepModel | AVISM,
    clip: Clip,
    classes: ClassMap,
    *,
    settings: Settings | None = None,
    vggish: VGGish | None = None,
    progress: Callable[[str, int], None] = lambda stage, frames: None,
) -> list[dict[str, Any]]:
    """Predict the objects of one video.

    Args:
        network: in evaluation mode. An `AVISM` segments the video as a whole.
        clip: pictures and sound.
        classes: of the network, as the data set's categories; what it lacks is left out.
        settings: see there.
        vggish: what an AVISM hears with, where the clip has no ready features.
        progress: told the stage and the frames it has done.

    Returns:
        One entry an object: `video_id`, `category_id`, `score`, and `segmentations`, which hold
        COCO run lengths or None for each of the T frames.

    Raises:
        InputError: a picture or the sound cannot be read, or an AVISM has nothing to hear with.
        ModelOutputError: the network gave NaN or infinity.
    """
    settings = settings or Settings()
    if isinstance(network, AVISM):
        return _segmented(network, clip, classes, settings, vggish, progress)
    results = []
    for result in watch_clip(network, clip, no_audio=settings.no_audio, tracks=settings.tracks):
        results.append(result)
        progress("watching", len(results))
    return entries_of(clip, results, classes, settings.objects)


def entries_of(
    clip: Clip, results: Sequence[FrameResult], classes: ClassMap, objects: Objects = "sounding"
) -> list[dict[str, Any]]:
    """Results of a clip's frames as `predict_video` returns them."""
    tracks: dict[tuple[int, int], dict[int, Track]] = defaultdict(dict)
    for frame, result in enumerate(results):
        for track in result.tracks:
            if objects == "visible" or track.is_sounding:
                tracks[result.epoch, track.id][frame] = track
    entries = (_entry(clip, seen, classes) for seen in tracks.values())
    return [entry for entry in entries if entry is not None]


def watch_clip(
    model: StepModel,
    clip: Clip,
    *,
    waveform: NDArray[np.float32] | None = None,
    no_audio: bool = False,
    tracks: TrackConfig | None = None,
) -> Iterator[FrameResult]:
    """Run a clip through a session of its own, sound up to each frame's time first.

    Args:
        model: in evaluation mode.
        clip: its pictures are read one by one.
        waveform: (samples,) to hear in place of the clip's own, from stream time 0.
        no_audio: there is no microphone.
        tracks: None: with the scores that the model was made for.
    """
    has_audio = (clip.wav is not None or waveform is not None) and not no_audio
    session = Session(
        model,
        stream=clip.name,
        has_audio=has_audio,
        frame_period_s=1.0 / clip.rate,
        tracks=tracks,
    )
    if waveform is None:
        waveform = clip.waveform() if has_audio else np.zeros(0, np.float32)
    heard = 0
    for index, (picture, time_ns) in enumerate(zip(clip.pictures(), clip.times_ns, strict=True)):
        until = min(-(-int(time_ns) * SAMPLE_RATE // 1_000_000_000), len(waveform))
        if until > heard:
            start_ns = heard * 1_000_000_000 // SAMPLE_RATE
            session.hear(AudioChunk(waveform[heard:until], start_ns))
            heard = until
        yield session.see(VideoFrame(picture, int(time_ns), index, "pts"))


def feature_rows(
    clip: Clip,
    channels: int,
    vggish: VGGish | None,
    *,
    no_audio: bool = False,
    device: torch.device | None = None,
) -> torch.Tensor:
    """(T, A) that an AVISM hears of a clip; zeros where the clip has no sound.

    Ready features in the data set come before what `vggish`, which is on `device`, would compute.

    Raises:
        InputError: the file holds something else, or there is sound and nothing to hear it with.
    """
    count = len(clip.frames)
    if no_audio or (clip.features is None and clip.wav is None):
        return torch.zeros(count, channels)
    if clip.features is None:
        if vggish is None:
            raise InputError(
                f"video {clip.name!r}: the model holds no VGGish to hear with and the data set no "
                "ready features; give VGGish's published weights"
            )
        with torch.inference_mode():
            waveform = torch.from_numpy(clip.waveform()).to(device)
            return vggish.per_second(waveform, count, clip.rate)
    try:
        rows = np.load(clip.features, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise InputError(f"{clip.features}: is no .npy file of numbers: {error}") from error
    if rows.ndim != 2 or rows.shape[1] != channels or rows.dtype.kind not in "fiu":
        raise InputError(
            f"{clip.features}: holds {rows.dtype} {rows.shape}, expected numbers "
            f"({count}, {channels})"
        )
    padded = np.zeros((count, channels), np.float32)  # a row more or less than frames is usual
    padded[: len(rows)] = rows[:count]
    return torch.from_numpy(padded)


def score(
    split: Split, results: Sequence[dict[str, Any]], videos: Sequence[int] | None = None
) -> dict[str, dict[str, float]]:
    """Score predictions under both protocols.

    The official numbers are given also where the public evaluator could not read our layout: as if
    the truth were written in its form, `null` where an object is silent. They are left out where
    the evaluator would abort for another reason.

    Args:
        split: what was predicted; its file holds the truth.
        results: of `predict_video`, of any number of videos.
        videos: ids of those to score; None: all.

    Returns:
        Protocol -> name of `metrics.SUMMARY` -> percent; NaN where there is nothing to score.

    Raises:
        InputError: the file's annotations are not a ground truth.
    """
    truth = metrics.read_truth(split.source)
    kept = [one for one in truth.videos if videos is None or one.id in set(videos)]
    truth = replace(truth, videos=kept, unreadable=None)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "results.json"
        path.write_text(json.dumps(list(results)))
        found = metrics.evaluate(truth, metrics.read_predictions(path, truth))
    both = {"official": found.official, "corrected": found.corrected}
    return {name: dict(one.summary) for name, one in both.items() if one is not None}


def evaluate_folder(
    network: StepModel | AVISM,
    split: Split,
    *,
    limit: int | None = None,
    settings: Settings | None = None,
    vggish: VGGish | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, dict[str, float]]:
    """Predict the first `limit` videos of a split and score them; see `score`.

    Args:
        network: in evaluation mode.
        split: of `read_split`.
        limit: None: all videos.
        settings, vggish: as `predict_video`.
        progress: told the videos done, and of how many.
    """
    classes = match_classes(_classes(network), split.categories)
    clips = split.clips[:limit]
    results: list[dict[str, Any]] = []
    for done, clip in enumerate(clips, 1):
        results += predict_video(network, clip, classes, settings=settings, vggish=vggish)
        progress(done, len(clips))
    return score(split, results, [clip.id for clip in clips])


def _classes(network: StepModel | AVISM) -> tuple[str, ...]:
    return network.config.classes


def _entry(clip: Clip, seen: dict[int, Track], classes: ClassMap) -> dict[str, Any] | None:
    """One track, under the class it had most; None where the data set lacks that class."""
    weight: Counter[int] = Counter()
    for track in seen.values():
        weight[track.class_id] += track.score  # type: ignore[assignment]
    category = classes.ids[weight.most_common(1)[0][0]]
    if category is None:
        return None
    masks: list[dict[str, Any] | None] = [None] * len(clip.frames)
    for frame, track in seen.items():
        if track.area:
            masks[frame] = {"size": list(track.rle.size), "counts": track.rle.counts}
    return {
        "video_id": clip.id,
        "category_id": category,
        "score": float(np.mean([track.score for track in seen.values()])),
        "segmentations": masks,
    }


def _own_rows(network: AVISM, clip: Clip, *, no_audio: bool) -> torch.Tensor:
    """(T, A) from the network's own audio encoder; zeros where there is no sound."""
    device = next(network.parameters()).device
    if no_audio or clip.wav is None:
        return torch.zeros(len(clip.frames), network.config.audio_channels)
    ends_s = torch.from_numpy(clip.times_ns / 1e9)
    with torch.inference_mode():
        return network.hear_recording(torch.from_numpy(clip.waveform()).to(device), ends_s)


def _segmented(
    network: AVISM,
    clip: Clip,
    classes: ClassMap,
    settings: Settings,
    vggish: VGGish | None,
    progress: Callable[[str, int], None],
) -> list[dict[str, Any]]:
    if network.audio_encoder is None:
        channels = network.config.audio_channels
        rows = feature_rows(
            clip, channels, vggish, no_audio=settings.no_audio, device=network.device
        )
    else:
        rows = _own_rows(network, clip, no_audio=settings.no_audio)
    found = segment(network, clip.pictures(), rows, threshold=settings.threshold, progress=progress)
    entries = []
    for i in range(len(found)):
        category = classes.ids[int(found.labels[i])]
        if category is not None:
            # As the published code writes them: run lengths in every frame, also of empty masks.
            masks = [{"size": list(rle.size), "counts": rle.counts} for rle in found.rles[i]]
            entries.append(
                {
                    "video_id": clip.id,
                    "category_id": category,
                    "score": float(found.scores[i]),
                    "segmentations": masks,
                }
            )
    return entries
