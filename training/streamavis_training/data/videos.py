"""Clips of the videos of AVISeg, YouTube-VIS, OVIS and our own layout. T frames, N objects."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

import numpy as np

from streamavis.errors import InputError
from streamavis_training.data import media
from streamavis_training.data.classes import ClassMap
from streamavis_training.data.layout import read_place
from streamavis_training.data.sample import ClipShape, Sample
from streamavis_training.data.view import View, cover

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from streamavis_training.data.layout import Instance, Video
    from streamavis_training.data.places import Place

__all__ = ["VideoSource", "clip_of", "frames_of", "labelled"]

_NS = 1_000_000_000
_BEFORE_S = 2  # of sound before the first frame: a window and the latest delay
ZOOM = (1.0, 1.3)


class VideoSource:
    """Draws clips of consecutive frames, cut to the network's shape.

    Frames are about one of the shape's rates apart where the video has more than one a second. A
    silent video that is too short is played to and fro.
    """

    def __init__(
        self,
        videos: Sequence[Video],
        labels: Sequence[str],
        classes: tuple[str, ...],
        *,
        aliases: Mapping[str, str] | None = None,
        zoom: tuple[float, float] = ZOOM,
    ) -> None:
        """Take the videos of which something is known.

        Args:
            videos, labels: as `layout.read_place` gives them.
            classes: of the task; objects of other classes become ignored area.
            aliases: label -> class, beside the usual synonyms.
            zoom: how much smaller than the largest possible a clip's part of the picture is.

        Raises:
            InputError: no video has an annotation, or no label is a class of the task.
        """
        self._map = ClassMap(labels, classes, aliases)
        self._classes = classes
        self._videos = labelled(videos)
        self._zoom = zoom
        if not self._videos:
            raise InputError("none of the videos has an annotation; train on another split")

    @classmethod
    def read(
        cls, place: Place, classes: tuple[str, ...], *, aliases: Mapping[str, str] | None = None
    ) -> Self:
        """Read a split that `places.find` found.

        Raises:
            InputError: it is not as its layout says, or nothing in it can be learned from.
        """
        if place.file.annotations is None:
            raise InputError(
                f"{place.annotations}: has no annotations (a test set?); train on another split"
            )
        labels, videos = read_place(place)
        try:
            return cls(videos, labels, classes, aliases=aliases)
        except InputError as error:
            raise InputError(f"{place.annotations}: {error}") from error

    @property
    def classes(self) -> tuple[str, ...]:
        return self._classes

    def draw(self, shape: ClipShape, rng: np.random.Generator) -> Sample:
        """Draw a clip; each video is as likely as any that is long enough.

        Raises:
            InputError: a file does not decode, or no video with sound has `shape.frames` frames.
        """
        enough = [v for v in self._videos if v.wav is None or len(v.frames) >= shape.frames]
        if not enough:
            longest = max(len(v.frames) for v in self._videos)
            raise InputError(
                f"clips of {shape.frames} frames are wanted, but the longest video has {longest};"
                " use shorter clips"
            )
        video = enough[int(rng.integers(len(enough)))]
        frames, times_ns = _timeline(video, shape, rng)
        view = cover((video.height, video.width), (shape.height, shape.width), self._zoom, rng)
        views = [view] * len(frames)
        return clip_of(video, frames, times_ns, views, self._map, len(self._classes))


def labelled(videos: Sequence[Video]) -> list[Video]:
    """Videos of which something is known: annotated objects, or that nothing is unlabelled."""
    return [v for v in videos if v.instances or v.off_screen is not None]


def frames_of(video: Video) -> Iterator[tuple[NDArray[np.uint8], int]]:
    """Each whole picture (H, W, 3) RGB of a video with its time in ns, for evaluation.

    Raises:
        InputError: a picture does not decode or has another size than the annotations say.
    """
    for path, time_ns in zip(video.frames, video.times_ns.tolist(), strict=True):
        yield media.picture(path, (video.height, video.width)), time_ns


def clip_of(
    video: Video,
    frames: NDArray[np.int64],
    times_ns: NDArray[np.int64],
    views: Sequence[View],
    classes: ClassMap,
    count: int,
    *,
    sound: bool = True,
) -> Sample:
    """Some frames of a video and what is known of them.

    Args:
        video: to cut from.
        frames: (T,) which.
        times_ns: (T,) when each is; the video's own sound is on the same clock.
        views: (T) the part of each frame, all of one size.
        classes: of the task.
        count: K, how many there are.
        sound: False leaves it undecoded, for those who have its features.

    Raises:
        InputError: a file does not decode or an annotation is malformed.
    """
    size = (video.height, video.width)
    pictures = [v.of_file(video.frames[i], size) for v, i in zip(views, frames, strict=True)]
    kept = [o for o in video.instances if not o.crowd and classes.of(o.class_id) is not None]
    others = [o for o in video.instances if o not in kept]
    steps, shown = len(frames), views[0].size
    masks = np.zeros((steps, len(kept), *shown), np.uint8)
    visible = np.zeros((steps, len(kept)), np.float32)
    sounding = np.zeros_like(visible)
    for n, instance in enumerate(kept):
        visible[:, n], sounding[:, n] = _states(instance, frames)
        for t in np.flatnonzero(visible[:, n] == 1).tolist():
            masks[t, n] = _shown(video, instance, frames[t], views[t])
            if not masks[t, n].any():  # out of the view
                visible[t, n] = sounding[t, n] = 0
    waveform, start_ns = None, 0
    if sound and video.wav is not None:
        first, last = int(times_ns[0]), int(times_ns[-1])
        waveform, start_ns = media.sound(video.wav, first // _NS - _BEFORE_S, last / _NS)
    return Sample(
        name=f"video {video.name}, frames {frames[0]} to {frames[-1]}",
        frames=np.stack(pictures),
        times_ns=times_ns,
        waveform=waveform,
        waveform_start_ns=start_ns,
        masks=masks,
        class_ids=np.array([classes.of(o.class_id) for o in kept], np.int64),
        visible=visible,
        sounding=sounding,
        level=np.full_like(visible, np.nan),
        heard=_heard(video, frames, classes, count),
        ignore=_ignore(video, frames, views, masks, others),
    )


def _timeline(
    video: Video, shape: ClipShape, rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Which frames of a video a clip has, and when they are."""
    length, wanted = len(video.frames), shape.frames
    stride = max(round(video.fps / float(rng.choice(shape.rates))), 1)
    if wanted > 1:
        stride = max(min(stride, (length - 1) // (wanted - 1)), 1)
    reach = (wanted - 1) * stride
    steps = np.arange(wanted) * stride
    if reach < length:
        frames = int(rng.integers(length - reach)) + steps
        return frames, video.times_ns[frames]
    # To and fro: 0 1 2 1 0 1 ...
    period = max(2 * (length - 1), 1)
    place = (int(rng.integers(period)) + steps) % period
    frames = np.minimum(place, period - place) if length > 1 else np.zeros_like(place)
    return frames, np.round(steps / video.fps * _NS).astype(np.int64)


def _states(
    instance: Instance, frames: NDArray[np.int64]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Visible and sounding (T,): 1, 0, or NaN where it is not known."""
    has_mask = np.array([instance.segmentations[i] is not None for i in frames])
    if instance.visible is None:
        visible = np.where(has_mask, 1, np.nan)
    else:
        visible = np.where(instance.visible[frames], np.where(has_mask, 1, np.nan), 0)
    if instance.sounding is None:
        return visible, np.full(len(frames), np.nan)
    return visible, instance.sounding[frames].astype(np.float32)


def _shown(video: Video, instance: Instance, frame: int, view: View) -> NDArray[np.uint8]:
    try:
        return view.of_mask(instance.mask(frame).view(np.uint8))
    except InputError as error:
        raise InputError(f"video {video.name}, {error}") from error


def _heard(
    video: Video, frames: NDArray[np.int64], classes: ClassMap, count: int
) -> NDArray[np.float32]:
    """(T, K): exact where sounds from out of view are known, else only what is seen to sound."""
    if video.wav is None:
        return np.full((len(frames), count), np.nan, np.float32)
    known = video.off_screen is not None
    heard = np.full((len(frames), count), 0.0 if known else np.nan, np.float32)
    for instance in video.instances:
        class_id = classes.of(instance.class_id)
        if class_id is not None and instance.sounding is not None:
            heard[instance.sounding[frames], class_id] = 1
    if video.off_screen is not None:
        for label in range(video.off_screen.shape[1]):
            class_id = classes.of(label)
            if class_id is not None:
                heard[video.off_screen[frames, label], class_id] = 1
    return heard


def _ignore(
    video: Video,
    frames: NDArray[np.int64],
    views: Sequence[View],
    masks: NDArray[np.uint8],
    others: Sequence[Instance],
) -> NDArray[np.bool_] | None:
    """(T, H, W): everywhere but in masks where silent objects are unlabelled, else `others`."""
    if video.wav is not None and video.off_screen is None:
        exact = video.instances and all(o.visible is not None for o in video.instances)
        if not exact:
            return np.asarray(~(masks > 0).any(1))
    if not others:
        return None
    ignore = np.zeros((len(frames), *masks.shape[2:]), bool)
    for instance in others:
        for t, frame in enumerate(frames):
            ignore[t] |= _shown(video, instance, frame, views[t]) > 0
    return ignore & ~(masks > 0).any(1)
