"""How often what happens in composed clips."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Look"]


@dataclass(frozen=True)
class Look:
    """Odds of the composer. Shares are 0..1; weights of one group need not add up to 1."""

    # Pictures.
    scenes: float = 0.5  # clips on whole pictures with objects of their own
    incomplete: bool = True  # also pictures where some objects have no mask: they are ignored
    crowded: float = 0.3  # of these, pictures with three or more objects
    persons: float = 0.3  # share of persons among objects and among scenes' leading classes
    pasted: tuple[float, ...] = (0.55, 0.3, 0.15)  # weights of 0, 1, 2 cut-outs on a scene
    # Weights of what is shown on a background.
    mixed: float = 0.37  # one to four objects of any class
    row: float = 0.28  # two to four of one class side by side
    webcam: float = 0.2  # one or two large persons cut by the frame
    call: float = 0.1  # panels of a video call
    empty: float = 0.05  # nothing of the classes
    distractor: float = 0.08  # pasted objects of no class
    # Camera.
    still: float = 0.4  # clips from a tripod
    letterbox: float = 0.15  # scenes shown whole, with borders
    dark: float = 0.1  # low light, with noise
    grey: float = 0.05
    noise: float = 0.35
    blur: float = 0.2
    motion_blur: float = 0.08
    jpeg: float = 0.25
    h264: float = 0.12  # of clips with several frames
    coarse: float = 0.1  # shrunk and enlarged again
    starts: float = 0.08  # clips of several frames at the start of a stream: no sound before
    # What is heard; weights.
    silence: float = 0.04  # digital silence
    noise_only: float = 0.05
    ambient_only: float = 0.04
    narrator: float = 0.08  # a voice or music off screen while what is in view is silent
    other: float = 0.06  # a class that is not in view
    in_view: float = 0.74  # something in view sounds
    # Of the clips where something in view sounds.
    second: float = 0.25  # another class in view sounds too
    two_voices: float = 0.3  # another object of the same class sounds too, at once or in turn
    off_screen: float = 0.12
    ambience: float = 0.3
    room: float = 0.45
    follows: float = 0.6  # a sounding cut-out moves with its sound
    unrelated: float = 0.15  # a silent one moves as if it sounded
