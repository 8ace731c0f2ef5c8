"""A pan-tilt head that turns to who sounds. Base package alone; no torch.

`Follower` decides, a `Head` moves; `streamavis follow` joins them with a publisher.
"""

from streamavis.follow.attention import Attention, AttentionConfig, Target
from streamavis.follow.follower import Follower
from streamavis.follow.head import Axis, Head, Pose
from streamavis.follow.motion import Motion
from streamavis.follow.simulated import SimulatedHead

__all__ = [
    "Attention",
    "AttentionConfig",
    "Axis",
    "Follower",
    "Head",
    "Motion",
    "Pose",
    "SimulatedHead",
    "Target",
]
