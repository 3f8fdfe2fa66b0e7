"""The reference of fields and filters, as frames."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd
import pyarrow as pa

from pandas_kili.catalog.assets import FILTERS
from pandas_kili.catalog.entities import ENTITIES
from pandas_kili.catalog.terms import Entity, Field

# What users may write for each kind of filter.
TAKES = {
    "id": "an id",
    "text": "a text",
    "texts": "a list of texts",
    "step names": "a list of names",
    "names": "a list of names",
    "people": "a list of e-mail addresses or user ids",
    "mark": "a number from 0 to 1",
    "flag": "True or False",
    "date": "a day or an instant",
    "day": "a day",
    "metadata": "a dict",
    "category search": "a text such as 'JOB.CAT.count > 0'",
}
_DEEPEST = 3  # names in a path; deeper ones exist, as an asset leads to itself


def fields() -> pd.DataFrame:
    """Return the fields of assets that `read_kili` knows.

    Returns
    -------
    pandas.DataFrame
        One row per dotted path of up to three names: ``field``, ``type`` (the Arrow type of the value), ``note``, and
        ``choices`` (the values that the server is known to give, where they are few). All columns are ``string``.

    Examples
    --------
    >>> import pandas_kili as pk
    >>> pk.fields().query("field == 'priority'")[["type", "note"]].values.tolist()
    [['int64', 'higher is labeled earlier']]
    """
    rows = [
        {"field": path, "type": str(field.type), "note": field.note, "choices": ", ".join(field.choices)}
        for path, field in leaves(ENTITIES["Asset"])
    ]
    return _frame(rows)


def filters() -> pd.DataFrame:
    """Return the filters that `read_kili` and `count_assets` take.

    Returns
    -------
    pandas.DataFrame
        One row per keyword: ``filter``, ``takes``, ``note`` (which assets match), and ``choices`` (the only values that
        it takes, where they are few). All columns are ``string``.

    Examples
    --------
    >>> import pandas_kili as pk
    >>> pk.filters().query("filter == 'status_in'")["choices"].item()
    'TODO, ONGOING, LABELED, TO_REVIEW, REVIEWED'
    """
    rows = [
        {"filter": each.keyword, "takes": TAKES[each.kind], "note": each.note, "choices": ", ".join(each.choices)}
        for each in FILTERS
    ]
    return _frame(rows)


def leaves(root: Entity, depth: int = _DEEPEST) -> Iterator[tuple[str, Field]]:
    """Yield the fields with a value within so many steps of an entity, each with its dotted path."""
    for field in root.fields:
        if field.type is not None:
            yield field.name, field
        elif depth > 1:
            yield from ((f"{field.name}.{rest}", leaf) for rest, leaf in leaves(ENTITIES[field.to], depth - 1))


def _frame(rows: list[dict[str, str]]) -> pd.DataFrame:
    frame: pd.DataFrame = pa.Table.from_pylist(rows).to_pandas(types_mapper=pd.ArrowDtype)
    return frame
