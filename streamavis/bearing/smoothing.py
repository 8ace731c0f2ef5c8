"""One azimuth at a time from azimuths that jump: confirmed, smoothed, held over short pauses."""

from __future__ import annotations

from typing import Final

from streamavis.bearing.microphones import wrapped

__all__ = ["CONFIDENT", "Smoother"]

CONFIDENT: Final = 0.5  # below it an azimuth counts as unknown
_SAME_DEG: Final = 15.0  # nearer than this it is one source
_BLEND: Final = 0.5  # of a new azimuth in a known one's
_CONFIRM: Final = 2  # updates in a row that agree, before a source is believed
_HOLD: Final = 3  # updates without any, after which it is over


class Smoother:
    """Follows one source: a new one needs two updates that agree, a pause of 0.3 s ends it."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget."""
        self._azimuth: float | None = None
        self._confidence = 0.0
        self._missed = 0
        self._other = 0.0  # azimuth that is not believed yet
        self._others = 0  # updates in a row that agreed on it

    def update(self, azimuth: float, confidence: float) -> tuple[float | None, float]:
        """Take in one estimate; give the azimuth that is believed, or None, and its confidence.

        Args:
            azimuth: degrees.
            confidence: 0 to 1, that it is right.
        """
        if confidence < CONFIDENT:
            self._others = 0
            return self._miss(confidence)
        if self._azimuth is not None and abs(off := wrapped(azimuth - self._azimuth)) <= _SAME_DEG:
            self._azimuth = wrapped(self._azimuth + _BLEND * off)
            self._confidence += _BLEND * (confidence - self._confidence)
            self._missed = self._others = 0
            return self._azimuth, self._confidence
        off = wrapped(azimuth - self._other)
        self._others = self._others + 1 if self._others and abs(off) <= _SAME_DEG else 1
        self._other = azimuth if self._others == 1 else wrapped(self._other + _BLEND * off)
        if self._others < _CONFIRM:
            return self._miss(0.0)
        self._azimuth, self._confidence = self._other, confidence
        self._missed = self._others = 0
        return self._azimuth, self._confidence

    def _miss(self, confidence: float) -> tuple[float | None, float]:
        self._missed += 1
        if self._azimuth is None or self._missed >= _HOLD:
            self._azimuth = None
            return None, confidence
        self._confidence *= 0.8
        return self._azimuth, self._confidence
