"""Which class of a task a data set's label means: by name, with the synonyms data sets use."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streamavis.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

__all__ = ["AVISEG", "ClassMap"]

# AVISeg's categories in their order; ids 1..26 in its files.
AVISEG: tuple[str, ...] = (
    *("person", "violin", "guitar", "cello", "flute", "piano", "ukulele", "accordion", "guzheng"),
    *("clarinet", "cat", "car", "saxophone", "dog", "lawn_mover", "tuba", "banjo", "pipa"),
    *("bassoon", "airplane", "tree_harvester", "trumpet", "lion", "bass", "erhu", "horse"),
)
_SYNONYMS = {
    "aeroplane": "airplane",
    "plane": "airplane",
    "automobile": "car",
    "sedan": "car",
    "bike": "bicycle",
    "double bass": "bass",
    "contrabass": "bass",
    "lawn mover": "lawn mower",  # as AVISeg spells it
    "motorbike": "motorcycle",
    "people": "person",
    "human": "person",
    "sax": "saxophone",
}


class ClassMap:
    """From the labels of a data set to the classes of a task."""

    def __init__(
        self,
        labels: Sequence[str],
        classes: Sequence[str],
        aliases: Mapping[str, str] | None = None,
    ) -> None:
        """Match names without regard to case, `_`, `-` and the usual synonyms.

        Args:
            labels: of the data set.
            classes: K names of the task.
            aliases: label -> class, before everything else.

        Raises:
            InputError: no label is a class of the task, or an alias names none.
        """
        known = {_plain(name): i for i, name in enumerate(classes)}
        own = {_plain(label): _plain(name) for label, name in (aliases or {}).items()}
        if unknown := [name for name in own.values() if name not in known]:
            raise InputError(
                f"an alias names the class {unknown[0]!r}; expected one of {', '.join(classes)}"
            )
        self._ids = [known.get(own.get(_plain(label), _plain(label))) for label in labels]
        if labels and all(found is None for found in self._ids):
            raise InputError(
                f"none of the labels {_some(labels)} is one of the classes {_some(classes)};"
                " name aliases, or leave this data set out"
            )

    def of(self, label: int) -> int | None:
        """Class of a label by its place; None: not a class of the task."""
        return self._ids[label]


def _plain(name: str) -> str:
    plain = " ".join(name.lower().replace("_", " ").replace("-", " ").split())
    return _SYNONYMS.get(plain, plain)


def _some(names: Iterable[str]) -> str:
    listed = list(names)
    return ", ".join(listed[:8]) + (", ..." if len(listed) > 8 else "")
