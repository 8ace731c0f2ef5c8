"""From a seed to pictures, sound and the truth about both."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from streamavis.types import SAMPLE_RATE
from streamavis_training.world import rhythm, sound
from streamavis_training.world.backdrop import MARGIN, backdrop
from streamavis_training.world.config import CLASSES, OffScreen, WorldClip, WorldConfig
from streamavis_training.world.paint import Shutter, paint
from streamavis_training.world.plan import plan
from streamavis_training.world.scene import ASPECT, Actor, Camera, Scene, generator

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Picture = NDArray[np.uint8]
    Affine = NDArray[np.float64]  # (2, 3)

__all__ = ["clip", "render"]

_MIN_VISIBLE = 0.0005  # of the picture; less of an object is not labelled


def clip(seed: int, config: WorldConfig | None = None) -> WorldClip:
    """Make one clip: an endless supply of labelled pictures with sound.

    The same seed gives the same bytes. At another size or frame rate it is the same scene.

    Args:
        seed: any non-negative integer; clips of different seeds have nothing in common.
        config: size, rate and odds; the default `WorldConfig()` when None.
    """
    config = config or WorldConfig()
    return render(plan(seed, config), config)


def render(scene: Scene, config: WorldConfig) -> WorldClip:
    """Render a planned scene at the size and rate of `config`."""
    times_s = config.lead_s + np.arange(config.num_frames) / config.fps
    times_ns = np.round(times_s * 1e9).astype(np.int64)
    hops = rhythm.hops_before(times_ns)
    num_objects = len(scene.actors)
    parts = [voice.part for voice in scene.voices]
    emitting = np.stack([rhythm.audible(part.amplitude, hops) for part in parts], 1)
    level = np.stack([_latest(part.level, hops, 0.0) for part in parts[:num_objects]], 1)
    side = np.stack([_latest(part.side, hops, 1.0) for part in parts[:num_objects]], 1)
    heard = np.zeros((len(times_ns), len(CLASSES)), bool)
    for voice, on in zip(scene.voices, emitting.T, strict=True):
        heard[:, voice.class_id] |= on
    frames, ids, visible = _film(scene, config, times_ns, level, side)
    return WorldClip(
        frames=frames,
        times_ns=times_ns,
        fps=config.fps,
        ids=ids,
        class_ids=np.array([actor.class_id for actor in scene.actors], np.int64),
        visible=visible,
        sounding=emitting[:, :num_objects] & visible,
        level=level,
        moves_silently=np.array([part.moves_silently for part in parts[:num_objects]]),
        waveform=_record(scene, config),
        heard=heard,
        off_screen=[
            OffScreen(voice.class_id, emitting[:, num_objects + i])
            for i, voice in enumerate(scene.voices[num_objects:])
        ],
    )


def _latest(values: NDArray[Any], hops: NDArray[np.int64], first: float) -> NDArray[np.float32]:
    """Value of the last complete hop at each frame, `first` where there is none."""
    return np.where(hops > 0, values[np.maximum(hops - 1, 0)], first).astype(np.float32)


def _record(scene: Scene, config: WorldConfig) -> NDArray[np.float32]:
    rng = generator(scene.seed, 13)
    samples = round(config.sound_s * SAMPLE_RATE)
    sources = [v for v in scene.voices if v.part.amplitude.any()]
    dry = [sound.voice(v.class_id, v.part, rng) for v in sources]
    gains = [v.gain_db for v in sources]
    return sound.mix(dry, gains, samples=samples, reverb=scene.reverb, rng=rng)


def _film(
    scene: Scene,
    config: WorldConfig,
    times_ns: NDArray[np.int64],
    level: NDArray[np.float32],
    side: NDArray[np.float32],
) -> tuple[Picture, Picture, NDArray[np.bool_]]:
    """Pictures (T, H, W, 3), ids (T, H, W) and who is in view (T, N)."""
    height, width = config.height, config.width
    unit = 0.75 * np.sqrt(width * height)  # pixels; the height where the picture is 16:9
    scenery = backdrop(scene.scenery, scene.seed, width, height)
    shutter = Shutter(scene.lens, scene.seed, height, width)
    frames = np.empty((len(times_ns), height, width, 3), np.uint8)
    ids = np.zeros((len(times_ns), height, width), np.uint8)
    visible = np.zeros(level.shape, bool)
    picture = np.empty((height, width, 3), np.uint8)
    margin = round(MARGIN * height)
    for n, time_ns in enumerate(times_ns):
        time_s = time_ns / 1e9
        share = time_s / config.sound_s
        view = _view(scene.camera, time_s, share, (width, height), unit)
        inner = view.copy()  # of the scenery, whose corner lies a margin outside
        inner[:, 2] -= view[:, :2] @ (margin, margin)
        cv2.warpAffine(scenery, inner, (width, height), picture, borderMode=cv2.BORDER_REFLECT)
        for i, actor in enumerate(scene.actors):
            x, y = actor.place(share)
            x += actor.sway[0].at(time_s) / ASPECT
            y += actor.sway[1].at(time_s)
            at = np.array([x * width, y * height])
            turn = actor.tilt_deg + actor.sway[2].at(time_s)
            linear = view[:, :2] @ _pose(actor, turn, unit)
            origin = view[:, :2] @ at + view[:, 2]
            pose = (float(level[n, i]), float(side[n, i]))
            paint(picture, ids[n], i + 1, actor, pose, linear, origin)
        visible[n] = _in_view(ids[n], len(scene.actors))
        shutter.take(picture, time_s, frames[n])
    return frames, ids, visible


def _view(
    camera: Camera, time_s: float, share: float, size: tuple[int, int], unit: float
) -> Affine:
    """World pixels to picture pixels."""
    zoom = camera.zoom[0] + (camera.zoom[1] - camera.zoom[0]) * share
    x, y = (
        0.5 * length * (1 - zoom) + unit * (pan * (share - 0.5) + shake.at(time_s))
        for length, pan, shake in zip(size, camera.pan, camera.shake, strict=True)
    )
    return np.array([[zoom, 0, x], [0, zoom, y]])


def _pose(actor: Actor, turn_deg: float, unit: float) -> NDArray[np.float64]:
    """Linear part of sprite units to world pixels."""
    angle, scale = np.radians(turn_deg), actor.scale * unit
    cos, sin = scale * np.cos(angle), scale * np.sin(angle)
    return np.array([[cos * actor.flip, -sin], [sin * actor.flip, cos]])


def _in_view(ids: Picture, num_objects: int) -> NDArray[np.bool_]:
    """Which objects are in view (N,); those that next to nothing is seen of leave `ids`."""
    areas = np.bincount(ids.ravel(), minlength=num_objects + 1)[1:]
    visible = areas >= _MIN_VISIBLE * ids.size
    for i in np.flatnonzero((areas > 0) & ~visible):
        ids[ids == i + 1] = 0
    return visible
