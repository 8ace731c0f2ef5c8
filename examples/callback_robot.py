"""Give each result to a robot: it turns towards the person who speaks.

python examples/callback_robot.py            # the first camera
python examples/callback_robot.py clip.mp4
"""

from __future__ import annotations

import sys

import streamavis as sa


class Robot:
    """Keeps what it was told last; a real one would move its head."""

    def __init__(self) -> None:
        self.turn = 0.0  # -1: left edge of the picture, 1: right edge
        self.knows_sound = False

    def update(self, result: sa.FrameResult) -> None:
        """Take a result; called once per frame, and should return soon."""
        # Unknown is not silent: without a microphone the robot keeps its direction.
        self.knows_sound = result.audio == "ok"
        speakers = [person for person in result["person"] if person.is_sounding]
        if speakers:
            nearest = max(speakers, key=lambda person: person.area)
            self.turn = 2 * nearest.centroid[0] / result.size[1] - 1
            print(f"turn to {self.turn:+.2f}, {nearest.label} {nearest.id}")


def main(source: int | str, model: sa.StreamAVIS) -> Robot:
    """Follow a source to its end."""
    robot = Robot()
    sa.open(source, model, on_result=robot.update).run()
    return robot


if __name__ == "__main__":
    try:
        main(sys.argv[1] if len(sys.argv) > 1 else 0, sa.load("nano"))
    except KeyboardInterrupt:
        print("stopped")
