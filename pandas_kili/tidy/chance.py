"""Agreement beyond chance: Cohen's kappa, Fleiss' kappa and Krippendorff's alpha, for classes without an order."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

Codes = npt.NDArray[np.int64]


def cohen_kappa(first: Codes, second: Codes) -> float | None:
    """Return Cohen's kappa of the classes that two labelers gave, unweighted; None where chance would always agree.

    Parameters
    ----------
    first, second : ndarray of int
        The class of each unit, as a number.
    """
    if not len(first):
        return None
    classes, codes = np.unique(np.concatenate([first, second]), return_inverse=True)
    ours, theirs = (np.bincount(side, minlength=len(classes)) for side in np.split(codes, 2))
    observed = float(np.mean(first == second))
    expected = float(ours @ theirs) / len(first) ** 2
    return None if math.isclose(expected, 1) else (observed - expected) / (1 - expected)


def krippendorff_alpha(units: Codes, classes: Codes) -> float | None:
    """Return Krippendorff's alpha of classes that any number of labelers gave; None where all gave the same.

    Parameters
    ----------
    units : ndarray of int
        What each class was given for; units with one class only tell nothing and are left out.
    classes : ndarray of int
        The classes, as numbers.

    Notes
    -----
    K. Krippendorff, Computing Krippendorff's Alpha-Reliability (2011), nominal data.
    """
    counts = _counts(units, classes)
    sizes = counts.sum(axis=1)
    counts, sizes = counts[sizes > 1], sizes[sizes > 1]
    total = int(sizes.sum())
    if not total:
        return None
    observed = float((((sizes**2) - (counts**2).sum(axis=1)) / (sizes - 1)).sum())
    expected = float(total**2 - (counts.sum(axis=0) ** 2).sum()) / (total - 1)
    return None if expected == 0 else 1 - observed / expected


def fleiss_kappa(units: Codes, classes: Codes) -> float | None:
    """Return Fleiss' kappa; None where not every unit was given the same number of classes, or chance always agrees.

    Parameters
    ----------
    units, classes : ndarray of int
        As for `krippendorff_alpha`.
    """
    counts = _counts(units, classes)
    sizes = counts.sum(axis=1)
    if not len(sizes) or sizes[0] < 2 or np.any(sizes != sizes[0]):  # noqa: PLR2004 - agreement takes two
        return None
    size = int(sizes[0])
    observed = float((((counts**2).sum(axis=1) - size) / (size * (size - 1))).mean())
    expected = float(((counts.sum(axis=0) / counts.sum()) ** 2).sum())
    return None if math.isclose(expected, 1) else (observed - expected) / (1 - expected)


def _counts(units: Codes, classes: Codes) -> Codes:
    """Return how often each class was given for each unit."""
    rows, unit = np.unique(units, return_inverse=True)
    columns, code = np.unique(classes, return_inverse=True)
    flat = np.bincount(unit * max(len(columns), 1) + code, minlength=len(rows) * len(columns))
    return flat.reshape(len(rows), len(columns))
