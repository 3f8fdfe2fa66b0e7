"""The questions of a project: its jobs, their possible answers, and which jobs are nested in which."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd
import pyarrow as pa

from pandas_kili.connection import Client, client_or_default, find_project
from pandas_kili.errors import KiliFieldError, KiliValidationError
from pandas_kili.json_text import NotJsonError, json_text
from pandas_kili.messages import shown

_MULTIPLE = frozenset({"checkbox", "multipleDropdown"})  # inputs that take several classes
_TYPES: dict[type, str] = {dict: "an object", list: "a list", str: "a text"}
_NAMED = pa.struct([("code", pa.string()), ("name", pa.string())])
_SCHEMA = pa.schema(
    [
        ("job", pa.string()),
        ("jobTitle", pa.string()),
        ("parentJob", pa.string()),
        ("parentCategories", pa.list_(pa.string())),
        ("mlTask", pa.string()),
        ("tools", pa.list_(pa.string())),
        ("input", pa.string()),
        ("required", pa.bool_()),
        ("multiple", pa.bool_()),
        ("category", pa.string()),
        ("categoryName", pa.string()),
        ("color", pa.string()),
        ("order", pa.int64()),
        ("points", pa.list_(_NAMED)),
        ("startCategories", pa.list_(pa.string())),
        ("endCategories", pa.list_(pa.string())),
    ]
)


@dataclasses.dataclass(frozen=True, slots=True)
class Category:
    """A class that may be chosen.

    Attributes
    ----------
    children : tuple of str
        Jobs that are asked once it is chosen.
    points : tuple of tuple
        Code and name of each point of a pose.
    starts, ends : tuple of str
        Of a relation, the categories that it may start and end at; empty for any.
    """

    name: str
    title: str
    color: str | None = None
    children: tuple[str, ...] = ()
    points: tuple[tuple[str, str], ...] = ()
    starts: tuple[str, ...] = ()
    ends: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True)
class Job:
    """A question.

    Attributes
    ----------
    parents : tuple of tuple
        The jobs that it is nested in, each with the categories that lead to it; empty for what is always asked.
    """

    name: str
    title: str
    task: str
    tools: tuple[str, ...]
    input: str | None
    required: bool
    categories: dict[str, Category]
    parents: tuple[tuple[str, tuple[str, ...]], ...] = ()

    @property
    def multiple(self) -> bool:
        """Whether several classes may be chosen."""
        return self.input in _MULTIPLE


def read_jobs(source: str | Mapping[str, Any], *, client: Client | None = None) -> pd.DataFrame:
    """Return the questions of a project as a frame.

    Parameters
    ----------
    source : str or mapping
        Id of a project, or an interface: ``{"jobs": {name: {"mlTask": …}}}`` or its JSON text.
    client : Client, optional
        Connection; by default one that the environment describes.

    Returns
    -------
    pandas.DataFrame
        One row per job and category, in the order of the interface; a job without categories has one row. A job that
        is nested in several others has its rows once for each of them. Columns are `pandas.ArrowDtype`.

        ================  ==============  =============================================================================
        column            type            meaning
        ================  ==============  =============================================================================
        job               string          name of the job, the key of its answers
        jobTitle          string          what people are asked
        parentJob         string          job that this one is nested in
        parentCategories  list<string>    its categories that lead to this job
        mlTask            string          CLASSIFICATION, OBJECT_DETECTION, TRANSCRIPTION, …
        tools             list<string>    what may be drawn: rectangle, polygon, …
        input             string          radio, checkbox, textField, number, …
        required          bool            whether people must answer
        multiple          bool            whether several classes may be chosen
        category          string          name of the category, as answers hold it
        categoryName      string          what people see of it
        color             string          ``#rrggbb``
        order             int64           position of the category within its job, from 0
        points            list<struct>    ``{code, name}`` of each point of a pose
        startCategories   list<string>    categories that a relation may start at; empty for any
        endCategories     list<string>    categories that it may end at
        ================  ==============  =============================================================================

    Raises
    ------
    KiliNotFoundError
        Where there is no such project.
    KiliValidationError
        For an invalid interface; the error names the place.

    Examples
    --------
    >>> interface = {"jobs": {"KIND": {"mlTask": "CLASSIFICATION", "required": 1, "content": {
    ...     "input": "radio", "categories": {"CAT": {"name": "Cat"}, "DOG": {"name": "Dog"}}}}}}
    >>> read_jobs(interface)[["job", "category", "categoryName", "required"]].to_numpy().tolist()
    [['KIND', 'CAT', 'Cat', True], ['KIND', 'DOG', 'Dog', True]]
    """
    jobs = jobs_of(source, client=client)
    if not jobs:
        raise KiliValidationError("json_interface holds no jobs; expected {'jobs': {name: {'mlTask': …}}}.")
    rows = [row for job in jobs.values() for row in _rows(job)]
    table: pd.DataFrame = pa.Table.from_pylist(rows, _SCHEMA).to_pandas(types_mapper=pd.ArrowDtype)
    return table


def _rows(job: Job) -> Iterator[dict[str, Any]]:
    common = {
        "job": job.name,
        "jobTitle": job.title,
        "mlTask": job.task,
        "tools": job.tools,
        "input": job.input,
        "required": job.required,
        "multiple": job.multiple,
    }
    for parent, categories in job.parents or ((None, None),):
        above = {**common, "parentJob": parent, "parentCategories": categories}
        for order, category in enumerate(job.categories.values()):
            yield {
                **above,
                "category": category.name,
                "categoryName": category.title,
                "color": category.color,
                "order": order,
                "points": [{"code": code, "name": name} for code, name in category.points],
                "startCategories": category.starts,
                "endCategories": category.ends,
            }
        if not job.categories:
            yield above


def jobs_of(source: str | Mapping[str, Any] | pd.DataFrame, *, client: Client | None = None) -> dict[str, Job]:
    """Return the jobs of a project by name: of its id, its interface, or of the frame that `read_jobs` made of it.

    A project that asks nothing yet has none.

    Raises
    ------
    KiliNotFoundError
        Where there is no such project.
    KiliValidationError
        For an invalid interface; the error names the place.
    """
    if isinstance(source, pd.DataFrame):
        return _of_frame(source)
    if isinstance(source, str) and not source.lstrip().startswith(("{", "[")):  # no id begins like this
        source = find_project(client_or_default(client), source, "jsonInterface")["jsonInterface"] or "{}"
    if isinstance(source, str):
        try:
            source = json.loads(source)
        except (ValueError, RecursionError) as error:
            raise KiliValidationError(f"json_interface is JSON text; this is not: {error}.") from None
    try:
        json_text(source)
    except NotJsonError as error:
        raise KiliValidationError(f"json_interface: {error}.") from None
    return _of_interface(source)


def _of_interface(interface: Any) -> dict[str, Job]:
    held = _expect(interface, dict, "json_interface")
    jobs = _expect(held.get("jobs", held), dict, "json_interface: jobs")
    found = {name: _job(name, _expect(job, dict, f"json_interface: jobs.{name}")) for name, job in jobs.items()}
    for parent in found.values():
        below: dict[str, list[str]] = {}
        for category in parent.categories.values():
            for child in category.children:
                if child not in found:
                    raise KiliValidationError(
                        f"json_interface: jobs.{parent.name}.content.categories.{category.name}.children names"
                        f" {child!r}, and there is no such job."
                    )
                below.setdefault(child, []).append(category.name)
        for child, categories in below.items():
            parents = (*found[child].parents, (parent.name, tuple(categories)))
            found[child] = dataclasses.replace(found[child], parents=parents)
    return found


def _job(name: str, job: Mapping[str, Any]) -> Job:
    place = f"json_interface: jobs.{name}"
    task = _expect(job.get("mlTask"), str, f"{place}.mlTask")
    content = _expect(job.get("content") or {}, dict, f"{place}.content")
    categories = _expect(content.get("categories") or {}, dict, f"{place}.content.categories")
    given = content.get("input")
    is_asked = job.get("isVisible", True) is not False or job.get("isModel") is not True
    return Job(
        name=name,
        title=str(job.get("instruction") or name),
        task=task,
        tools=_texts(job.get("tools"), f"{place}.tools"),
        input=None if given is None else _expect(given, str, f"{place}.content.input"),
        required=bool(job.get("required")) and is_asked,
        categories={
            code: _category(code, _expect(category, dict, f"{place}.content.categories.{code}"), place)
            for code, category in categories.items()
        },
    )


def _category(code: str, category: Mapping[str, Any], place: str) -> Category:
    place = f"{place}.content.categories.{code}"
    points = _expect(category.get("points") or [], list, f"{place}.points")
    named = [_expect(point, dict, f"{place}.points") for point in points]
    children = [*_texts(category.get("children"), f"{place}.children")]
    for point in named:
        children += _texts(point.get("children"), f"{place}.points.children")
    color = category.get("color")
    return Category(
        name=code,
        title=str(category.get("name") or code),
        color=None if color is None else str(color),
        children=tuple(dict.fromkeys(children)),
        points=tuple((str(point.get("code") or ""), str(point.get("name") or "")) for point in named),
        starts=_ends(category, "start", place),
        ends=_ends(category, "end", place),
    )


def _ends(category: Mapping[str, Any], side: str, place: str) -> tuple[str, ...]:
    for key in (f"{side}Entities", f"{side}Objects"):
        names = _texts(category.get(key), f"{place}.{key}")
        if names:
            return () if "ANY" in names else names
    return ()


def _texts(value: Any, place: str) -> tuple[str, ...]:
    return tuple(_expect(each, str, place) for each in _expect(value or [], list, place))


def _expect(value: Any, kind: type, place: str) -> Any:
    if not isinstance(value, kind):
        raise KiliValidationError(f"{place}: expected {_TYPES[kind]}; got {shown(value)}.")
    return value


def _of_frame(frame: pd.DataFrame) -> dict[str, Job]:
    missing = [name for name in _SCHEMA.names if name not in frame]
    if missing:
        raise KiliFieldError(f"jobs= is what read_jobs gives; the frame has no {missing[0]!r}.", field=missing[0])
    rows = pa.Table.from_pandas(frame[_SCHEMA.names], _SCHEMA, preserve_index=False).to_pylist()
    found: dict[str, Job] = {}
    for row in rows:
        job = found.setdefault(
            row["job"],
            Job(
                name=row["job"],
                title=row["jobTitle"],
                task=row["mlTask"],
                tools=tuple(row["tools"] or ()),
                input=row["input"],
                required=row["required"],
                categories={},
            ),
        )
        if row["category"] is not None:
            job.categories[row["category"]] = Category(
                name=row["category"],
                title=row["categoryName"],
                color=row["color"],
                points=tuple((point["code"], point["name"]) for point in row["points"] or ()),
                starts=tuple(row["startCategories"] or ()),
                ends=tuple(row["endCategories"] or ()),
            )
        parent = (row["parentJob"], tuple(row["parentCategories"] or ()))
        if row["parentJob"] is not None and parent not in job.parents:
            found[job.name] = dataclasses.replace(job, parents=(*job.parents, parent))
    return found
