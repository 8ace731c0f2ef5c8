"""The clip of `streamavis demo`: two photographs that speak with synthetic voices."""

from __future__ import annotations

from streamavis_training.photo_demo.clip import CLIP_VERSION, PhotoClip, photo_clip

__all__ = ["CLIP_VERSION", "PhotoClip", "photo_clip"]
