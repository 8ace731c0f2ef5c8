"""Which class of a model each label of the material belongs to."""

from __future__ import annotations

from dataclasses import dataclass, replace

from streamavis.errors import ArgumentError

__all__ = ["REAL_WORLD", "Vocabulary"]


@dataclass(frozen=True)
class Vocabulary:
    """The classes of a model, and how labels of pictures and of sounds map to them.

    A label that maps to no class is no error: such an object is background, such a sound is heard
    off screen.
    """

    classes: tuple[str, ...]
    pictures: dict[str, str]  # label of a picture -> class, where they differ
    sounds: dict[str, str]  # label of a sound -> class, where they differ
    engines: tuple[str, ...] = ()  # classes whose motors cannot be told apart by sound
    # Label of a sound without a class -> classes that may be heard in it.
    maybe: dict[str, tuple[str, ...]] | None = None

    def only(self, names: tuple[str, ...]) -> Vocabulary:
        """Some of the classes, in the order of this vocabulary; the rest has no class.

        Raises:
            ArgumentError: a name is no class, or none is given.
        """
        unknown = [name for name in names if name not in self.classes]
        if unknown or not names:
            raise ArgumentError(
                f"classes {', '.join(unknown) or 'are none'}: expected some of "
                f"{', '.join(self.classes)}"
            )
        maybe = {
            label: tuple(name for name in found if name in names)
            for label, found in (self.maybe or {}).items()
        }
        return replace(
            self,
            classes=tuple(name for name in self.classes if name in names),
            engines=tuple(name for name in self.engines if name in names),
            maybe={label: found for label, found in maybe.items() if found},
        )

    def picture_class(self, label: str) -> int:
        """Class of an object with this label, -1 for none."""
        return self._index(self.pictures.get(label, label))

    def sound_classes(self, label: str, name: str) -> tuple[int, ...]:
        """Classes a sound can be played for, its own first; () for none.

        Args:
            label: of the sound.
            name: file name and subclass; a horn or siren is not an engine.
        """
        own = self.sounds.get(label, label)
        index = self._index(own)
        if index < 0:
            return ()
        signal = any(word in name.lower() for word in ("horn", "honk", "siren"))
        if own not in self.engines or signal:
            return (index,)
        return (index, *(self._index(other) for other in self.engines if other != own))

    def maybe_classes(self, label: str) -> tuple[int, ...]:
        """Classes that may be heard in a sound without a class of its own."""
        return tuple(self._index(name) for name in (self.maybe or {}).get(label, ()))

    def _index(self, name: str) -> int:
        return self.classes.index(name) if name in self.classes else -1


_BIRDS = {"rooster": "bird", "chicken": "bird", "hen": "bird"}
_CARS = {"vehicle": "car", "bus": "car", "truck": "car"}
_PLAYED = {
    "electric_guitar": "guitar",
    "mandolin": "guitar",
    "banjo": "guitar",
    "trumpet": "brass",
    "tuba": "brass",
    "trombone": "brass",
    "horn": "brass",
}
_PLAYERS = ("guitar", "violin", "piano", "accordion", "drum", "saxophone", "brass")

REAL_WORLD = Vocabulary(
    classes=(
        "person",
        "dog",
        "cat",
        "bird",
        "horse",
        "car",
        "motorcycle",
        "airplane",
        *_PLAYERS,
    ),
    pictures={**_BIRDS, **_CARS, **_PLAYED, "helicopter": "airplane"},
    sounds={
        **_BIRDS,
        **_CARS,
        **_PLAYED,
        "helicopter": "airplane",
        "speech": "person",
        "offscreen_baby": "person",
    },
    engines=("car", "motorcycle"),
    maybe={
        "offscreen_music": ("person", *_PLAYERS),
        "offscreen_voices": ("person",),
        "offscreen_applause": ("person",),
    },
)
