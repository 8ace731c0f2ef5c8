"""Weights to files and back, and the only home of key renames."""

from streamavis.checkpoint.files import (
    configuration,
    find,
    kind_of,
    load,
    load_avism,
    load_vggish,
    metadata,
    save,
    shipped,
)
from streamavis.checkpoint.reading import read_foreign
from streamavis.checkpoint.reference import Report, avism_from_reference, convert, initialise
from streamavis.checkpoint.vggish import holds_vggish, vggish_from_reference

__all__ = [
    "Report",
    "avism_from_reference",
    "configuration",
    "convert",
    "find",
    "holds_vggish",
    "initialise",
    "kind_of",
    "load",
    "load_avism",
    "load_vggish",
    "metadata",
    "read_foreign",
    "save",
    "shipped",
    "vggish_from_reference",
]
