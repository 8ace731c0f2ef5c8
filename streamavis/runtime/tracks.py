"""Slots to permanent identities: births, re-finding, deaths. Pure NumPy, deterministic.

A slot is a row of the model's output; a track is an object. Slots keep to their object most of
the time and the book trusts them, until the identity embedding says otherwise: then the slot has
jumped, or another slot shows an object that was lost. Sound has no say in any of this, and an
object that is silent but in view never ages.

V slots, S of them showing something, N rows of the book, K classes, C channels.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np

from streamavis.errors import ShapeError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

__all__ = ["SOUNDING_ON", "Sightings", "TrackBook", "TrackConfig", "TrackState", "Tracked"]

SOUNDING_ON = 0.5  # the level at which `Track.is_sounding` turns true


@dataclass(frozen=True)
class TrackConfig:
    """When an object is born, the same, lost and forgotten."""

    n_init: int = 2  # confident steps in a row before an id is given
    max_lost_s: float = 5.0  # without a mask, then forgotten
    max_tracks: int = 50  # rows of the book, unconfirmed and lost ones included
    score_on: float = 0.7  # a birth needs this much
    score_off: float = 0.5  # a known object is in view down to this
    visible_on: float = 0.5  # in view, where the model knows `visible`
    sounding_off: float = 0.3  # between this and SOUNDING_ON a sound is held for one frame
    duplicate_iou: float = 0.5  # two slots that overlap this much show one object
    part: float = 0.7  # share of a mask inside one of its own class, from which it is a part of it
    same_cosine: float = 0.5  # least similarity at which another slot may take a track over
    jump_cosine: float = 0.3  # below this a slot has left its object for another
    match: float = 0.5  # least bi-softmax at which another slot may take a track over
    assignment_bonus: float = 0.25  # added to the bi-softmax of the assigned slot
    temperature: float = 0.1  # of the bi-softmax over cosines
    embed_rate: float = 0.1  # of the moving average of embeddings, times the cosine to it
    class_rate: float = 0.1  # of the moving averages of class probabilities and scores
    evict_margin: float = 0.1  # a newcomer must score this much more to take a row in view


@dataclass
class Sightings:
    """What every slot shows in one frame."""

    scores: NDArray[np.float32]  # (V,) 0..1, that the slot shows an object at all
    class_probs: NDArray[np.float32]  # (V, K)
    masks: NDArray[np.bool_]  # (V, h, w), small
    embeddings: NDArray[np.float32]  # (V, C), not normalised
    sounding: NDArray[np.float32] | None  # (V,) 0..1; None: nothing is known about sound
    visible: NDArray[np.float32] | None  # (V,) 0..1; None: the model does not know


@dataclass(frozen=True)
class Tracked:
    """An identified object that is in view in this frame."""

    id: int
    slot: int
    class_id: int
    score: float
    sounding: float | None
    visible: float | None


@dataclass
class TrackState:
    """Everything the book remembers; row order carries no meaning.

    An id of 0 is an object that is not confirmed yet, a slot of -1 one that no slot shows.
    """

    ids: NDArray[np.int64]  # (N,)
    slots: NDArray[np.int64]  # (N,)
    hits: NDArray[np.int64]  # (N,) confident steps in a row, counted up to n_init
    last_seen_s: NDArray[np.float64]  # (N,)
    in_view: NDArray[np.bool_]  # (N,) in the latest frame
    strength: NDArray[np.float32]  # (N,) moving average of scores
    class_probs: NDArray[np.float32]  # (N, K) moving average
    embeddings: NDArray[np.float32]  # (N, C) moving average, unit length
    sounding: NDArray[np.bool_]  # (N,)
    held: NDArray[np.bool_]  # (N,) sounding only because it was a frame ago
    next_id: NDArray[np.int64]  # ()

    @classmethod
    def empty(cls, classes: int, channels: int) -> TrackState:
        """A book without tracks, K = `classes` and C = `channels`."""
        return cls(
            ids=np.zeros(0, np.int64),
            slots=np.zeros(0, np.int64),
            hits=np.zeros(0, np.int64),
            last_seen_s=np.zeros(0, np.float64),
            in_view=np.zeros(0, np.bool_),
            strength=np.zeros(0, np.float32),
            class_probs=np.zeros((0, classes), np.float32),
            embeddings=np.zeros((0, channels), np.float32),
            sounding=np.zeros(0, np.bool_),
            held=np.zeros(0, np.bool_),
            next_id=np.array(1, np.int64),
        )

    def to_arrays(self) -> dict[str, NDArray[np.generic]]:
        """The state as plain arrays by field name; copies."""
        return {field.name: np.array(getattr(self, field.name)) for field in fields(self)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[np.generic]]) -> TrackState:
        """The state that `to_arrays` wrote; copies."""
        return cls(**{field.name: np.array(arrays[field.name]) for field in fields(cls)})

    def keep(self, rows: NDArray[np.bool_] | NDArray[np.intp]) -> None:
        """Forget every row but `rows`."""
        for name in self._columns():
            setattr(self, name, getattr(self, name)[rows])

    def append(self, other: TrackState) -> None:
        """Add the rows of `other`; its `next_id` is ignored."""
        for name in self._columns():
            setattr(self, name, np.concatenate([getattr(self, name), getattr(other, name)]))

    @classmethod
    def _columns(cls) -> list[str]:
        return [field.name for field in fields(cls) if field.name != "next_id"]


class TrackBook:
    """Gives each object of one stream an id and finds it again under that id.

    A track is re-found only by a slot of its own class: an id that changes its class misleads a
    robot more than a new id does. The class is a moving average, so one flickering frame neither
    changes a label nor prevents a re-finding.
    """

    def __init__(self, config: TrackConfig | None = None) -> None:
        self.config = config or TrackConfig()
        self.state: TrackState | None = None  # None until the first frame tells K and C

    def new_epoch(self) -> None:
        """Forget every track; ids start anew."""
        self.state = None

    def update(self, time_s: float, seen: Sightings) -> list[Tracked]:
        """Advance by one frame.

        Args:
            time_s: stream time, not before that of the previous call.
            seen: what the slots show.

        Returns:
            The confirmed objects in view, by id.

        Raises:
            ShapeError: the arrays disagree in V, or K or C changed within the epoch.
        """
        _check(seen, self.state)
        if self.state is None:
            self.state = TrackState.empty(seen.class_probs.shape[1], seen.embeddings.shape[1])
        book = self.state
        slots = self._showing(seen, book)
        looks = _unit(seen.embeddings[slots])
        rows = self._match(book, slots, looks, seen.class_probs[slots].argmax(1))
        found = rows >= 0
        self._continue(time_s, seen, slots[found], rows[found], looks[found])
        self._forget(time_s)
        # The rows moved; a slot still tells which row it is bound to.
        self._admit(time_s, seen, slots[~found], looks[~found])
        return self._report(seen)

    def _showing(self, seen: Sightings, book: TrackState) -> NDArray[np.int64]:
        """Slots that show an object no other slot shows better, in an order free of slot numbers.

        Assigned slots come first, then stronger ones: a newcomer's second view of a known object
        must not take its place. What remains equal is broken by content, so that permuted slots
        give the same tracks.
        """
        areas = seen.masks.sum(axis=(1, 2))
        shows = (seen.scores >= self.config.score_off) & (areas > 0)
        if seen.visible is not None:
            shows &= seen.visible >= self.config.visible_on
        slots = np.flatnonzero(shows)
        age = np.full(len(seen.scores), np.iinfo(np.int64).max)  # of the assigned track, by id
        bound = (book.slots >= 0) & (book.ids > 0)
        age[book.slots[bound]] = book.ids[bound]
        content = [seen.embeddings[slots, c] for c in range(min(4, seen.embeddings.shape[1]))]
        slots = slots[np.lexsort([*content, areas[slots], -seen.scores[slots], age[slots]])]
        cells = seen.masks.shape[1] * seen.masks.shape[2]
        flat = seen.masks[slots].reshape(len(slots), cells).astype(np.float32)
        common = flat @ flat.T
        size = areas[slots]
        classes = seen.class_probs[slots].argmax(1)
        again = common / (size[:, None] + size[None] - common) >= self.config.duplicate_iou
        inside = common / size[:, None] >= self.config.part
        again |= inside & (classes[:, None] == classes[None])
        kept: list[int] = []
        for place in range(len(slots)):
            if not again[place, kept].any():
                kept.append(place)
        return slots[kept]

    def _match(
        self,
        book: TrackState,
        slots: NDArray[np.int64],
        looks: NDArray[np.float32],
        class_ids: NDArray[np.intp],
    ) -> NDArray[np.int64]:
        """Which row each slot shows, (S,), -1 for none.

        Twice: first with all slots, where the assigned slot gets a bonus, then among the rest.
        """
        config = self.config
        cosine = looks @ book.embeddings.T  # (S, N)
        assigned = slots[:, None] == book.slots[None]
        same_class = class_ids[:, None] == book.class_probs.argmax(1)[None]
        challenges = (cosine >= config.same_cosine) & same_class & ~assigned
        stays = assigned & (cosine >= config.jump_cosine)
        rows = np.full(len(slots), -1, np.int64)
        for _ in range(2):
            open_slots, open_rows = rows < 0, ~np.isin(np.arange(len(book.ids)), rows)
            pair = open_slots[:, None] & open_rows[None]
            value = _bisoftmax(cosine / config.temperature, pair)
            allowed = stays | (challenges & (value >= config.match))
            value = np.where(allowed & pair, value + config.assignment_bonus * assigned, -np.inf)
            # Among equals the slot sorted first and the track seen last.
            by_time = np.broadcast_to(-book.last_seen_s[None], value.shape)
            by_slot = np.broadcast_to(np.arange(len(slots))[:, None], value.shape)
            order = np.lexsort((by_time.ravel(), by_slot.ravel(), -value.ravel()))
            for pick in order[: np.isfinite(value).sum()]:
                slot, row = divmod(int(pick), len(book.ids))
                if rows[slot] < 0 and row not in rows:
                    rows[slot] = row
        return rows

    def _continue(
        self,
        time_s: float,
        seen: Sightings,
        slots: NDArray[np.int64],
        rows: NDArray[np.int64],
        looks: NDArray[np.float32],
    ) -> None:
        """Bring the rows that were found up to date and bind them to their slots."""
        book, config = self._book, self.config
        book.slots[np.isin(book.slots, slots)] = -1
        book.slots[rows] = slots
        book.last_seen_s[rows] = time_s
        book.in_view[:] = False
        book.in_view[rows] = True
        confident = seen.scores[slots] >= config.score_on
        unborn = book.ids[rows] == 0
        book.hits[rows] = np.where(
            confident | ~unborn, np.minimum(book.hits[rows] + 1, config.n_init), 0
        )
        book.strength[rows] += config.class_rate * (seen.scores[slots] - book.strength[rows])
        book.class_probs[rows] += config.class_rate * (
            seen.class_probs[slots] - book.class_probs[rows]
        )
        # An unlike view (half hidden, blurred) hardly moves what the object is known to look like.
        old = book.embeddings[rows]
        weight = config.embed_rate * np.maximum((looks * old).sum(1, keepdims=True), 0)
        book.embeddings[rows] = _unit(old + weight * (looks - old))

    def _forget(self, time_s: float) -> None:
        """Drop the unconfirmed that missed a step and the lost whose time is over."""
        book = self._book
        missed = ~book.in_view
        book.sounding[missed] = book.held[missed] = False
        unborn = (book.ids == 0) & (missed | (book.hits == 0))
        over = missed & (time_s - book.last_seen_s > self.config.max_lost_s)
        book.keep(~(unborn | over))

    def _admit(
        self,
        time_s: float,
        seen: Sightings,
        slots: NDArray[np.int64],
        looks: NDArray[np.float32],
    ) -> None:
        """Enter newcomers, keep the strongest `max_tracks`, and give ids to confirmed tracks."""
        book, config = self._book, self.config
        fresh = seen.scores[slots] >= config.score_on
        slots, looks = slots[fresh], looks[fresh]
        # A slot that shows a newcomer is no longer bound to the object it showed before.
        book.slots[np.isin(book.slots, slots)] = -1
        newcomers = TrackState.empty(seen.class_probs.shape[1], looks.shape[1])
        newcomers.ids = np.zeros(len(slots), np.int64)
        newcomers.slots = slots
        newcomers.hits = np.ones(len(slots), np.int64)
        newcomers.last_seen_s = np.full(len(slots), time_s)
        newcomers.in_view = np.ones(len(slots), np.bool_)
        newcomers.strength = seen.scores[slots]
        newcomers.class_probs = seen.class_probs[slots]
        newcomers.embeddings = looks
        newcomers.sounding = newcomers.held = np.zeros(len(slots), np.bool_)
        book.append(newcomers)
        if len(book.ids) > config.max_tracks:
            known = book.ids > 0
            rank = np.where(book.in_view, book.strength + config.evict_margin * known, 0)
            order = np.lexsort([-book.last_seen_s, -rank])
            book.keep(np.sort(order[: config.max_tracks]))
        born = (book.ids == 0) & (book.hits >= config.n_init)
        book.ids[born] = book.next_id + np.arange(born.sum())
        book.next_id = book.next_id + born.sum()

    def _report(self, seen: Sightings) -> list[Tracked]:
        book = self._book
        rows = np.flatnonzero((book.ids > 0) & book.in_view)
        rows = rows[np.argsort(book.ids[rows])]
        slots = book.slots[rows]
        heard = self._heard(rows, None if seen.sounding is None else seen.sounding[slots])
        return [
            Tracked(
                id=int(book.ids[row]),
                slot=int(slot),
                class_id=int(book.class_probs[row].argmax()),
                score=float(seen.scores[slot]),
                sounding=None if heard is None else float(heard[place]),
                visible=None if seen.visible is None else float(seen.visible[slot]),
            )
            for place, (row, slot) in enumerate(zip(rows, slots, strict=True))
        ]

    def _heard(
        self, rows: NDArray[np.intp], sounding: NDArray[np.float32] | None
    ) -> NDArray[np.float32] | None:
        """Sounding levels with one frame of hysteresis: a dip is held once, at SOUNDING_ON."""
        book = self._book
        if sounding is None:
            book.sounding[:] = book.held[:] = False
            return None
        on = sounding >= SOUNDING_ON
        dip = (sounding >= self.config.sounding_off) & ~on
        held = book.sounding[rows] & ~book.held[rows] & dip
        book.sounding[rows], book.held[rows] = on | held, held
        return np.where(held, np.float32(SOUNDING_ON), sounding)

    @property
    def _book(self) -> TrackState:
        assert self.state is not None, "update() sets the state first"
        return self.state


def _unit(embeddings: NDArray[np.float32]) -> NDArray[np.float32]:
    return embeddings / np.maximum(np.linalg.norm(embeddings, axis=1, keepdims=True), 1e-6)


def _bisoftmax(logits: NDArray[np.float32], pair: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Mean of both softmaxes of (S, N) logits over the entries in `pair`; 0 elsewhere."""
    weight = np.where(pair, np.exp(logits - logits.max(initial=0)), 0)
    over_rows = weight / np.maximum(weight.sum(1, keepdims=True), 1e-30)
    over_slots = weight / np.maximum(weight.sum(0, keepdims=True), 1e-30)
    return (over_rows + over_slots) / 2


def _check(seen: Sightings, state: TrackState | None) -> None:
    lengths = {
        "scores": len(seen.scores),
        "class_probs": len(seen.class_probs),
        "masks": len(seen.masks),
        "embeddings": len(seen.embeddings),
        "sounding": len(seen.scores if seen.sounding is None else seen.sounding),
        "visible": len(seen.scores if seen.visible is None else seen.visible),
    }
    if len(set(lengths.values())) > 1:
        raise ShapeError(f"expected one row per slot in every array but got {lengths}")
    if state is None:
        return
    width = (seen.class_probs.shape[1], seen.embeddings.shape[1])
    before = (state.class_probs.shape[1], state.embeddings.shape[1])
    if width != before:
        raise ShapeError(
            f"classes and channels were {before} and are now {width}; "
            "call new_epoch() when the model changes"
        )
