"""Which classes are heard: on at once, off after a second, unknown without a microphone."""

from __future__ import annotations

from dataclasses import replace

from wire_samples import FRAME

from streamavis.bridges import HeardStates
from streamavis.bridges.heard import SPEECH

SECOND = 1_000_000_000
DOG, DRUM = FRAME.tracks
PERSON = replace(DOG, id=1, label="person")


def frame(at_s: float, *tracks, **fields):
    return replace(FRAME, capture_time_ns=round(at_s * SECOND), tracks=list(tracks), **fields)


def told(states: HeardStates, result) -> list[tuple[str, str]]:
    return [(change.label, change.state) for change in states.update(result)]


def test_a_class_is_on_at_once_and_off_after_a_second_of_silence():
    states = HeardStates("cam-1")
    silent, loud = replace(DOG, sounding=0.1), replace(DOG, sounding=0.9)
    assert told(states, frame(0, silent)) == [(SPEECH, "off"), ("dog", "off")]
    assert told(states, frame(1, silent)) == []
    assert told(states, frame(2, loud)) == [("dog", "on")]
    assert told(states, frame(3, silent, DRUM)) == [("dog", "off"), ("drum", "off")]
    assert told(states, frame(4, loud)) == [("dog", "on")]
    assert told(states, frame(4.9)) == []
    assert told(states, frame(5.1, loud)) == [], "the pause was shorter than a second"
    assert told(states, frame(6.0)) == []
    assert told(states, frame(6.1)) == [("dog", "off")], "it left the picture"


def test_somebody_speaks_where_a_person_sounds():
    states = HeardStates("cam-1")
    (speech, person) = states.update(frame(0, replace(PERSON, sounding=0.7), DOG))[:2]
    assert (speech.label, speech.state, speech.ids, speech.score) == (SPEECH, "on", (1,), 0.7)
    assert (person.label, person.state) == ("person", "on")
    assert states.states["dog"].ids == (7,)


def test_without_a_microphone_states_are_unknown():
    states = HeardStates("cam-1")
    deaf = replace(DOG, sounding=None)
    assert told(states, frame(0, deaf, audio="lost")) == [(SPEECH, "unknown"), ("dog", "unknown")]
    assert told(states, frame(1, deaf, audio="ok")) == [(SPEECH, "off"), ("dog", "off")]


def test_a_new_engine_begins_its_times_anew():
    states = HeardStates("cam-1")
    states.update(frame(100, replace(DOG, sounding=0.9)))
    assert told(states, frame(5, replace(DOG, sounding=0.1), boot_id="b1")) == []
    assert told(states, frame(6, replace(DOG, sounding=0.1), boot_id="b1")) == [("dog", "off")]
