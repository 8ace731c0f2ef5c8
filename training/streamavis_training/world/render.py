"""From a seed to pictures, sound and the truth about both."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from streamavis.types import SAMPLE_RATE
from streamavis_training.world import rhythm, sound
from streamavis_training.world.backdrop import MARGIN, backdrop
from streamavis_training.world.config import CLASSES, OffScreen, WorldClip, WorldConfig
from streamavis_training.world.scene import ASPECT, Actor, Camera, Scene, generator, plan
from streamavis_training.world.sprites import SPRITES

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Picture = NDArray[np.uint8]
    Affine = NDArray[np.float64]  # (2, 3)

__all__ = ["clip", "render"]

_SHIFT = 4  # bits of sub-pixel precision in polygon corners
_MIN_VISIBLE = 0.0005  # of the picture; less of an object is not labelled


def clip(seed: int, config: WorldConfig | None = None) -> WorldClip:
    """Make one clip: an endless supply of labelled pictures with sound.

    The same seed gives the same bytes. At another size or frame rate it is the same scene.

    Args:
        seed: any non-negative integer; clips of different seeds have nothing in common.
        config: size, rate and odds; the default `WorldConfig()` when None.
    """
    config = config or WorldConfig()
    return render(plan(seed, config), seed, config)


def render(scene: Scene, seed: int, config: WorldConfig) -> WorldClip:
    """Render a planned scene. The seed draws what the plan leaves open: scenery, noise, room."""
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
    frames, ids, visible = _film(scene, seed, config, times_ns, level, side)
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
        waveform=_record(scene, seed, config),
        heard=heard,
        off_screen=[
            OffScreen(voice.class_id, emitting[:, num_objects + i])
            for i, voice in enumerate(scene.voices[num_objects:])
        ],
    )


def _latest(values: NDArray[Any], hops: NDArray[np.int64], first: float) -> NDArray[np.float32]:
    """Value of the last complete hop at each frame, `first` where there is none."""
    return np.where(hops > 0, values[np.maximum(hops - 1, 0)], first).astype(np.float32)


def _record(scene: Scene, seed: int, config: WorldConfig) -> NDArray[np.float32]:
    rng = generator(seed, 10)
    reverb = bool(rng.random() < config.reverb)
    samples = round(config.sound_s * SAMPLE_RATE)
    sources = [v for v in scene.voices if v.part.amplitude.any()]
    dry = [sound.voice(v.class_id, v.part, rng) for v in sources]
    gains = [v.gain_db for v in sources]
    return sound.mix(dry, gains, samples=samples, reverb=reverb, rng=rng)


def _film(
    scene: Scene,
    seed: int,
    config: WorldConfig,
    times_ns: NDArray[np.int64],
    level: NDArray[np.float32],
    side: NDArray[np.float32],
) -> tuple[Picture, Picture, NDArray[np.bool_]]:
    """Pictures (T, H, W, 3), ids (T, H, W) and who is in view (T, N)."""
    height, width = config.height, config.width
    unit = 0.75 * np.sqrt(width * height)  # pixels; the height where the picture is 16:9
    scenery = backdrop(width, height, generator(seed, 11), generator(seed, 12))
    lens = _Lens(generator(seed, 13), generator(seed, 14), height, width)
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
            pose = _pose(actor, turn, unit)
            full = (view[:, :2] @ pose, view[:, :2] @ at + view[:, 2])
            _paint(picture, ids[n], i + 1, actor, float(level[n, i]), float(side[n, i]), *full)
        visible[n] = _in_view(ids[n], len(scene.actors))
        lens.take(picture, time_s, frames[n])
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


def _paint(
    picture: Picture,
    ids: Picture,
    value: int,
    actor: Actor,
    level: float,
    side: float,
    linear: NDArray[np.float64],
    origin: NDArray[np.float64],
) -> None:
    """Draw one object over the picture and, by the same polygons, into the ids."""
    shapes = SPRITES[CLASSES[actor.class_id]](level, side, actor.look)
    points = np.concatenate([shape.points for shape in shapes]) @ linear.T + origin
    low = np.maximum(np.floor(points.min(0)).astype(int) - 2, 0)
    high = np.minimum(np.ceil(points.max(0)).astype(int) + 3, picture.shape[1::-1])
    if (low >= high).any():
        return
    corner = np.s_[low[1] : high[1], low[0] : high[0]]
    region, mask = picture[corner], np.zeros(high[::-1] - low[::-1], np.uint8)
    fixed = np.round((points - low) * (1 << _SHIFT)).astype(np.int32)
    start = 0
    for shape in shapes:
        corners = [fixed[start : start + len(shape.points)]]
        cv2.fillPoly(region, corners, shape.colour, cv2.LINE_AA, _SHIFT)
        if shape.solid:
            cv2.fillPoly(mask, corners, 255, cv2.LINE_AA, _SHIFT)
        start += len(shape.points)
    _shade(region, mask, float(np.hypot(*linear[:, 0])))
    ids[corner][mask > 127] = value


def _shade(region: Picture, mask: Picture, scale: float) -> None:
    """Darken an object towards its lower right rim, as if lit from the upper left."""
    size = max(3, round(0.45 * scale))
    thick = cv2.blur(
        mask, (size, size), anchor=(size // 3, size // 3), borderType=cv2.BORDER_REPLICATE
    )
    dark = cv2.multiply(255 - thick, mask, scale=0.62 / 255)
    region[:] = cv2.multiply(region, cv2.cvtColor(255 - dark, cv2.COLOR_GRAY2RGB), scale=1 / 255)


def _in_view(ids: Picture, num_objects: int) -> NDArray[np.bool_]:
    """Which objects are in view (N,); those that next to nothing is seen of leave `ids`."""
    areas = np.bincount(ids.ravel(), minlength=num_objects + 1)[1:]
    visible = areas >= _MIN_VISIBLE * ids.size
    for i in np.flatnonzero((areas > 0) & ~visible):
        ids[ids == i + 1] = 0
    return visible


class _Lens:
    """Exposure, white balance, focus and noise of one clip's camera."""

    def __init__(
        self,
        rng: np.random.Generator,
        grain_rng: np.random.Generator,
        height: int,
        width: int,
    ) -> None:
        self._tint = rng.uniform(0.78, 1.14) * rng.uniform(0.94, 1.06, 3)
        self._lift = rng.uniform(-14, 22)
        self._flicker = rng.uniform(0, 0.07), rng.uniform(0.1, 1.2), rng.uniform(0, 6.3)
        self._blur = rng.uniform(0.0, 1.1) * height / 192 if rng.random() < 0.3 else 0.0
        sigma = rng.uniform(0.5, 6.0)
        grain = grain_rng.standard_normal((height + 32, width + 32, 3), np.float32)
        self._grain = (grain * np.float32(sigma)).round().astype(np.int16)
        self._grain_rng = grain_rng

    def take(self, picture: Picture, time_s: float, out: Picture) -> None:
        """Write to `out` the picture as the camera delivers it."""
        size, rate, phase = self._flicker
        gain = self._tint * (1 + size * np.sin(2 * np.pi * rate * time_s + phase))
        curve = np.arange(256)[:, None] * gain + self._lift
        table = np.clip(np.round(curve), 0, 255).astype(np.uint8)[None]
        if self._blur > 0.3:
            cv2.GaussianBlur(picture, (0, 0), self._blur, picture)
        y, x = self._grain_rng.integers(0, 32, 2)
        grain = self._grain[y : y + picture.shape[0], x : x + picture.shape[1]]
        cv2.add(cv2.LUT(picture, table), grain, out, dtype=cv2.CV_8U)
