"""The clip people see first: four objects, two of a kind, in turn and then two at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from streamavis_training.world.config import CLASSES, WorldClip, WorldConfig
from streamavis_training.world.plan import look, sway
from streamavis_training.world.render import render
from streamavis_training.world.rhythm import HOPS_PER_S, improvise
from streamavis_training.world.scene import (
    ASPECT,
    Actor,
    Camera,
    Lens,
    Scene,
    Scenery,
    Voice,
    generator,
)
from streamavis_training.world.sprites import areas

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["DEMO", "demo_clip", "demo_scene"]

DEMO = WorldConfig(width=640, height=360, fps=10.0, duration_s=12)

_PAIR = "person"
_PLACES = ((0.15, 0.6), (0.385, 0.45), (0.62, 0.6), (0.86, 0.45))  # the pair is first and third
_TURNS = (
    (0, 0.8, 2.4), (1, 2.7, 4.2), (2, 4.6, 6.2), (3, 6.5, 8.0), (0, 8.8, 10.4), (1, 9.6, 11.2),
)  # fmt: skip  # place, from second, to second; silence between and at both ends
_SHARE = 0.055  # of the picture that each fills


def demo_clip(seed: int = 7) -> WorldClip:
    """A bright, steady scene of 12 s at 640x360 and 15 frames/s in which all take turns.

    Args:
        seed: chooses the other two classes, the looks, the scenery and the voices.
    """
    return render(demo_scene(seed), DEMO)


def demo_scene(seed: int) -> Scene:
    """What `demo_clip` renders."""
    rng = generator(seed, 20)
    others = rng.permutation([i for i, name in enumerate(CLASSES) if name != _PAIR])[:2]
    pair = CLASSES.index(_PAIR)
    class_ids = (pair, int(others[0]), pair, int(others[1]))
    return Scene(
        seed=seed,
        actors=[_actor(class_ids[i], _PLACES[i], rng) for i in range(4)],
        voices=[Voice(class_ids[i], improvise(class_ids[i], *_gates(i), rng), 0) for i in range(4)],
        camera=Camera(
            pan=(0.04, 0.0),
            zoom=(1.0, 1.03),
            shake=(sway(0.003, (0.2, 0.8), rng), sway(0.003, (0.2, 0.8), rng)),
        ),
        lens=Lens((1.02, 1.0, 0.97), 6.0, sway(0.02, (0.1, 0.4), rng), 0.0, 1.2),
        scenery=Scenery(str(rng.choice(["meadow", "room", "city"])), 0.75, 2.0),
        reverb=True,
    )


def _gates(place: int) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """When the object at a place sounds, and when it moves for no reason: never."""
    gate = np.zeros(int(DEMO.sound_s * HOPS_PER_S) + 1, bool)
    for who, start_s, end_s in _TURNS:
        if who == place:
            gate[int(start_s * HOPS_PER_S) : int(end_s * HOPS_PER_S)] = True
    return gate, np.zeros_like(gate)


def _actor(class_id: int, place: tuple[float, float], rng: np.random.Generator) -> Actor:
    x, y = place
    drift_x, drift_y = rng.uniform(-0.015, 0.015, 2)
    return Actor(
        class_id=class_id,
        look=look(CLASSES[class_id], rng),
        scale=float(np.sqrt(_SHARE * ASPECT / np.mean(areas(class_id)))),
        flip=1 if x > 0.5 else -1,
        tilt_deg=0.0,
        keys=np.array([[0, x, y], [1, x + drift_x, y + drift_y]]),
        sway=(
            sway(0.01, (0.1, 0.4), rng),
            sway(0.01, (0.1, 0.4), rng),
            sway(3.0, (0.1, 0.5), rng),
        ),
    )
