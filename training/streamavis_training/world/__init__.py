"""A procedural audio-visual world: drawn objects that move as they sound, and the whole truth.

Needs no files: for tests, the demo, and training without a data set.

    from streamavis_training.world import WorldConfig, clip

    made = clip(7, WorldConfig(width=341, height=192, fps=10, duration_s=1.2))
"""

from streamavis_training.world.config import CLASSES, VERSION, OffScreen, WorldClip, WorldConfig
from streamavis_training.world.render import clip

__all__ = ["CLASSES", "VERSION", "OffScreen", "WorldClip", "WorldConfig", "clip"]
