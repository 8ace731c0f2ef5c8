"""Recordings of streams in MCAP files: written, read again, and played onto the wire. No torch."""

from streamavis.recordings.player import Player
from streamavis.recordings.reader import McapReader, Recorded, Summary
from streamavis.recordings.writer import McapWriter

__all__ = ["McapReader", "McapWriter", "Player", "Recorded", "Summary"]
