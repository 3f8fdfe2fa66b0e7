"""Which row goes with which column, at the least cost: the assignment problem, solved exactly."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def assign(costs: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """Return the column of each row so that the sum of costs is the least.

    The Hungarian method with prices: rows are placed one after another, each along the shortest path of rows that
    move to another column. The time grows with the square of the rows times the columns.

    Parameters
    ----------
    costs : ndarray of shape (n, m)
        Finite costs, with at most as many rows as columns.

    Returns
    -------
    ndarray of int64
        A column per row, none of them twice.

    Examples
    --------
    >>> import numpy as np
    >>> assign(np.array([[4.0, 1.0, 3.0], [2.0, 0.0, 5.0]])).tolist()
    [1, 0]
    """
    rows, columns = costs.shape
    holder = np.full(columns, -1)  # the row that has each column
    row_price, column_price = np.zeros(rows), np.zeros(columns)
    for row in range(rows):
        distance = costs[row] - row_price[row] - column_price
        previous = np.full(columns, -1)  # the column before on the path; -1 where the path begins
        done = np.zeros(columns, bool)
        column = int(np.argmin(distance))
        while holder[column] >= 0:
            done[column] = True
            moved = holder[column]
            through = distance[column] + costs[moved] - row_price[moved] - column_price
            shorter = ~done & (through < distance)
            distance[shorter], previous[shorter] = through[shorter], column
            column = int(np.argmin(np.where(done, np.inf, distance)))
        gain = distance[column] - distance[done]
        row_price[row] += distance[column]
        row_price[holder[done]] += gain
        column_price[done] -= gain
        while previous[column] >= 0:
            holder[column] = holder[previous[column]]
            column = int(previous[column])
        holder[column] = row
    found = np.empty(rows, np.int64)
    found[holder[holder >= 0]] = np.flatnonzero(holder >= 0)
    return found
