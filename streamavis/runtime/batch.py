"""One step of the model for several streams at once: fixed slots, whoever has a frame takes part.

B streams, each with its slot for as long as it lives.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import torch

from streamavis.errors import ArgumentError
from streamavis.runtime.step import step

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from streamavis.runtime.post import SlotOutput
    from streamavis.runtime.step import StepInput, StepState, StreamSession

__all__ = ["StreamBatch"]


class StreamBatch:
    """Holds the model's past of all its sessions in one state and steps those that have a frame.

    Pictures of one network size are stepped together, other sizes after them. On a CPU the streams
    that take part are gathered, so that one that pauses costs nothing; on a GPU every slot is
    stepped, the pausing ones not `active`, so that shapes stay what they were. One stream by
    itself is stepped as `Session.see` does, in its own slot.
    """

    def __init__(self, sessions: Sequence[StreamSession]) -> None:
        """Give every session a slot; their pasts move into it.

        Raises:
            ArgumentError: the sessions do not share one model.
        """
        self._model = sessions[0].model
        if any(session.model is not self._model for session in sessions):
            raise ArgumentError("the sessions of a batch must share one model")
        self._device = sessions[0].device
        self._sessions = list(sessions)
        self._fixed = self._device.type == "cuda"
        self._state: StepState | None = None  # of one stream: its session's own
        if len(sessions) > 1:
            self._state = self._model.init_state(len(sessions))
            for slot, session in enumerate(sessions):
                session.adopt(self._state.view(slot))

    def step(self, inputs: Mapping[int, StepInput]) -> dict[int, SlotOutput | Exception]:
        """Advance the streams in these slots by one frame.

        Where a step fails, its streams are stepped one by one, so that a failure stays with the
        stream it belongs to.

        Returns:
            For each slot its output, B = 1, or what went wrong.
        """
        groups: dict[tuple[int, ...], list[int]] = {}
        for slot, ready in sorted(inputs.items(), key=itemgetter(0)):
            groups.setdefault(tuple(ready.pixels.shape), []).append(slot)
        outcomes: dict[int, SlotOutput | Exception] = {}
        for slots in groups.values():
            outcomes.update(self._try(slots, inputs))
        return outcomes

    def _try(
        self, slots: list[int], inputs: Mapping[int, StepInput]
    ) -> dict[int, SlotOutput | Exception]:
        try:
            return {**self._together(slots, inputs)}
        except Exception as error:
            if len(slots) == 1:
                return {slots[0]: error}
        return {slot: outcome for s in slots for slot, outcome in self._try([s], inputs).items()}

    def _together(
        self, slots: list[int], inputs: Mapping[int, StepInput]
    ) -> Mapping[int, SlotOutput]:
        some = [inputs[slot] for slot in slots]
        if self._state is None or (len(slots) == 1 and not self._fixed):
            return {slots[0]: self._step(some, self._sessions[slots[0]].state)}
        count = len(self._sessions)
        if self._fixed and len(slots) < count:
            everybody = [inputs[slot] if slot in slots else some[0] for slot in range(count)]
            active = torch.tensor([slot in slots for slot in range(count)], device=self._device)
            output = self._step(everybody, self._state, active=active)
            return {slot: _row_of(output, slot) for slot in slots}
        part = self._state if len(slots) == count else self._state.select(slots)
        output = self._step(some, part)
        if part is not self._state:
            self._state.assign(slots, part)
        return {slot: _row_of(output, row) for row, slot in enumerate(slots)}

    def _step(self, inputs: list[StepInput], state: StepState, **options: Tensor) -> SlotOutput:
        return step(inputs, self._model, state, self._device, **options)


def _row_of(output: SlotOutput, row: int) -> SlotOutput:
    """One stream's part of a batch's output, whatever heads it has."""
    assert is_dataclass(output) and not isinstance(output, type), "a step's output is a dataclass"
    return replace(
        output, **{one.name: _row(getattr(output, one.name), row) for one in fields(output)}
    )


def _row(value: Any, row: int) -> Any:
    if isinstance(value, Mapping):
        return {name: _row(one, row) for name, one in value.items()}
    return None if value is None else value[row : row + 1]
