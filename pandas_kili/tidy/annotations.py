"""One row per annotation, out of the answers of labels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from pandas_kili.arrow import arrow_array
from pandas_kili.errors import KiliFieldError, KiliValidationError
from pandas_kili.tidy.answers.geometry import box, rotation, turned_back
from pandas_kili.tidy.answers.read import read_answers
from pandas_kili.tidy.answers.schema import ANNOTATION_SCHEMA
from pandas_kili.tidy.jobs import jobs_of
from pandas_kili.tidy.labels import LabelRows, asset_column, identities, label_rows, lacking, to_frame
from pandas_kili.tidy.people import author_names

_ANSWER = "jsonResponse"
_LABEL_COLUMNS = {
    "labelId": "id",
    "labelType": "labelType",
    "modelName": "modelName",
    "createdAt": "createdAt",
    "stepName": "stepName",
}
_FARTHEST = 1.0  # how far beyond the picture shares reach at most: farther out, coordinates are longitude and latitude

Whole = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


def annotations_table(frame: pd.DataFrame, json_interface: Mapping[str, Any] | str | None = None) -> pd.DataFrame:
    """Lay the answers of labels out: one row per annotation, or per class chosen, text, comparison or rank given.

    Parameters
    ----------
    frame : pandas.DataFrame
        Assets with their labels, as `read_kili` gives them (``labels.jsonResponse`` is needed), or labels, as
        `labels_table` does.
    json_interface : mapping or str, optional
        The ``jsonInterface`` of the project. It names the ML task of each job, which otherwise is told from the
        structure of the answer, and jobs that it does not know are said in ``problem``.

    Returns
    -------
    pandas.DataFrame
        `pandas.ArrowDtype` columns, the same whatever the project; what does not apply is null. The index repeats the
        asset's index, rows are in the order of assets, labels and answers.

        ================  ======================  ==================================================================
        column            type                    meaning
        ================  ======================  ==================================================================
        assetId           string                  the asset's ``id``
        externalId        string                  the asset's ``externalId``
        labelId           string                  the label's ``id``
        labelType         string                  DEFAULT, REVIEW, PREDICTION, …
        author            string                  email of the label's author, else id
        modelName         string                  the model that a prediction is of
        createdAt         timestamp[ms, UTC]      when the label was made
        stepName          string                  the step of the workflow in which it was made
        row               int64                   number of the row within its label, from 0
        parentRow         int64                   ``row`` of what this is a child of
        parentPoint       int64                   position, from 0, of the pose's point that this is a child of
        kind              string                  what the row is, see below
        mid               string                  Kili's name of the object; shared by its parts and its frames
        parentMid         string                  ``mid`` of the annotation above
        job               string                  name of the job
        parentJob         string                  name of the job above
        level             string                  ``assetLevel`` for what is said of a video as a whole
        mlTask            string                  CLASSIFICATION, OBJECT_DETECTION, NAMED_ENTITIES_RECOGNITION, …
        tool              string                  rectangle, polygon, polyline, marker, vector, semantic, pose, range
        category          string                  class chosen, or verdict of a comparison
        parentCategories  list<string>            classes above, the outermost first
        confidence        double                  of the class, in percent
        score             double                  of the object, as models give it
        text              string                  transcription
        beginOffset       int64                   where a span of text begins
        endOffset         int64                   where it ends
        beginId           string                  block of rich text in which it begins
        endId             string                  block in which it ends
        content           string                  the text of the span
        startMids         list<string>            ``mid`` of the entities or objects where a relation starts
        endMids           list<string>            where it ends
        firstId           string                  the chat item that a comparison places first
        secondId          string                  the other one
        rank              int64                   place in a ranking
        elements          list<string>            what has this place
        page              int64                   page of a PDF, from 1; of the first area where there are several
        frame             int64                   frame of a video, from 0
        isKeyFrame        bool                    whether the frame was drawn, and not interpolated
        xmin, ymin        double                  box around ``rings``, as shares of width and height, from the top left
        xmax, ymax        double
        rotation          double                  degrees by which a rectangle is turned in pixels, -45 to 45; 0 where
                                                  it is upright, null where it is not and the resolution is unknown
        assetRotation     int64                   degrees, clockwise, by which the picture was turned when people drew
                                                  on it: shares are those of the turned picture; null for none
        pixelXmin, …      double                  the box in pixels of the picture as it is stored (not turned), where
                                                  the resolution of asset or page is known
        x, y              double                  point of a marker
        rings             list<list<struct>>      vertices ``{x, y}``: the outline, then its holes
        polyline          list<struct>            vertices of a polyline or vector
        points            list<struct>            ``{code, name, mid, jobName, x, y}`` of a pose
        rangeStart        double                  where a range begins
        rangeEnd          double                  where it ends
        hasChildren       bool                    whether jobs hang on it; false for none, null where nothing is said
        extra             string                  what has no column, or more than its columns hold: JSON text
        problem           string                  what could not be understood, and why
        ================  ======================  ==================================================================

        ``kind`` is ``annotation``, ``category``, ``text``, ``choice`` or ``rank`` for what was answered. ``job`` stands
        for what a job holds besides (nested jobs hang on it, where they hang on the job), ``label`` for a label without
        any job and for frames without any, ``unreadable`` for an answer that could not be read.

    Raises
    ------
    KiliFieldError
        Where the frame holds no labels, or no answers.
    KiliValidationError
        For an interface that is none.

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
    tasks = None if json_interface is None else {name: job.task for name, job in jobs_of(json_interface).items()}
    labels = label_rows(frame)
    if _ANSWER not in labels.fields and len(labels.parents):
        raise lacking(_ANSWER, labels.fields)
    columns, label_of = _read(_answers(labels), tasks)
    parents = pc.take(labels.parents, pa.array(label_of))
    columns.update(_identity(frame, labels, label_of, parents))
    columns.update(_boxes(frame, columns, parents.to_numpy(zero_copy_only=False), label_of))
    length = len(label_of)
    table = {
        field.name: _fitted(columns[field.name], field) if field.name in columns else pa.nulls(length, field.type)
        for field in ANNOTATION_SCHEMA
    }
    return to_frame(table, frame, parents)


def _answers(labels: LabelRows) -> pa.Array:
    answers = labels.fields.get(_ANSWER, pa.array([], pa.string()))
    if pa.types.is_null(answers.type):
        return answers.cast(pa.string())
    if not (pa.types.is_string(answers.type) or pa.types.is_large_string(answers.type)):
        raise KiliFieldError(f"jsonResponse is JSON text; the labels hold {answers.type}.", field=_ANSWER)
    return answers


def _read(answers: pa.Array, tasks: Mapping[str, str] | None) -> tuple[dict[str, pa.Array], Whole]:
    """Read answers; return the columns, and for each row the position of its label."""
    encoded = answers.dictionary_encode(null_encoding="encode")  # equal answers are read once
    columns, counts = read_answers(encoded.dictionary, tasks)
    codes = encoded.indices.to_numpy(zero_copy_only=False)
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
