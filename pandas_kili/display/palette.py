"""One color a category, told apart by those who see fewer of them too."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#f0e442", "#999999")
"""The palette of Okabe and Ito (https://jfly.uni-koeln.de/color/), gray in the place of black."""

LIGHT, DARK = "#ffffff", "#101418"
DASHES = ("", "6 3", "2 3")
"""Lines of categories beyond the palette: the same colors again, dashed, then dotted."""

Category = tuple[str, str]
"""A job, and a class of it; the job's own name stands for the class where there is none."""


class Tone(NamedTuple):
    """How a category is drawn: which color, and which dashes."""

    color: int
    dash: int

    @property
    def classes(self) -> str:
        """Return the names by which the style sheet knows it."""
        return f"kp-c{self.color} kp-d{self.dash}"


class Palette:
    """The colors of the categories of a gallery.

    Parameters
    ----------
    categories : iterable of tuple
        Every use of a category; within a job, those used most get the colors that differ most.
    """

    def __init__(self, categories: Iterable[Category]) -> None:
        self.counts = Counter(categories)
        order = sorted(self.counts, key=lambda category: (category[0], -self.counts[category], category[1]))
        self.tones = {category: _tone(number) for number, category in enumerate(order)}

    def __getitem__(self, category: Category) -> Tone:
        return self.tones[category]


def _tone(number: int) -> Tone:
    return Tone(number % len(COLORS), number // len(COLORS) % len(DASHES))


def outline(color: str) -> str:
    """Return what stands out against a color: light or dark, whichever contrasts more."""
    return max((LIGHT, DARK), key=lambda other: contrast(color, other))


def contrast(one: str, other: str) -> float:
    """Return the contrast ratio of two colors as WCAG 2 defines it, from 1 to 21."""
    darker, lighter = sorted((_luminance(one), _luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def _luminance(color: str) -> float:
    shares = [int(color[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    red, green, blue = (share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4 for share in shares)  # noqa: PLR2004 - sRGB
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
