"""The page of `streamavis eval`: one HTML file that asks nobody for anything."""

from streamavis_apps.report.frames import Shot, worst_frames
from streamavis_apps.report.page import page
from streamavis_apps.report.pieces import figure, short_names

__all__ = ["Shot", "figure", "page", "short_names", "worst_frames"]
