"""One row per annotation, out of the answers of labels."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from pandas_kili.arrow import arrow_array
from pandas_kili.errors import KiliFieldError, KiliValidationError
from pandas_kili.messages import did_you_mean, nearest
from pandas_kili.tidy.answers.conversations import answer_of
from pandas_kili.tidy.answers.geometry import box, rotation, turned_back
from pandas_kili.tidy.answers.json_values import encode
from pandas_kili.tidy.answers.read import distinct, read_answers
from pandas_kili.tidy.answers.schema import ANNOTATION_SCHEMA
from pandas_kili.tidy.jobs import Job, jobs_of
from pandas_kili.tidy.labels import LabelRows, asset_column, holds_assets, identities, label_rows, lacking, to_frame
from pandas_kili.tidy.people import author_names, latest_of_each, of_types
from pandas_kili.tidy.wide import identifying, wide_columns

_ANSWER = "jsonResponse"
_LABEL_COLUMNS = {
    "labelId": "id",
    "labelType": "labelType",
    "modelName": "modelName",
    "createdAt": "createdAt",
    "stepName": "stepName",
}
_VALUED = frozenset({"id", "job", "path", "annotationValue"})
_CHOOSING = ("labelType", "modelName", "createdAt", "author.email", "author.id", "authorId")
_CATEGORICAL = ("job", "tool", "category")
_FARTHEST = 1.0  # how far beyond the picture shares reach at most: farther out, coordinates are longitude and latitude

Whole = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


def annotations_table(
    frame: pd.DataFrame,
    json_interface: str | Mapping[str, Any] | pd.DataFrame | None = None,
    *,
    job: str | Collection[str] | None = None,
    latest: bool = False,
    label_types: Collection[str] | None = None,
    categorical: bool = False,
    wide: bool = False,
    bare: bool = False,
) -> pd.DataFrame:
    """Lay the answers of labels out: one row per annotation, or per class chosen, text, comparison or rank given.

    Parameters
    ----------
    frame : pandas.DataFrame
        Assets with their labels, as `read_kili` gives them (``labels.jsonResponse`` is needed), or labels, as
        `labels_table` does.
    json_interface : str, mapping or pandas.DataFrame, optional
        The project's questions: its id, its interface, or what `read_jobs` gives. It names the ML task of each job,
        which otherwise the structure of the answer tells; ``problem`` names the jobs that it does not
        know.
    job : str or collection of str, optional
        Only these jobs, and those nested below them.
    latest : bool
        Only the latest label of each asset and labeler.
    label_types : collection of str, optional
        Only labels of these types, such as ``["DEFAULT", "REVIEW"]`` for what people submitted.
    categorical : bool
        ``job``, ``tool`` and ``category`` as Arrow dictionaries: smaller, and grouped faster.
    wide : bool
        Instead, one row per label and one column per job.
    bare : bool
        Only what the answers hold: null in the columns of assets, labels and boxes.

    Returns
    -------
    pandas.DataFrame
        `pandas.ArrowDtype` columns, the same whatever the project; what does not apply is null. The index repeats the
        asset's index, rows are in the order of assets, labels and answers.
        The columns are those of `ANNOTATION_SCHEMA`; ``help(df.kili.annotations)`` says what each of them holds.

    Raises
    ------
    KiliFieldError
        Where the frame holds no labels, or no answers.
    KiliValidationError
        For an invalid interface.

    See Also
    --------
    to_json_response : The way back.

    Notes
    -----
    Pixels need ``resolution.width`` and ``resolution.height`` of the asset, or ``pageResolutions.width``, ``.height``
    and ``.pageNumber`` for PDFs. PDF annotations over several areas show the first; all of them are in ``extra``.

    Examples
    --------
    >>> import pandas as pd
    >>> answer = '{"KIND": {"categories": [{"name": "CAT", "confidence": 100}]}}'
    >>> labels = pd.DataFrame({"id": ["l1"], "jsonResponse": [answer]})
    >>> annotations_table(labels)[["labelId", "job", "mlTask", "category", "confidence"]].loc[0].tolist()
    ['l1', 'KIND', 'CLASSIFICATION', 'CAT', 100.0]
    """
    jobs = None if json_interface is None else jobs_of(json_interface)
    labels = label_rows(frame)
    if _ANSWER not in labels.fields and len(labels.parents):
        raise lacking(_ANSWER, labels.fields)
    labels = _chosen(frame, labels, label_types, latest=latest)
    tasks = None if jobs is None else {name: each.task for name, each in jobs.items()}
    columns, label_of = _read(_answers(labels), tasks)
    if job is not None:
        keep = pa.array(_of_jobs(columns, [job] if isinstance(job, str) else list(job), jobs))
        columns = {name: column.filter(keep) for name, column in columns.items()}
        label_of = label_of[keep.to_numpy(zero_copy_only=False)]
    if wide:
        if jobs is not None and job is not None:
            jobs = {name: each for name, each in jobs.items() if name in ({job} if isinstance(job, str) else set(job))}
        count = len(labels.parents)
        found = wide_columns(columns, label_of.tolist(), count, jobs)
        identity = identifying(_identity(frame, labels, np.arange(count), labels.parents))
        return to_frame({**identity, **found}, frame, labels.parents)
    parents = pc.take(labels.parents, pa.array(label_of))
    if not bare:
        columns.update(_identity(frame, labels, label_of, parents))
        columns.update(_boxes(frame, columns, parents.to_numpy(zero_copy_only=False), label_of))
    length = len(label_of)
    table = {
        field.name: _fitted(columns[field.name], field) if field.name in columns else pa.nulls(length, field.type)
        for field in ANNOTATION_SCHEMA
    }
    if categorical:
        table |= {name: table[name].dictionary_encode() for name in _CATEGORICAL}
    return to_frame(table, frame, parents)


def _chosen(frame: pd.DataFrame, labels: LabelRows, label_types: Collection[str] | None, *, latest: bool) -> LabelRows:
    """Return the labels of some types, or the latest ones of each labeler."""
    if label_types is None and not latest:
        return labels
    fields = {name: array for name, array in labels.fields.items() if name in _CHOOSING}
    count = len(labels.parents)
    table: pd.DataFrame = pa.table({"": pa.nulls(count), **fields}).to_pandas(types_mapper=pd.ArrowDtype)
    table = of_types(table.drop(columns=""), label_types)
    if latest and len(table):
        assets = labels.parents
        if not holds_assets(frame):
            if "assetId" not in frame:
                raise KiliFieldError(
                    "latest=True needs to know the assets: the labels have no assetId.", field="assetId"
                )
            assets = arrow_array(frame["assetId"])
        table = latest_of_each(table, pd.Series(assets.to_pylist()).loc[table.index])
    at = pa.array(table.index.to_numpy(np.int64))
    return LabelRows(labels.parents.take(at), {name: array.take(at) for name, array in labels.fields.items()})


def _of_jobs(
    columns: Mapping[str, pa.Array], names: Sequence[str], jobs: Mapping[str, Job] | None
) -> npt.NDArray[np.bool_]:
    """Return which rows are of some jobs, or nested below rows of them."""
    known = dict.fromkeys(jobs or pc.unique(columns["job"]).drop_null().to_pylist())
    for name in names:
        near = nearest(name, known) if name not in known else ()
        if near or (jobs is not None and name not in known):
            hint = did_you_mean(near) or f" There are {', '.join(known)}."
            raise KiliValidationError(f"there is no job {name!r}.{hint}")
    wanted = pa.array([name for name in names if name in known], pa.string())
    keep: npt.NDArray[np.bool_] = pc.is_in(columns["job"], wanted).to_numpy(zero_copy_only=False)
    if "parentRow" not in columns:
        return keep
    has_parent = columns["parentRow"].is_valid().to_numpy(zero_copy_only=False)
    rows, numbers = np.arange(len(keep)), columns["row"].to_numpy(zero_copy_only=False)
    above = rows - numbers + pc.fill_null(columns["parentRow"], 0).to_numpy(zero_copy_only=False)
    while True:  # once a level of nesting
        below = keep | (has_parent & keep[above])
        if np.array_equal(below, keep):
            return keep
        keep = below


def _answers(labels: LabelRows) -> pa.Array:
    answers = labels.fields.get(_ANSWER, pa.array([], pa.string()))
    if pa.types.is_null(answers.type):
        answers = answers.cast(pa.string())
    if not (pa.types.is_string(answers.type) or pa.types.is_large_string(answers.type)):
        raise KiliFieldError(f"jsonResponse is JSON text; the labels hold {answers.type}.", field=_ANSWER)
    values = labels.fields.get("annotations")
    if values is None or not pa.types.is_list(values.type) or not pa.types.is_struct(values.type.value_type):
        return answers
    if not _VALUED.issubset({field.name for field in values.type.value_type}):
        return answers
    texts = answers.to_pylist()
    for row, held in enumerate(values.to_pylist()):
        if held and texts[row] in {None, "{}"}:
            with contextlib.suppress(ValueError):
                texts[row] = encode(answer_of(held))
    return pa.array(texts, answers.type)


def _read(answers: pa.Array, tasks: Mapping[str, str] | None) -> tuple[dict[str, pa.Array], Whole]:
    """Read answers; return the columns, and for each row the position of its label."""
    texts, codes = distinct(answers)
    columns, counts = read_answers(texts, tasks)
    per_label = counts[codes]
    label_of = np.repeat(np.arange(len(codes)), per_label)
    number = np.arange(len(label_of)) - np.repeat(np.cumsum(per_label) - per_label, per_label)
    if len(counts) < len(codes):
        wanted = pa.array(np.repeat((np.cumsum(counts) - counts)[codes], per_label) + number)
        columns = {name: pc.take(column, wanted) for name, column in columns.items()}
    columns["row"] = pa.array(number)
    return columns, label_of


def _identity(frame: pd.DataFrame, labels: LabelRows, label_of: Whole, parents: pa.Array) -> dict[str, pa.Array]:
    columns = {name: asset_column(frame, column, parents) for name, column in identities(frame).items()}
    position = pa.array(label_of)
    for name, field in _LABEL_COLUMNS.items():
        if field in labels.fields:
            columns[name] = pc.take(labels.fields[field], position)
    authors = author_names(labels.fields)
    if authors is not None:
        columns["author"] = pc.take(authors, position)
    return columns


def _boxes(
    frame: pd.DataFrame, columns: Mapping[str, pa.Array], parents: Whole, label_of: Whole
) -> dict[str, pa.Array]:
    """Return what follows from the vertices: boxes, in pixels too, and the turn of rectangles."""
    width, height = _resolution(frame, columns.get("page"), parents)
    length = len(parents)
    rings = columns.get("rings", pa.nulls(length, ANNOTATION_SCHEMA.field("rings").type))
    spans = box(rings)
    on_maps = _on_maps(columns, spans, label_of)
    width[on_maps] = height[on_maps] = np.nan
    turns = columns.get("assetRotation", pa.nulls(length, pa.int64()))
    scale = {"x": pa.array(width, from_pandas=True), "y": pa.array(height, from_pandas=True)}
    upright = turned_back(spans, turns)
    pixels = {f"pixel{name[0].upper()}{name[1:]}": pc.multiply(upright[name], scale[name[0]]) for name in upright}
    aside = pc.fill_null(pc.is_in(turns, pa.array([90, 270])), fill_value=False).to_numpy(zero_copy_only=False)
    seen = np.where(aside, height, width), np.where(aside, width, height)
    tool = columns.get("tool", pa.nulls(length, pa.string()))
    return {**spans, **pixels, "rotation": rotation(rings, tool, *seen)}


def _on_maps(columns: Mapping[str, pa.Array], spans: Mapping[str, pa.Array], label_of: Whole) -> npt.NDArray[np.bool_]:
    """Return which rows are of labels with coordinates that are no shares of a picture: longitudes and latitudes."""
    edges = [*spans.values(), *(columns[name] for name in ("x", "y") if name in columns)]
    far = np.zeros(len(label_of), bool)
    for edge in edges:
        numbers = edge.to_numpy(zero_copy_only=False)
        far |= (numbers < -_FARTHEST) | (numbers > 1 + _FARTHEST)
    return np.isin(label_of, label_of[far])


def _resolution(frame: pd.DataFrame, pages: pa.Array | None, parents: Whole) -> tuple[Floats, Floats]:
    """Return width and height of what each row was drawn on; NaN where unknown."""
    sizes = []
    for name in ("resolution.width", "resolution.height"):
        known = _numbers(frame[name]) if name in frame else pa.nulls(len(frame), pa.float64())
        sizes.append(known.to_numpy(zero_copy_only=False).astype(np.float64)[parents])
    if pages is not None and "pageResolutions" in frame:
        _fill_pages(sizes, arrow_array(frame["pageResolutions"]), pages, parents)
    return sizes[0], sizes[1]


def _fill_pages(sizes: list[Floats], resolutions: pa.Array, pages: pa.Array, parents: Whole) -> None:
    known = resolutions.to_pylist()
    by_page = {
        (asset, page.get("pageNumber")): (page.get("width"), page.get("height"))
        for asset in set(parents.tolist())
        for page in known[asset] or ()
    }
    for row, page in enumerate(pages.to_pylist()):
        found = by_page.get((parents[row], page)) if page is not None else None
        for size, value in zip(sizes, found or (), strict=False):
            size[row] = np.nan if value is None else value


def _fitted(array: pa.Array, field: pa.Field) -> pa.Array:
    try:
        return array.cast(field.type)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise KiliValidationError(f"{field.name} is {field.type}; the frame has another type: {error}.") from None


def _numbers(series: pd.Series[Any]) -> pa.Array:
    try:
        return arrow_array(series).cast(pa.float64())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise KiliValidationError(f"the cells of {series.name!r} are no numbers: {error}.") from None
