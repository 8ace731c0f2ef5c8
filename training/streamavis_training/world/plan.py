"""From a seed to a scene: its objects, their look, their paths, and when each sounds."""

from __future__ import annotations

import colorsys
from typing import TYPE_CHECKING

import numpy as np

from streamavis_training.world.backdrop import KINDS
from streamavis_training.world.config import CLASSES, WorldConfig
from streamavis_training.world.rhythm import improvise, schedule
from streamavis_training.world.scene import (
    ASPECT,
    Actor,
    Camera,
    Lens,
    Scene,
    Scenery,
    Sway,
    Voice,
    generator,
)
from streamavis_training.world.shapes import Look
from streamavis_training.world.sprites import REACH, areas

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from streamavis_training.world.shapes import Colour

__all__ = ["look", "plan", "sway"]

_SHARE = (0.02, 0.125)  # of the picture that an object fills, before zoom and pose
_CROWDED_SHARE = (0.02, 0.08)  # where there are four or five
_SKIN: tuple[Colour, ...] = (
    (255, 219, 188), (241, 194, 150), (224, 172, 120), (198, 134, 82), (141, 85, 48), (92, 58, 38),
)  # fmt: skip
_HAIR: tuple[Colour, ...] = (
    (40, 30, 28), (92, 60, 36), (170, 110, 50), (226, 190, 110), (190, 80, 40), (200, 200, 204),
)  # fmt: skip
_HUES = {
    "bird": 0.14, "frog": 0.33, "drum": 0.0, "bell": 0.12, "car": 0.6, "radio": 0.78, "kettle": 0.5,
}  # fmt: skip


def plan(seed: int, config: WorldConfig) -> Scene:
    """Draw the scene that a seed means."""
    cast, looks, stage, sound, film = (generator(seed, purpose) for purpose in range(5))
    num_objects = int(cast.integers(config.min_objects, config.max_objects + 1))
    has_pair = num_objects > 1 and cast.random() < config.pair
    class_ids = [int(v) for v in cast.permutation(len(CLASSES))[:num_objects]]
    if has_pair:
        class_ids[1] = class_ids[0]
    actors: list[Actor] = []
    shares = _CROWDED_SHARE if num_objects > 3 else _SHARE
    for class_id in class_ids:
        actors.append(_actor(class_id, shares, actors, config, looks, stage))
    return Scene(
        seed=seed,
        actors=actors,
        voices=_voices(class_ids, has_pair, config, sound),
        camera=_camera(config, film),
        lens=_lens(film),
        scenery=Scenery(
            str(film.choice(list(KINDS))), film.uniform(0.5, 1.0), film.uniform(0.0, 9.0)
        ),
        reverb=bool(film.random() < config.reverb),
    )


def _voices(
    class_ids: list[int], has_pair: bool, config: WorldConfig, rng: np.random.Generator
) -> list[Voice]:
    """Who sounds when and how loud: the objects, then those that are never seen."""
    gates = schedule(config, len(class_ids), has_pair, rng)
    silent = rng.random() < config.silent_clip
    gates &= not silent
    voices = []
    for class_id, gate in zip(class_ids, gates, strict=True):
        idle = np.zeros_like(gate)
        if rng.random() < config.unrelated_motion:
            start = int(rng.uniform(-0.3, 0.6) * len(gate))
            idle[max(start, 0) : start + int(rng.uniform(0.4, 1.2) * len(gate))] = True
        part = improvise(class_id, gate, idle, rng)
        voices.append(Voice(class_id, part, rng.uniform(-8, 0)))
    hidden = _off_screen_class(class_ids, gates, config, rng)
    if not silent and rng.random() < config.off_screen:
        gate = np.zeros(gates.shape[1], bool)
        start = int(rng.uniform(-0.3, 0.6) * len(gate))
        gate[max(start, 0) : start + int(rng.uniform(0.4, 1.2) * len(gate))] = True
        part = improvise(hidden, gate, np.zeros_like(gate), rng)
        voices.append(Voice(hidden, part, rng.uniform(-11, -2)))
    return voices


def _off_screen_class(
    class_ids: list[int],
    gates: NDArray[np.bool_],
    config: WorldConfig,
    rng: np.random.Generator,
) -> int:
    """A class that is not in view or, rarely, one of which all that are in view keep silent."""
    loud = {c for c, gate in zip(class_ids, gates, strict=True) if gate.any()}
    quiet = [c for c in set(class_ids) if c not in loud]
    unseen = [c for c in range(len(CLASSES)) if c not in class_ids]
    seen = bool(quiet) and rng.random() < config.off_screen_seen
    return int(rng.choice(sorted(quiet) if seen else unseen))


def _camera(config: WorldConfig, rng: np.random.Generator) -> Camera:
    moved = rng.random() < config.shake
    pan = rng.uniform(-0.05, 0.05, 2) * moved
    zoom = 1 + rng.uniform(-0.03, 0.03, 2) * moved
    shake = rng.uniform(0, 0.006) * moved
    return Camera(
        (float(pan[0]), float(pan[1])),
        (float(zoom[0]), float(zoom[1])),
        (sway(shake, (0.5, 5), rng), sway(shake, (0.5, 5), rng)),
    )


def _lens(rng: np.random.Generator) -> Lens:
    gain = rng.uniform(0.78, 1.14)
    red, green, blue = (float(gain * v) for v in rng.uniform(0.94, 1.06, 3))
    return Lens(
        tint=(red, green, blue),
        lift=rng.uniform(-14, 22),
        flicker=sway(0.07, (0.1, 1.2), rng),
        blur=rng.uniform(0, 0.006) if rng.random() < 0.3 else 0.0,
        noise=rng.uniform(0.5, 6.0),
    )


def sway(size: float, rates: tuple[float, float], rng: np.random.Generator) -> Sway:
    """A wobble of at most `size`, of sines whose rates in Hz lie between the two."""
    return Sway(
        size * rng.uniform(0.2, 1, 3) / 2, rng.uniform(*rates, 3), rng.uniform(0, 2 * np.pi, 3)
    )


def _actor(
    class_id: int,
    shares: tuple[float, float],
    others: list[Actor],
    config: WorldConfig,
    looks: np.random.Generator,
    stage: np.random.Generator,
) -> Actor:
    share = float(np.exp(stage.uniform(*np.log(shares))))
    scale = float(np.sqrt(share * ASPECT / np.mean(areas(class_id))))
    size = stage.uniform(0.5, 1.0)
    return Actor(
        class_id=class_id,
        look=look(CLASSES[class_id], looks),
        scale=scale,
        flip=int(looks.choice([-1, 1])),
        tilt_deg=float(looks.normal(0, 5)),
        keys=_path(scale, others, config, stage),
        sway=(
            sway(0.02 * size, (0.1, 0.5), stage),
            sway(0.02 * size, (0.1, 0.5), stage),
            sway(6 * size, (0.1, 0.6), stage),
        ),
    )


def _path(
    scale: float, others: list[Actor], config: WorldConfig, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Keys of a path through the picture that leaves the others in view, for the most part."""
    reach = np.minimum(1.15 * scale * np.array([1 / ASPECT, 1]), 0.45)
    crossing = bool(others) and rng.random() < config.crossing
    travel = rng.random() < config.travel
    best, least = None, np.inf
    for _ in range(16):
        start = rng.uniform(reach, 1 - reach)
        end = np.clip(start + rng.uniform(-0.16, 0.16, 2), reach, 1 - reach)
        if crossing:
            other = np.array(others[int(rng.integers(len(others)))].place(0.5))
            end = np.clip(2 * other - start, 0.5 * reach, 1 - 0.5 * reach)
        keys = np.array([[0, *start], [1, *end]])
        if travel:
            keys = _from_outside(keys, scale, rng)
        cover = _cover(keys, scale, others)
        if cover < least:
            best, least = keys, cover
        if least < (0.12 if crossing else 0.02):
            break
    assert best is not None, "the first path is always better than none"
    return best


def _from_outside(
    keys: NDArray[np.float64], scale: float, rng: np.random.Generator
) -> NDArray[np.float64]:
    """The path entered from, or left to, the nearer side."""
    reach = REACH * scale / ASPECT
    side = -reach if keys[0, 1] < 0.5 else 1 + reach
    arrival = rng.uniform(0.2, 0.5)
    inside = keys * (1 - arrival, 1, 1) + (arrival, 0, 0)
    entering = np.concatenate([[[0, side, keys[0, 2]]], inside])
    if rng.random() < 0.5:
        return entering
    return entering[::-1] * (-1, 1, 1) + (1, 0, 0)


def _cover(keys: NDArray[np.float64], scale: float, others: list[Actor]) -> float:
    """How much the object hides or is hidden, about, over the clip."""
    cover = 0.0
    for share in np.linspace(0, 1, 7):
        here = np.array([np.interp(share, keys[:, 0], keys[:, k]) for k in (1, 2)])
        for other in others:
            gap = np.hypot(*((here - other.place(float(share))) * (ASPECT, 1)))
            near = 0.95 * (scale + other.scale)
            cover += max(0.0, near - gap) / (2 * min(scale, other.scale)) / 7
    return float(cover)


def look(name: str, rng: np.random.Generator) -> Look:
    """Colours and proportions of one individual."""
    build = (float(rng.random()), float(rng.random()), float(rng.random()))
    free = rng.random() < 0.3
    hue = rng.random() if free or name == "person" else _HUES[name] + rng.normal(0, 0.05)
    body = _hsv(hue, rng.uniform(0.45, 0.95), rng.uniform(0.5, 0.98))
    trim = _hsv(hue + rng.uniform(0.25, 0.75), rng.uniform(0.3, 0.9), rng.uniform(0.35, 0.95))
    accent = _hsv(rng.random(), rng.uniform(0.2, 0.8), rng.uniform(0.6, 1.0))
    if name == "person":
        skin, hair = _SKIN[int(rng.integers(6))], _HAIR[int(rng.integers(6))]
        if not free:
            body = skin
        accent = hair
    return Look(body, trim, accent, build)


def _hsv(hue: float, saturation: float, value: float) -> Colour:
    red, green, blue = colorsys.hsv_to_rgb(hue % 1, saturation, value)
    return round(255 * red), round(255 * green), round(255 * blue)
