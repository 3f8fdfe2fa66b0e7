"""One color per category; people with color blindness can tell them apart too."""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#f0e442", "#999999")
"""The palette of Okabe and Ito (https://jfly.uni-koeln.de/color/), with gray instead of black."""

LIGHT, DARK = "#ffffff", "#101418"
DASHES = ("", "6 3", "2 3")
"""Line styles: beyond the palette, colors repeat with dashed, then dotted lines."""
HATCHES = ("", "//", "..")
"""The same of bars in charts."""

JobClass = tuple[str, str]
"""A job and one of its classes; without a class, the job's name stands for it."""


class Tone(NamedTuple):
    """How a category is drawn: the positions of its color and dashes."""

    color: int
    dash: int

    @property
    def classes(self) -> str:
        """Return the names of its classes in the style sheet."""
        return f"kp-c{self.color} kp-d{self.dash}"


class Palette:
    """The colors of categories: each has the same one in every gallery and chart of its project.

    The place in the project's interface decides, which keeps 24 categories apart. Where it is unknown, a hash of the
    names decides: then two categories may have the same color.

    Parameters
    ----------
    categories : iterable of tuple
        Every use of a category.
    known : sequence of tuple
        All categories of the project, in the order of its interface.
    """

    def __init__(self, categories: Iterable[JobClass], known: Sequence[JobClass] = ()) -> None:
        self.counts = Counter(categories)
        places = {category: place for place, category in enumerate(known)}
        order = sorted(self.counts, key=lambda category: (places.get(category, len(places)), category))
        self.tones: dict[JobClass, Tone] = {
            category: _tone(places[category] if category in places else _hash(category)) for category in order
        }

    def __getitem__(self, category: JobClass) -> Tone:
        return self.tones[category]


def _hash(category: JobClass) -> int:
    return zlib.crc32("\0".join(category).encode("utf-8", "replace"))


def _tone(number: int) -> Tone:
    return Tone(number % len(COLORS), number // len(COLORS) % len(DASHES))


def outline(color: str) -> str:
    """Return light or dark, whichever contrasts more with a color."""
    return max((LIGHT, DARK), key=lambda other: contrast(color, other))


def contrast(one: str, other: str) -> float:
    """Return the contrast ratio of two colors as WCAG 2 defines it, from 1 to 21."""
    darker, lighter = sorted((_luminance(one), _luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def _luminance(color: str) -> float:
    shares = [int(color[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    red, green, blue = (share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4 for share in shares)  # noqa: PLR2004 - sRGB
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
