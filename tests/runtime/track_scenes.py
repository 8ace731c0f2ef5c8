"""What the slots of a scripted scene show, for tests of identities."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from streamavis.runtime.tracks import Sightings, Tracked

SLOTS, CLASSES, CHANNELS, SIDE = 8, 3, 64, 32


@dataclass
class Thing:
    """One object as a slot would show it."""

    slot: int
    look: int  # its own direction in embedding space
    class_id: int = 0
    score: float = 0.9
    at: tuple[int, int] = (0, 0)  # row, column of its 4 x 4 mask
    sounding: float = 0.0
    visible: float = 1.0


def look_of(number: int) -> np.ndarray:
    return np.random.default_rng(number).normal(size=CHANNELS).astype(np.float32)


def see(*things: Thing, slots: int = SLOTS, noise: int | None = None) -> Sightings:
    seen = Sightings(
        scores=np.zeros(slots, np.float32),
        class_probs=np.full((slots, CLASSES), 0.05, np.float32),
        masks=np.zeros((slots, SIDE, SIDE), np.bool_),
        embeddings=np.ones((slots, CHANNELS), np.float32),
        sounding=np.zeros(slots, np.float32),
        visible=np.zeros(slots, np.float32),
    )
    jitter = np.random.default_rng(noise)
    for thing in things:
        row, column = thing.at
        seen.scores[thing.slot] = thing.score
        seen.class_probs[thing.slot, thing.class_id] = 0.9
        seen.masks[thing.slot, row : row + 4, column : column + 4] = True
        wobble = 0 if noise is None else 0.2 * jitter.normal(size=CHANNELS)
        seen.embeddings[thing.slot] = look_of(thing.look) + wobble
        seen.sounding[thing.slot] = thing.sounding
        seen.visible[thing.slot] = thing.visible
    return seen


def by_slot(tracked: list[Tracked]) -> dict[int, int]:
    return {seen.slot: seen.id for seen in tracked}
