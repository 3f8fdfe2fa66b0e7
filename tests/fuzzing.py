"""What the fuzz tests share: values, columns and frames of every kind, and what may come of them."""

import contextlib
import decimal
import faulthandler
import fractions
import os
import warnings

import numpy as np
import pandas as pd
import pyarrow as pa
from hypothesis import strategies as st

import pandas_kili as pk

EFFORT = float(os.environ.get("FUZZ", "1"))  # times the examples of an ordinary run

TEXTS = st.one_of(
    st.text(),
    st.text(st.characters(categories=["Cs", "Cc", "Lo"])),
    st.sampled_from(["", " ", "\x00", "\ud800", "a\x00b", "2024-01-01", "0", "nan", "null", "{}", "[", "LABELED", "é"]),
)
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from([2**31, -(2**31) - 1, 2**63, 2**64, -(2**63) - 1, 10**400]),
    st.floats(),
    st.decimals(),
    st.fractions(),
    st.complex_numbers(),
    TEXTS,
    st.binary(),
    st.dates(),
    st.datetimes(timezones=st.none() | st.timezones()),
    st.timedeltas(),
    st.times(),
    st.uuids(),
    st.sampled_from(
        [pd.NA, pd.NaT, np.nan, np.datetime64("NaT"), pd.Timestamp(0), pd.Timestamp("2024-01-01", tz="UTC")]
    ),
    st.sampled_from(
        [np.int8(1), np.uint64(2**64 - 1), np.float32("inf"), np.bool_(True), np.str_("x"), np.bytes_(b"x")]
    ),
    st.sampled_from([pd.Timedelta(1), pd.Interval(0, 1), pd.Period("2024"), pa.scalar("x"), pa.scalar(None), ...]),
    st.sampled_from([object(), print, int, range(3), decimal.Decimal("sNaN"), fractions.Fraction(1, 3)]),
)
HASHABLE = st.one_of(st.none(), st.booleans(), st.integers(), TEXTS, st.floats(), st.dates(), st.uuids())
NESTED = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.tuples(inner, inner),
        st.dictionaries(TEXTS | HASHABLE, inner, max_size=3),
    ),
    max_leaves=6,
)


def examples(count):
    """Return how many examples to take where an ordinary run takes so many."""
    return max(2, round(count * EFFORT))


def quietly(make):
    """Build what pandas or Arrow may refuse to build."""

    def built(values):
        with contextlib.suppress(Exception), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return make(values)
        return None

    return built


LISTS = st.lists(TEXTS | SCALARS, max_size=5)
CONTAINERS = st.one_of(
    LISTS.map(quietly(pd.Series)),
    LISTS.map(quietly(pd.Index)),
    LISTS.map(quietly(np.array)),
    LISTS.map(quietly(pa.array)),
    LISTS.map(quietly(lambda values: pa.chunked_array([values, values]))),
    LISTS.map(quietly(lambda values: pd.DataFrame({"a": values}))),
    LISTS.map(quietly(lambda values: pd.Series(values, dtype="category"))),
    LISTS.map(quietly(lambda values: np.array([values, values]))),
    LISTS.map(iter),
    st.sets(HASHABLE, max_size=4),
    st.frozensets(HASHABLE, max_size=4),
)
ANYTHING = NESTED | CONTAINERS

ARROW = st.sampled_from(
    [
        pa.string(), pa.large_string(), pa.string_view(), pa.binary(), pa.int8(), pa.uint64(), pa.int64(), pa.float16(),
        pa.float64(), pa.bool_(), pa.date32(), pa.date64(), pa.time64("ns"), pa.timestamp("ns"),
        pa.timestamp("s", "UTC"),
        pa.duration("ms"), pa.decimal128(20, 3), pa.null(), pa.list_(pa.string()), pa.large_list(pa.int64()),
        pa.list_(pa.float64(), 2), pa.struct([("email", pa.string()), ("n", pa.float64())]),
        pa.list_(pa.struct([("user", pa.struct([("email", pa.string())]))])), pa.map_(pa.string(), pa.int64()),
        pa.dictionary(pa.int8(), pa.string()),
    ]
)  # fmt: skip
PANDAS = st.sampled_from(
    [
        "object", "string", "string[python]", "string[pyarrow]", "str", "category", "Int8", "Int64", "UInt64",
        "Float32",
        "Float64", "boolean", "bool", "int8", "int64", "uint64", "float16", "float64", "complex128", "datetime64[ns]",
        "datetime64[s]", "datetime64[ns, UTC]", "datetime64[ns, Europe/Paris]", "timedelta64[ns]", "period[D]",
        "interval[int64]", "Sparse[int64]", "Sparse[float64]", "S5", "U5", "bytes",
    ]
)  # fmt: skip
CELLS = st.lists(
    SCALARS | NESTED | st.sampled_from(["LABELED", '{"a": 1}', "[1]", '{"a": NaN}', 0.5, 1, 7, True, ["a@b.org"]]),
    min_size=4,
    max_size=4,
)


@st.composite
def columns(draw):
    """Four cells as a column of whatever dtype takes them."""
    cells = draw(CELLS | CELLS.map(lambda cells: [cells[0]] * 4))
    dtype = draw(st.one_of(st.just("object"), PANDAS, ARROW.map(pd.ArrowDtype)))
    for make in (
        lambda: pd.Series(cells, dtype=dtype),
        lambda: pd.Series(pd.Series(cells).convert_dtypes(dtype_backend="pyarrow")),
        lambda: pd.Series(cells, dtype=object),
    ):
        with contextlib.suppress(Exception), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            column = make()
            repr(column)  # what pandas itself cannot show, hypothesis cannot either
            return column
    return pd.Series([None] * 4, dtype=object)


@contextlib.contextmanager
def only_our_errors(passing=(pk.KiliError,)):
    """Let errors and warnings of our tree pass."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "This server computes the status", UserWarning)
        warnings.filterwarnings("ignore", ".*U\\+FFFD", UserWarning)
        warnings.filterwarnings("ignore", category=pk.KiliDeclinedWarning)
        warnings.filterwarnings("ignore", category=pk.KiliConsistencyWarning)
        with contextlib.suppress(*passing):
            yield


@contextlib.contextmanager
def no_hang(seconds=900):
    """If something does not end, print what each thread is doing, and end the process."""
    faulthandler.dump_traceback_later(seconds * max(1, EFFORT), exit=True)
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()
