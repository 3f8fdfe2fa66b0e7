"""COCO: data sets of objects out of labels."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Unpack

import msgspec
import numpy as np
import numpy.typing as npt
import pandas as pd

from pandas_kili.errors import KiliValidationError
from pandas_kili.formats.folder import new_folder, put_media, write_file
from pandas_kili.formats.samples import AREAS, ExportOptions, Samples, collect
from pandas_kili.formats.shapes import ranges
from pandas_kili.parallel import chunked
from pandas_kili.tidy import without_collector

Floats = npt.NDArray[np.float64]

_FOLDER = "data"  # as the official SDK calls it
FILE = "labels.json"
SMALLEST_RING = 3  # vertices
_PIECE = 1_000  # annotations
_VISIBLE = 2  # what COCO calls a keypoint that is labeled and can be seen
EXTRA = "pip install 'pandas-kili[formats]'"


def to_coco(
    frame: pd.DataFrame, path: str | os.PathLike[str] | None = None, **options: Unpack[ExportOptions]
) -> dict[str, Any]:
    """Return labels as a COCO data set of objects, and write it where a path is given.

    Parameters
    ----------
    frame : pandas.DataFrame
        Assets with their labels.
    path : str or path, optional
        A new file that ends with ``.json``; or a new folder, which gets ``labels.json`` and the pictures under
        ``data``, below a folder per split.
    **options
        See `ExportOptions`.

    Returns
    -------
    dict
        The data set; with `split`, one by the name of each split. ``info["left_out"]`` lists what is not in it.

    Raises
    ------
    KiliFieldError
        If the frame lacks labels, answers, types of labels, or names of assets.
    KiliValidationError
        For pictures without a size, options that are not possible, and paths that are there already.
    ImportError
        For polygons with holes, without ``pycocotools``.

    Notes
    -----
    Boxes, polygons, semantic shapes and poses are objects; other tools are left out and counted. Pixels are those of
    the picture as it is stored, also where people turned it to draw. Ids begin at 1. The box of an object is that
    around all its rings. The parts of one semantic object are one annotation; with holes, its ``segmentation`` is a
    mask (RLE), and ``rings`` holds the outlines. Turned rectangles keep their corners in ``segmentation``.

    Examples
    --------
    >>> box = '{"normalizedVertices": [{"x": 0, "y": 0.5}, {"x": 0, "y": 0}, {"x": 0.5, "y": 0}, {"x": 0.5, "y": 0.5}]}'
    >>> answer = '{"J": {"annotations": [{"type": "rectangle", "categories": [{"name": "A"}], "boundingPoly": [%s]}]}}'
    >>> labels = [{"labelType": "DEFAULT", "jsonResponse": answer % box}]
    >>> size = {"resolution.width": [100], "resolution.height": [80]}
    >>> to_coco(pd.DataFrame({"externalId": ["a.jpg"], "labels": [labels], **size}))["annotations"][0]["bbox"]
    [0.0, 0.0, 50.0, 40.0]
    """
    overwrite, media = options.get("overwrite", False), options.get("media", "none")
    is_file = path is not None and Path(path).suffix.lower() == ".json"
    if is_file and (media != "none" or options.get("split") is not None):
        raise KiliValidationError("media and splits need a folder, and the path is that of a .json file.")
    samples = collect(frame, "COCO", (*AREAS, "pose"), options, needs_sizes=True)
    with without_collector():
        sets = _data_sets(samples)
    if path is not None and is_file:
        write_file(path, _json(sets[""]), overwrite=overwrite)
    elif path is not None:
        with new_folder(path, "coco", samples, overwrite=overwrite) as folder:
            for name, data_set in sets.items():
                (folder / name / _FOLDER).mkdir(parents=True)
                with (folder / name / FILE).open("wb") as file:
                    file.writelines(_json(data_set))
            pictures = samples.pictures
            places = zip(pictures.split, pictures.file_name, strict=True)
            put_media(pictures, (folder / split / _FOLDER / name for split, name in places), media)
    return sets if options.get("split") is not None else sets[""]


def _json(data_set: dict[str, Any]) -> Iterator[bytes]:
    """Yield a data set as JSON, in pieces: as one text it would take as much memory as the file has bytes."""
    yield msgspec.json.encode({**data_set, "annotations": []}).removesuffix(b"]}")
    for number, part in enumerate(chunked(data_set["annotations"], _PIECE)):
        yield b"," * (number > 0) + msgspec.json.encode(part)[1:-1]
    yield b"]}"


def _data_sets(samples: Samples) -> dict[str, dict[str, Any]]:
    """Return a data set for each split."""
    pictures = samples.pictures
    left_out = samples.left_out.astype(object).where(samples.left_out.notna(), None).to_dict("records")
    codes = _codes(samples)
    categories = _categories(samples, codes)
    sets: dict[str, dict[str, Any]] = {
        split: {
            "info": {"description": "Exported from Kili by pandas_kili", "left_out": left_out},
            "licenses": [],
            "categories": categories,
            "images": [],
            "annotations": [],
        }
        for split in pictures.splits
    }
    annotations = _annotations(samples, codes)
    sizes = pictures.size.tolist()
    for number, objects in enumerate(samples.of_picture()):
        width, height = sizes[number]
        image = {"id": number + 1, "file_name": f"{_FOLDER}/{pictures.file_name[number]}"}
        image |= {"width": width, "height": height, "external_id": pictures.external_id[number]}
        if pictures.part[number] >= 0:  # pages count from 1, frames from 0
            is_page = bool(pictures.is_page[number])
            image["page" if is_page else "frame"] = int(pictures.part[number]) + is_page
        target = sets[pictures.split[number]]
        target["images"].append(image)
        target["annotations"] += [annotations[each] for each in objects if each in annotations]
    return sets


def _codes(samples: Samples) -> dict[int, list[str]]:
    """Return the points of each category with poses, in the order of the project, then of their codes."""
    found: dict[int, set[str]] = {}
    for position, points in samples.points.items():
        found.setdefault(int(samples.category[position]), set()).update(point["code"] or "" for point in points)
    known = samples.categories["points"].tolist()
    return {number: [*known[number], *sorted(codes.difference(known[number]))] for number, codes in found.items()}


def _categories(samples: Samples, codes: dict[int, list[str]]) -> list[dict[str, Any]]:
    rows = zip(samples.categories["job"], samples.categories["name"], strict=True)
    return [
        {"id": number + 1, "name": name, "supercategory": job}
        | ({"keypoints": codes[number]} if number in codes else {})
        for number, (job, name) in enumerate(rows)
    ]


def _annotations(samples: Samples, codes: dict[int, list[str]]) -> dict[int, dict[str, Any]]:
    """Return annotations by the position of the object; the parts of an object are in its first."""
    sizes = samples.pictures.size[samples.picture]
    pixels = samples.box * np.tile(sizes, 2)
    boxes = np.concatenate([pixels[:, :2], pixels[:, 2:] - pixels[:, :2]], axis=1)
    posed = list(samples.points)
    boxes[posed] = _with_area(boxes[posed], sizes[posed])
    parts = _parts(samples)
    upright = _upright(samples)
    outlines = _outlines(samples, ~upright)
    found: dict[int, dict[str, Any]] = {}
    columns = (samples.picture + 1, samples.category + 1, samples.tool, upright, boxes, pixels)
    confidences = samples.confidence.tolist()
    for position, (image, category, tool, is_upright, bbox, (left, top, right, bottom)) in enumerate(
        zip(*(values.tolist() for values in columns), strict=True)
    ):
        own = parts.get(position, (position,)) if parts else (position,)
        if not own:
            continue
        annotation = {
            "id": len(found) + 1,
            "image_id": image,
            "category_id": category,
            "iscrowd": 0,
            "tool": tool,
            "bbox": bbox,
            "segmentation": [[left, bottom, left, top, right, top, right, bottom]],
            "area": bbox[2] * bbox[3],
        }
        if not is_upright:
            annotation["bbox"] = bbox if len(own) == 1 else _around([boxes[each] for each in own])
            if len(own) == 1 and position in outlines:
                outline, annotation["area"] = outlines[position]
                annotation["segmentation"] = [outline]
            else:
                annotation |= _shape(samples, own, sizes[position], annotation["bbox"])
        if position in samples.points:
            annotation |= _keypoints(samples.points[position], codes[category - 1], sizes[position])
        if confidences[position] == confidences[position]:  # not NaN
            annotation["confidence"] = confidences[position]
        found[position] = annotation
    return found


def _with_area(boxes: Floats, sizes: npt.NDArray[np.int64]) -> Floats:
    """Return boxes of at least a pixel: trainers refuse others, and points of a pose may lie on a line."""
    sides = np.maximum(boxes[:, 2:], 1)
    start = np.clip(boxes[:, :2] - (sides - boxes[:, 2:]) / 2, 0, sizes - sides)
    return np.concatenate([start, sides], axis=1)


def _upright(samples: Samples) -> npt.NDArray[np.bool_]:
    """Return which objects are rectangles with the corners of their boxes."""
    starts, counts = samples.rings.single()
    plain = np.flatnonzero((samples.tool == "rectangle") & (counts == 4))  # noqa: PLR2004 - corners
    x, y = samples.rings.xy[starts[plain][:, None] + np.arange(4)].transpose(2, 0, 1)
    left, top, right, bottom = samples.box[plain].T[..., None]
    on_edges = ((x == left) | (x == right)) & ((y == top) | (y == bottom))
    upright = np.zeros(len(starts), bool)
    upright[plain] = on_edges.all(axis=1)
    return upright


def _outlines(samples: Samples, wanted: npt.NDArray[np.bool_]) -> dict[int, tuple[list[float], float]]:
    """Return outline and area in pixels of those objects that have one ring, by their positions."""
    starts, counts = samples.rings.single()
    chosen = np.flatnonzero(wanted & (counts >= SMALLEST_RING))
    starts, counts = starts[chosen], counts[chosen]
    sizes = samples.pictures.size[samples.picture[chosen]]
    xy = samples.rings.xy[ranges(starts, counts)] * np.repeat(sizes, counts, axis=0)
    ends = np.cumsum(counts)
    following = np.arange(1, len(xy) + 1)
    following[ends - 1] = ends - counts
    turns = xy[:, 0] * xy[following, 1] - xy[:, 1] * xy[following, 0]
    areas = np.abs(np.add.reduceat(turns, ends - counts)) / 2 if len(turns) else turns
    flat = xy.ravel().tolist()
    rows = zip(chosen.tolist(), (ends - counts).tolist(), ends.tolist(), areas.tolist(), strict=True)
    return {position: (flat[2 * start : 2 * end], area) for position, start, end, area in rows}


def _parts(samples: Samples) -> dict[int, Sequence[int]]:
    """Return for semantic objects of several parts all of them at the first, and none at the others."""
    parts: dict[tuple[Any, ...], list[int]] = {}
    for position in np.flatnonzero((samples.tool == "semantic") & (samples.mid != None)).tolist():  # noqa: E711 - of each
        key = (samples.picture[position], samples.category[position], samples.mid[position])
        parts.setdefault(key, []).append(position)
    several = [own for own in parts.values() if len(own) > 1]
    return {each: own if each == own[0] else () for own in several for each in own}


def _around(boxes: Sequence[Floats]) -> list[float]:
    edges = np.array(boxes)
    left, top = edges[:, :2].min(axis=0).tolist()
    right, bottom = (edges[:, :2] + edges[:, 2:]).max(axis=0).tolist()
    return [left, top, right - left, bottom - top]


def _shape(samples: Samples, parts: Sequence[int], size: npt.NDArray[np.int64], bbox: list[float]) -> dict[str, Any]:
    """Return ``segmentation`` and ``area`` in pixels; with holes, the ``rings`` of each part too."""
    if parts[0] in samples.points:
        return {"segmentation": [], "area": bbox[2] * bbox[3]}
    outlines = [outline for part in parts for outline in samples.outlines(part)]
    shapes = [[ring * size for ring in outline if len(ring) >= SMALLEST_RING] for outline in outlines]
    shapes = [rings for rings in shapes if rings]
    areas = [[_area(ring) for ring in rings] for rings in shapes]
    area = sum(of_rings[0] - sum(of_rings[1:]) for of_rings in areas)
    if all(len(rings) == 1 for rings in shapes):
        return {"segmentation": [rings[0].ravel().tolist() for rings in shapes], "area": area}
    rings = [[ring.ravel().tolist() for ring in of_part] for of_part in shapes]
    return {"segmentation": _mask(rings, size), "area": max(area, 0.0), "rings": rings}


def _area(ring: Floats) -> float:
    x, y = ring[:, 0], ring[:, 1]
    return float(abs(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2)


def _mask(parts: list[list[list[float]]], size: npt.NDArray[np.int64]) -> dict[str, Any]:
    """Return outlines without their holes as a compressed mask."""
    if importlib.util.find_spec("pycocotools") is None:
        raise ImportError(f"Shapes with holes become masks, which need pycocotools: {EXTRA}.", name="pycocotools")
    from pycocotools import mask as masks  # noqa: PLC0415 - an optional dependency

    width, height = size.tolist()
    filled = np.zeros((height, width), bool)
    for outline, *holes in parts:
        inside = masks.decode(masks.frPyObjects([outline], height, width))[..., 0].astype(bool)
        for hole in holes:
            inside &= ~masks.decode(masks.frPyObjects([hole], height, width))[..., 0].astype(bool)
        filled |= inside
    packed = masks.encode(np.asfortranarray(filled.astype(np.uint8)))
    return {"size": [height, width], "counts": packed["counts"].decode()}


def _keypoints(points: list[dict[str, Any]], codes: list[str], size: npt.NDArray[np.int64]) -> dict[str, Any]:
    places = {point["code"] or "": (point["x"] * size[0], point["y"] * size[1], _VISIBLE) for point in points}
    flat = [float(value) for code in codes for value in places.get(code, (0, 0, 0))]
    return {"keypoints": flat, "num_keypoints": len(places)}
