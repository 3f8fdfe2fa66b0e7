"""From filter keywords to the ``where`` of a query: checked first, all problems at once."""

from __future__ import annotations

import datetime as dt
import inspect
import itertools
import numbers
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias, TypedDict, TypeVar, get_type_hints

import numpy as np
import pandas as pd
import pyarrow as pa

from pandas_kili import scalars
from pandas_kili.catalog import FILTERS, IN_LIMIT, Filter
from pandas_kili.errors import KiliFilterError
from pandas_kili.messages import nearest, shown
from pandas_kili.parallel import chunked
from pandas_kili.query.category_search import CategorySearchError, check_category_search

Texts: TypeAlias = Iterable[str]  # lists, sets, Series, Index, arrays of NumPy and Arrow
Date: TypeAlias = str | dt.date | np.datetime64  # `datetime` and `Timestamp` are dates too
Where: TypeAlias = dict[str, Any]


class AssetFilters(TypedDict, total=False):
    """The keywords that narrow `read_kili` and `count_assets`, so that editors complete them."""

    asset_id: str
    asset_id_in: Texts
    asset_id_not_in: Texts
    external_id_strictly_in: Texts
    external_id_contains: Texts
    external_id_in: Texts
    status_in: Texts
    skipped: bool
    metadata_where: Mapping[str, Any]
    consensus_mark_gte: float
    consensus_mark_lte: float
    consensus_mark_gt: float
    consensus_mark_lt: float
    honeypot_mark_gte: float
    honeypot_mark_lte: float
    honeypot_mark_gt: float
    honeypot_mark_lt: float
    inference_mark_gte: float
    inference_mark_lte: float
    created_at_gte: Date
    created_at_lte: Date
    updated_at_gte: Date
    updated_at_lte: Date
    assignee_in: Texts
    assignee_not_in: Texts
    issue_type: str
    issue_status: str
    step_name_in: Texts
    step_name_not_in: Texts
    step_status_in: Texts
    step_status_not_in: Texts
    label_type_in: Texts
    label_author_in: Texts
    label_labeler_in: Texts
    label_labeler_not_in: Texts
    label_reviewer_in: Texts
    label_reviewer_not_in: Texts
    label_created_at: Date
    label_created_at_gte: Date
    label_created_at_lte: Date
    label_created_at_gt: Date
    label_created_at_lt: Date
    label_consensus_mark_gte: float
    label_consensus_mark_lte: float
    label_consensus_mark_gt: float
    label_consensus_mark_lt: float
    label_honeypot_mark_gte: float
    label_honeypot_mark_lte: float
    label_honeypot_mark_gt: float
    label_honeypot_mark_lt: float
    label_category_search: str


_Function = TypeVar("_Function", bound=Callable[..., Any])


def with_filters(function: _Function) -> _Function:
    """Name the filters in the signature of a function that takes them as ``**filters``, so that TAB completes them."""
    signature = inspect.signature(function)
    named = [each for each in signature.parameters.values() if each.kind is not inspect.Parameter.VAR_KEYWORD]
    filters = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=kind)
        for name, kind in get_type_hints(AssetFilters).items()
    ]
    function.__signature__ = signature.replace(parameters=[*named, *filters])  # type: ignore[attr-defined]  # `inspect` looks there
    return function


def _described() -> str:
    """Return a line per filter, for `help`."""
    width = max(len(item.keyword) for item in FILTERS)
    lines = "\n".join(f"        {item.keyword:<{width}}  {item.note}" for item in FILTERS)
    head = "All that are given must hold. An asset matches if it has, or is::"
    return f"{AssetFilters.__doc__}\n\n    {head}\n\n{lines}\n    "


AssetFilters.__doc__ = _described()


Lookup: TypeAlias = Literal["steps", "people"]


@dataclass(frozen=True, slots=True)
class Query:
    """Which assets are wanted: a conjunction of values, each at its place in ``where``.

    Attributes
    ----------
    project_id : str
    conditions : dict
        Checked values by their dotted place in ``where``.
    lookups : dict
        What the values at some places name, where the server takes ids that only it knows: ``"steps"`` by their names,
        or ``"people"`` by their e-mail addresses.
    """

    project_id: str
    conditions: dict[str, Any] = field(default_factory=dict)
    lookups: dict[str, Lookup] = field(default_factory=dict)

    @property
    def matches_nothing(self) -> bool:
        """Whether an ``_in`` list is empty, so that no asset can match."""
        return any(value == [] for value in self.conditions.values())

    @property
    def long_lists(self) -> set[str]:
        """Places of the ``_in`` lists that are longer than the server takes."""
        return {
            path
            for path, value in self.conditions.items()
            if path.endswith("In") and not path.endswith("NotIn") and len(value) > IN_LIMIT
        }

    def wheres(self) -> Iterator[Where]:
        """Yield the ``where`` of each request: several where a list is longer than the server takes."""
        long = self.long_lists
        for parts in itertools.product(*(chunked(self.conditions[path], IN_LIMIT) for path in long)):
            yield _nest({"project.id": self.project_id, **self.conditions, **dict(zip(long, parts, strict=True))})


def asset_query(project_id: str, filters: Mapping[str, Any]) -> Query:
    """Check filter keywords and values, and say where each goes.

    Parameters
    ----------
    project_id : str
    filters : mapping
        Keywords of `AssetFilters`; a value of None is no filter, and so is an empty ``_not_in`` list.

    Raises
    ------
    KiliFilterError
        With every problem of the call.
    """
    known = {item.keyword: item for item in FILTERS}
    found: dict[str, tuple[Filter, Any]] = {}
    problems: dict[str, str] = {}
    if not isinstance(project_id, str) or not project_id.strip():
        problems["project_id"] = f"must be the identifier of a project, a string; got {shown(project_id)}"
    for keyword, value in filters.items():
        item = known.get(keyword)
        if item is None:
            problems[keyword] = _unknown(keyword, known)
        elif value is not None and item.path in found:
            problems[keyword] = f"says the same as {found[item.path][0].keyword}; give one of them"
        elif value is not None:
            found[item.path] = (item, None)
            try:
                found[item.path] = (item, _checked(item, value))
            except (TypeError, ValueError, OverflowError) as error:
                problems[keyword] = str(error)
    if problems:
        text = "; ".join(f"{keyword}: {problem}" for keyword, problem in problems.items())
        raise KiliFilterError(text if text.endswith("?") else text + ".", problems=problems)
    wanted = {path: (item, value) for path, (item, value) in found.items() if value or not path.endswith("NotIn")}
    return Query(
        project_id,
        {path: value for path, (_, value) in wanted.items()},
        {path: lookup for path, (item, value) in wanted.items() if (lookup := _lookup(item, value))},
    )


def _lookup(item: Filter, value: Any) -> Lookup | None:
    """Return what has to be looked up, where values are names and not ids; no id holds an ``@``."""
    if item.kind == "step names" and value:
        return "steps"
    return "people" if item.kind == "people" and any("@" in each for each in value) else None


def _nest(values: Mapping[str, Any]) -> Where:
    where: Where = {}
    for path, value in values.items():
        *way, leaf = path.split(".")
        node = where
        for name in way:
            node = node.setdefault(name, {})
        node[leaf] = value
    return where


# Keywords of the official SDK and of pandas, by what to write here.
_ELSEWHERE = {
    "limit": "first=",
    "nrows": "first=",
    "as_generator": "chunksize=",
    "iterator": "chunksize=",
    "columns": "fields=",
    "usecols": "fields=",
    "step_id_in": "step_name_in=",
    "step_id_not_in": "step_name_not_in=",
    "label_author_not_in": "label_labeler_not_in=",
}
_NEEDLESS = {"format", "label_output_format"}  # of the official SDK


def _unknown(keyword: str, known: Iterable[str]) -> str:
    if keyword in _ELSEWHERE:
        return f"no such argument; use {_ELSEWHERE[keyword]}"
    if keyword in _NEEDLESS:
        return "no such argument; leave it out: the result is always a frame"
    near = nearest(keyword, known)
    return "no such filter" + (f"; did you mean {' or '.join(near)}?" if near else "")


def _checked(item: Filter, value: Any) -> Any:
    """Return a value as the server takes it: of the filter's kind, among its choices, and no list that is too long."""
    checked = CHECKS[item.kind](value)
    if item.path.endswith("NotIn") and len(checked) > IN_LIMIT:
        raise ValueError(
            f"takes at most {IN_LIMIT} entries, got {len(checked)}: read all, then drop them from the frame"
        )
    given = checked if isinstance(checked, list) else [checked]
    wrong = [text for text in given if item.choices and text not in item.choices]
    if wrong:
        raise ValueError(f"no such value: {', '.join(map(repr, wrong[:5]))}; there are {', '.join(item.choices)}")
    return checked


def _id(value: Any) -> str:
    if not scalars.text(value):
        raise ValueError("must not be empty")
    return str(value)


def _texts(value: Any) -> list[str]:
    if isinstance(value, (str, bytes)):
        raise TypeError(f"takes a list; write [{shown(value)}]")
    if isinstance(value, (Mapping, pd.DataFrame)) or not isinstance(value, (Iterable, pa.Array, pa.ChunkedArray)):
        raise TypeError(f"takes a list of strings; got {shown(value)}")
    if isinstance(value, (pa.Array, pa.ChunkedArray)):
        items = value.to_pylist()
    else:
        items = sorted(value, key=str) if isinstance(value, (set, frozenset)) else list(value)
    wrong = [
        f"{shown(item)} at position {position}" for position, item in enumerate(items) if not isinstance(item, str)
    ]
    if wrong:
        raise TypeError(f"takes strings; got {', '.join(wrong[:5])}" + (", ..." if wrong[5:] else ""))
    return list(dict.fromkeys(scalars.text(item) for item in items))


def _names(value: Any) -> list[str]:
    names = _texts(value)
    if any("@" in name for name in names):
        raise ValueError(
            "takes first, last or full names; for e-mail addresses use label_labeler_in, label_reviewer_in"
        )
    return names


def as_date(value: Any) -> str:
    """Return a date as the server reads it: a day, or an instant in UTC."""
    moment = _moment(value)
    if not isinstance(moment, dt.datetime):
        return moment.isoformat()
    utc = moment.replace(tzinfo=dt.UTC) if moment.tzinfo is None else moment.astimezone(dt.UTC)
    precision = "milliseconds" if utc.microsecond % 1000 == 0 else "microseconds"
    return utc.replace(tzinfo=None).isoformat(timespec=precision) + "Z"


def _day(value: Any) -> str:
    day, _, time = as_date(value).partition("T")
    if time.strip("0:.Z"):
        raise ValueError(f"takes a day, YYYY-MM-DD, or its first instant in UTC; got {shown(value)}")
    return day


def _moment(value: Any) -> dt.date | dt.datetime:
    if isinstance(value, np.datetime64):
        value = pd.Timestamp(value)
    if value is pd.NaT:
        raise ValueError("must be a date; got NaT")
    if isinstance(value, pd.Timestamp):
        return value.to_pydatetime(warn=False)
    if isinstance(value, dt.date):
        return value
    if not isinstance(value, str):
        raise TypeError(
            f"must be a date: 'YYYY-MM-DD', an ISO date-time, date, datetime or Timestamp; got {shown(value)}"
        )
    try:
        return dt.date.fromisoformat(value) if len(value) == len("YYYY-MM-DD") else dt.datetime.fromisoformat(value)
    except ValueError:
        raise ValueError(f"must be 'YYYY-MM-DD' or an ISO date-time; got {shown(value)}") from None


def _metadata(value: Any) -> dict[str, Any]:
    """Check metadata conditions: a value, a list of texts (any of), or two numbers (closed range)."""
    if not isinstance(value, Mapping) or not value:
        raise TypeError(f"must be a dict such as {{'key': 'value'}}; got {shown(value)}")
    return {_id(key): _condition(key, wanted) for key, wanted in value.items()}


def _condition(key: str, wanted: Any) -> Any:
    if isinstance(wanted, str):
        return scalars.text(wanted)
    if isinstance(wanted, (bool, np.bool_)):
        return bool(wanted)
    if isinstance(wanted, (numbers.Real, np.number)):
        return scalars.number(wanted)
    refused = f"the condition on {shown(key)} is a value, a list of texts or two numbers; got {shown(wanted)}"
    if isinstance(wanted, Mapping) or not isinstance(wanted, (Iterable, pa.Array, pa.ChunkedArray)):
        raise TypeError(refused)
    items = wanted.to_pylist() if isinstance(wanted, (pa.Array, pa.ChunkedArray)) else list(wanted)
    if items and all(isinstance(item, str) for item in items):
        return [scalars.text(item) for item in items]
    if not items or any(isinstance(item, str) for item in items):
        raise ValueError(refused)
    match [scalars.number(item) for item in items]:
        case [low, high] if low <= high:
            return [low, high]
    raise ValueError(
        f"numbers in the condition on {shown(key)} are a range, from the first to the second; got {shown(wanted)}."
        " For single numbers, ask once for each"
    )


def _category_search(value: Any) -> str:
    text = scalars.text(value)
    try:
        check_category_search(text)
    except CategorySearchError as error:
        raise ValueError(f"{error}; write such as 'JOB_0.CATEGORY_A.count > 0 AND JOB_1.B.count == 2'") from None
    return text


CHECKS: dict[str, Callable[[Any], Any]] = {
    "id": _id,
    "text": scalars.text,
    "texts": _texts,
    "mark": scalars.mark,
    "flag": scalars.flag,
    "date": as_date,
    "day": _day,
    "metadata": _metadata,
    "category search": _category_search,
    "step names": _texts,
    "people": _texts,
    "names": _names,
}
