"""The assignment, held to that of SciPy."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy
from scipy.optimize import linear_sum_assignment

from pandas_kili.tidy.assignment import assign

shapes = st.tuples(st.integers(0, 7), st.integers(0, 7)).map(sorted).map(tuple)
costs = shapes.flatmap(
    lambda shape: st_numpy.arrays(np.float64, shape, elements=st.one_of(st.integers(-3, 3), st.floats(-1, 1)))
)


@given(costs)
def test_no_assignment_costs_less(costs):
    columns = assign(costs)
    rows, best = linear_sum_assignment(costs)
    assert len(set(columns.tolist())) == len(costs)
    assert costs[np.arange(len(costs)), columns].sum() == pytest.approx(costs[rows, best].sum(), abs=1e-9)


@pytest.mark.parametrize("shape", [(60, 60), (30, 90)])
def test_larger_ones_are_solved_too(shape):
    costs = np.random.default_rng(7).random(shape)
    rows, best = linear_sum_assignment(costs)
    assert costs[np.arange(len(costs)), assign(costs)].sum() == pytest.approx(costs[rows, best].sum())
