"""How far boxes overlap, and which of two labelers' boxes are the same object."""

from __future__ import annotations

import itertools

import numpy as np
import numpy.typing as npt

from pandas_kili.tidy.assignment import assign

Floats = npt.NDArray[np.float64]
Whole = npt.NDArray[np.int64]

_FEW = 4  # boxes on one side of a group; up to here all matchings are tried at once


def overlaps_of(first: Floats, second: Floats) -> Floats:
    """Return the intersection over union of boxes, one by one.

    Parameters
    ----------
    first, second : ndarray of shape (n, 4)
        Boxes as ``xmin, ymin, xmax, ymax``.
    """
    sides = np.clip(np.minimum(first[:, 2:], second[:, 2:]) - np.maximum(first[:, :2], second[:, :2]), 0, None)
    shared = sides[:, 0] * sides[:, 1]
    union = _area(first) + _area(second) - shared
    same = np.all(first == second, axis=1).astype(np.float64)  # of two boxes without area, only equal ones overlap
    found: Floats = np.divide(shared, union, out=same, where=union > 0)
    return found


def _area(boxes: Floats) -> Floats:
    area: Floats = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
    return area


def match_groups(
    first: Floats, second: Floats, starts: tuple[Whole, Whole], counts: tuple[Whole, Whole]
) -> tuple[Whole, Floats]:
    """Match boxes one to one within groups, so that the sum of overlaps in each is the greatest.

    Parameters
    ----------
    first, second : ndarray of shape (n, 4) and (m, 4)
        Boxes of one side and of the other.
    starts, counts : tuple of ndarray of int
        Where the boxes of each group begin on either side, and how many they are.

    Returns
    -------
    groups : ndarray of int
        The group of each matched pair.
    overlaps : ndarray of float
        Its overlap, above 0.
    """
    sizes = counts[0] * counts[1]
    group = np.repeat(np.arange(len(sizes)), sizes)
    within = np.arange(len(group)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    row, column = np.divmod(within, counts[1][group])
    found = overlaps_of(first[starts[0][group] + row], second[starts[1][group] + column])
    ends = np.cumsum(sizes)
    groups: list[Whole] = []
    chosen: list[Floats] = []
    shapes, shape_of = np.unique(np.stack(counts, axis=1), axis=0, return_inverse=True)
    for number, (rows, columns) in enumerate(shapes.tolist()):
        members = np.flatnonzero(shape_of.ravel() == number)
        if not rows or not columns:
            continue
        places = (ends - sizes)[members][:, None] + np.arange(rows * columns)
        tables = found[places].reshape(-1, rows, columns)
        tables = tables if rows <= columns else tables.transpose(0, 2, 1)
        best = _best(tables)
        groups.append(np.repeat(members, best.shape[1]))
        chosen.append(best.ravel())
    if not groups:
        return np.zeros(0, np.int64), np.zeros(0)
    all_groups, all_chosen = np.concatenate(groups), np.concatenate(chosen)
    order = np.argsort(all_groups, kind="stable")
    order = order[all_chosen[order] > 0]
    return all_groups[order], all_chosen[order]


def _best(tables: Floats) -> Floats:
    """Return of each table, with at most as many rows as columns, a value per row with the greatest sum."""
    _, rows, columns = tables.shape
    if rows > _FEW or columns > _FEW + 1:
        return np.stack([table[np.arange(rows), assign(-table)] for table in tables])
    ways = np.array(list(itertools.permutations(range(columns), rows)))
    values = tables[:, np.arange(rows), ways]  # by table, matching and row
    found: Floats = values[np.arange(len(tables)), values.sum(axis=2).argmax(axis=1)]
    return found
