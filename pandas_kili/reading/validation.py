"""The schema that frames are held to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import pandas as pd

from pandas_kili.catalog import DEFAULT_FIELDS
from pandas_kili.messages import FailureCase, listed, plural, validation_error, warn
from pandas_kili.query import Column, Fields, known_fields, select

if TYPE_CHECKING:
    import pandera.pandas as pa_schema

_MOST_CASES = 10_000  # failure cases kept in an error; a million bad rows need no million lines


def asset_schema(fields: Fields = DEFAULT_FIELDS) -> pa_schema.DataFrameSchema:
    """Return the pandera schema that `read_kili` holds its frames to.

    Parameters
    ----------
    fields : iterable of str or mapping of str to pyarrow.DataType
        As for `read_kili`.

    Returns
    -------
    pandera.pandas.DataFrameSchema
        One `pandas.ArrowDtype` column per field; `id` unique and not null, marks within 0 and 1, values of few choices
        among the known ones. Other columns may be there beside them.

    Raises
    ------
    KiliFieldError
        For a field that Kili does not have.

    Examples
    --------
    >>> import pandas_kili as pk
    >>> pk.asset_schema(["id", "consensusMark"]).columns["consensusMark"].dtype
    DataType(double[pyarrow])
    """
    import pandera.pandas as pandera  # noqa: PLC0415 - costs more to import than pyarrow, and not every read validates

    selection = select(fields)
    return pandera.DataFrameSchema(
        {column.name: _pandera_column(pandera, column) for column in selection.columns}, name="Asset"
    )


def _pandera_column(pandera: Any, column: Column) -> Any:
    known = known_fields(column.name)
    leaf = known[-1] if len(known) == column.name.count(".") + 1 else None
    identity = column.name == "id"
    checks = []
    if leaf is not None and leaf.mark:
        checks.append(pandera.Check.in_range(0, 1))
    if leaf is not None and leaf.choices:
        checks.append(pandera.Check.isin(leaf.choices))
    return pandera.Column(pd.ArrowDtype(column.type), checks, nullable=not identity, unique=identity)


def validate_frame(frame: pd.DataFrame, schema: pa_schema.DataFrameSchema, mode: bool | Literal["warn"]) -> None:
    """Hold a frame to a schema: raise all failures at once, or warn of them."""
    if not mode:
        return
    from pandera.errors import SchemaErrors  # noqa: PLC0415 - as in `asset_schema`

    try:
        schema.validate(frame, lazy=True)
    except SchemaErrors as error:
        cases = _cases(frame.index, error.failure_cases.head(_MOST_CASES))
        failure = validation_error(_summary(cases, len(error.failure_cases)), cases)
    else:
        return
    if mode == "warn":
        warn(str(failure))
    else:
        raise failure  # out here, where it has no context: that would hold the frame, and go along in some pickles


def _cases(index: pd.Index, found: pd.DataFrame) -> list[FailureCase]:
    """Return pandera's failures in the one shape; those of a whole column belong to no row."""
    cases = []
    for label, column, check, value in zip(
        *(found[name].tolist() for name in ("index", "column", "check", "failure_case")), strict=True
    ):
        in_row = label is not None and not pd.isna(label)
        row = int(index.get_indexer(pd.Index([label]))[0]) if in_row else None
        # What fails in a whole column, its type or that it is there, pandera notes under the name of the schema.
        whole = value if column is None or check == "column_in_dataframe" else column
        cases.append(FailureCase(label if in_row else None, row, whole, check, value))
    return cases


def _summary(cases: list[FailureCase], total: int) -> str:
    items = [
        f"column {case.column!r}"
        + ("" if case.row is None else f", row {case.index}")
        + f": {case.failure_case!r} fails {case.check}"
        for case in cases[:5]
    ]
    count = plural(total, "value does not fit", "values do not fit")
    return (
        f"{count} the schema: {listed(items, total=total, where=' in .failure_cases')}."
        " validate='warn' gives the frame all the same."
    )
