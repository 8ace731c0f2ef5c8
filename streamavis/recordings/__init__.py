"""Recordings of streams in MCAP files: written, read again, and played onto the wire. No torch."""

from streamavis.recordings.player import Player
from streamavis.recordings.reader import Recorded, Recording, Summary
from streamavis.recordings.writer import McapWriter

__all__ = ["McapWriter", "Player", "Recorded", "Recording", "Summary"]
