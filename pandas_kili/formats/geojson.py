"""GeoJSON: what people drew on maps, as features that geographic information systems read."""

from __future__ import annotations

import itertools
import os
from collections.abc import Sequence
from typing import Any, Unpack

import msgspec
import numpy as np
import pandas as pd
import pyarrow.compute as pc

from pandas_kili.arrow import arrow_array
from pandas_kili.errors import KiliValidationError
from pandas_kili.formats.folder import write_file
from pandas_kili.formats.pictures import asset_names
from pandas_kili.formats.samples import ExportOptions, Report, chosen_labels, questions
from pandas_kili.formats.shapes import parts_of
from pandas_kili.messages import warn
from pandas_kili.tidy import ANNOTATION, CATEGORY, CHOICE, RANK, TEXT, UNREADABLE, annotations_table

_CLOSED = ("rectangle", "polygon", "semantic")
_LINES = ("polyline", "vector")
_CORNERS = 3  # vertices that a ring has at least
_COLUMNS = (
    *("kind", "row", "parentRow", "job", "tool", "category", "text", "confidence", "mid", "x", "y", "rings"),
    "polyline",
)
_OF_OBJECT = ("job", "tool", "confidence", "mid")
_OF_LABEL = ("labeler", "labelType", "labelId", "createdAt", "externalId", "assetId")
_OWN = frozenset({"class", *_OF_OBJECT, *_OF_LABEL})
_REASONS = {UNREADABLE: "the answer cannot be read", **dict.fromkeys((CATEGORY, TEXT, CHOICE, RANK), "no shape")}

Row = dict[str, Any]
Ring = list[list[float]]


def to_geojson(
    frame: pd.DataFrame, path: str | os.PathLike[str] | None = None, **options: Unpack[ExportOptions]
) -> dict[str, Any]:
    """Return the labels of a GEOSPATIAL project as a GeoJSON feature collection, and write it where a path is given.

    Parameters
    ----------
    frame : pandas.DataFrame
        Assets with their labels.
    path : str or path, optional
        A new file, such as ``labels.geojson``.
    **options
        See `ExportOptions`; GeoJSON has neither `media` nor `split`.

    Returns
    -------
    dict
        A ``FeatureCollection`` in longitudes and latitudes (WGS 84), one feature per object. Its properties are
        ``class``, ``job``, ``tool``, ``confidence`` (percent), ``labeler``, ``labelType``, ``labelId``, ``createdAt``,
        ``externalId``, ``assetId`` and ``mid``, and what was answered about the object, by the names of those jobs.
        ``left_out`` lists what is not in it, and a warning counts it.

    Raises
    ------
    KiliFieldError
        If the frame lacks labels, answers, types of labels, or names of assets.
    KiliValidationError
        For options that are not possible, and a file that is there already.

    Notes
    -----
    Markers are points, lines line strings, other shapes polygons with their holes; the parts of one semantic object are
    one multipolygon. Outlines run counterclockwise and holes clockwise, as RFC 7946 asks.

    Examples
    --------
    >>> tree = '{"type": "marker", "categories": [{"name": "TREE"}], "point": {"x": 2.35, "y": 48.85}}'
    >>> labels = [{"labelType": "DEFAULT", "jsonResponse": '{"J": {"annotations": [%s]}}' % tree}]
    >>> (feature,) = to_geojson(pd.DataFrame({"externalId": ["paris"], "labels": [labels]}))["features"]
    >>> feature["geometry"], feature["properties"]["class"]
    ({'type': 'Point', 'coordinates': [2.35, 48.85]}, 'TREE')
    """
    if options.get("media", "none") != "none" or options.get("split") is not None:
        raise KiliValidationError("GeoJSON has neither pictures nor splits: leave media and split out.")
    report = Report("GeoJSON")
    chosen = chosen_labels(frame, options, report)
    rows = annotations_table(
        chosen.set_axis(pd.RangeIndex(len(chosen)), axis=0), questions(options), job=options.get("job")
    )
    features = _features(frame, chosen, rows, report)
    report.warn()
    if _all_shares(rows):
        warn("All coordinates are within 0 and 1, as shares of a picture are; GeoJSON holds longitudes and latitudes.")
    left_out = report.table(frame)
    collection = {
        "type": "FeatureCollection",
        "features": features,
        "left_out": left_out.astype(object).where(left_out.notna(), None).to_dict("records"),
    }
    if path is not None:
        write_file(path, [msgspec.json.encode(collection)], overwrite=options.get("overwrite", False))
    return collection


def _features(frame: pd.DataFrame, chosen: pd.DataFrame, rows: pd.DataFrame, report: Report) -> list[dict[str, Any]]:
    """Return a feature per object, with what was answered about it."""
    columns = {name: arrow_array(rows[name]).to_pylist() for name in _COLUMNS}
    table: list[Row] = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
    assets, about, parts = chosen.index.tolist(), _properties_of_labels(frame, chosen), parts_of(rows)
    properties_of: dict[tuple[int, int], dict[str, Any]] = {}  # of rows, by label and number
    first_of: dict[tuple[Any, ...], dict[str, Any]] = {}  # of semantic objects, by label and mid
    features: list[dict[str, Any]] = []
    for at, (label, row) in enumerate(zip(rows.index.tolist(), table, strict=True)):
        above = properties_of.get((label, row["parentRow"]))
        reason = None
        if row["kind"] == ANNOTATION:
            geometry = _geometry(row, parts.get(at))
            object_ = (label, row["job"], row["category"], row["mid"] if row["tool"] == "semantic" else None)
            first = first_of.get(object_)
            if geometry is None:
                shaped = row["tool"] in {*_CLOSED, *_LINES, "marker"}
                reason = "a shape without enough vertices" if shaped else f"a shape of the tool {row['tool']}"
            elif first is not None:
                first["geometry"] = _joined(first["geometry"], geometry)
                properties_of[label, row["row"]] = first["properties"]
            else:
                own = {"class": row["category"], **{name: row[name] for name in _OF_OBJECT}}
                features.append({"type": "Feature", "geometry": geometry, "properties": {**own, **about[label]}})
                properties_of[label, row["row"]] = features[-1]["properties"]
                if object_[-1] is not None:
                    first_of[object_] = features[-1]
        elif above is not None and row["kind"] in {CATEGORY, TEXT}:
            properties_of[label, row["row"]] = above
            _answer(above, row)
        elif row["kind"] in _REASONS:
            reason = _REASONS[row["kind"]]
        if reason is not None:
            report.add(np.array([assets[label]]), reason, [row["job"]])
    return features


def _properties_of_labels(frame: pd.DataFrame, chosen: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the properties that all objects of a label share."""
    nothing = [None] * len(chosen)
    names = asset_names(frame)
    known = {
        name: arrow_array(chosen[name]).to_pylist() if name in chosen else nothing
        for name in ("author.email", "author.id", "modelName", "labelType", "id", "createdAt", "assetId")
    }
    known["createdAt"] = [None if time is None else pd.Timestamp(time).isoformat() for time in known["createdAt"]]
    columns = zip(chosen.index.tolist(), *known.values(), strict=True)
    return [
        dict(zip(_OF_LABEL, (model or email or author, *told, names[asset], asset_id), strict=True))
        for asset, email, author, model, *told, asset_id in columns
    ]


def _answer(properties: dict[str, Any], row: Row) -> None:
    """Add what was answered about an object; several classes become a list. The parts of an object say it again."""
    name, value = row["job"], row["category"] if row["kind"] == CATEGORY else row["text"]
    name = f"{name} (job)" if name in _OWN else name
    before = properties.get(name)
    known = before if isinstance(before, list) else [] if before is None else [before]
    if value not in known:
        properties[name] = [*known, value] if known else value


def _geometry(row: Row, parts: Sequence[int] | None) -> dict[str, Any] | None:
    """Return the geometry of an object; None if it has none."""
    if row["tool"] in _CLOSED and row["rings"]:
        rings = iter([[[vertex["x"], vertex["y"]] for vertex in ring] for ring in row["rings"]])
        polygons = [
            [_wound(ring, is_hole=bool(number)) for number, ring in enumerate(itertools.islice(rings, count))]
            for count in parts or [len(row["rings"])]
        ]
        polygons = [[outline, *filter(None, holes)] for outline, *holes in polygons if outline]
        return _surface(polygons) if polygons else None
    if row["tool"] in _LINES and len(row["polyline"] or ()) > 1:
        return {"type": "LineString", "coordinates": [[vertex["x"], vertex["y"]] for vertex in row["polyline"]]}
    if row["tool"] == "marker" and row["x"] is not None and row["y"] is not None:
        return {"type": "Point", "coordinates": [row["x"], row["y"]]}
    return None


def _wound(ring: Ring, *, is_hole: bool) -> Ring:
    """Return a ring closed, counterclockwise for outlines and clockwise for holes; nothing of what has no area."""
    if ring and ring[0] != ring[-1]:
        ring = [*ring, ring[0]]
    doubled = sum(x0 * y1 - x1 * y0 for (x0, y0), (x1, y1) in itertools.pairwise(ring))
    if len(ring) <= _CORNERS:
        return []
    return ring[::-1] if (doubled < 0) != is_hole else ring


def _surface(polygons: list[list[Ring]]) -> dict[str, Any]:
    if len(polygons) == 1:
        return {"type": "Polygon", "coordinates": polygons[0]}
    return {"type": "MultiPolygon", "coordinates": polygons}


def _joined(*surfaces: dict[str, Any]) -> dict[str, Any]:
    """Return surfaces as one."""
    return _surface(
        [
            polygon
            for each in surfaces
            for polygon in ([each["coordinates"]] if each["type"] == "Polygon" else each["coordinates"])
        ]
    )


def _all_shares(rows: pd.DataFrame) -> bool:
    """Return whether shapes are there, and none of them reaches beyond what a share of a picture can be."""
    rings = arrow_array(rows["rings"])
    vertices = [pc.list_flatten(pc.list_flatten(rings)), pc.list_flatten(arrow_array(rows["polyline"]))]
    numbers = [pc.struct_field(each, axis) for each in vertices for axis in "xy"]
    numbers += [arrow_array(rows[axis]) for axis in "xy"]
    flat = np.concatenate([each.drop_null().to_numpy(zero_copy_only=False) for each in numbers])
    return bool(len(flat)) and bool(((flat >= 0) & (flat <= 1)).all())
