"""COCO that comes from elsewhere: data sets, and results of models, as assets with answers."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pandas_kili.errors import KiliValidationError
from pandas_kili.formats.coco import EXTRA, FILE, SMALLEST_RING
from pandas_kili.formats.incoming import UNNAMED, Incoming, Jobs
from pandas_kili.messages import listed, plural

Floats = npt.NDArray[np.float64]


@dataclasses.dataclass(frozen=True)
class _Part:
    """A data set, or one of its splits; `folder` holds its file."""

    value: Any
    folder: Path | None = None
    split: str | None = None


def read_coco(
    source: str | os.PathLike[str] | Mapping[str, Any] | Sequence[Mapping[str, Any]],
    images: str | os.PathLike[str] | None = None,
    *,
    data_set: str | os.PathLike[str] | Mapping[str, Any] | None = None,
    job: str | None = None,
    jobs: Jobs | None = None,
) -> pd.DataFrame:
    """Read a COCO data set, or the results of a model, as assets with answers.

    Parameters
    ----------
    source : str, path, dict or list of dict
        The JSON file, the folder that `to_coco` wrote, or what such a file holds: a data set, or a list of results with
        ``image_id``, ``category_id``, ``score`` and ``bbox`` or ``segmentation``.
    images : str or path, optional
        The folder that file names start from; by default that of the JSON file.
    data_set : str, path or dict, optional
        For results: the data set with their images and categories.
    job : str, optional
        The job of all objects; by default the ``supercategory`` of each category, else the only one of
        `jobs`, or ``"OBJECTS"``.
    jobs : str, mapping or pandas.DataFrame, optional
        The project's questions, to which all answers are held: its id, its interface, or what `read_jobs` gives.

    Returns
    -------
    pandas.DataFrame
        A row per image: ``externalId``, ``content`` (the path of the file if it is there, else its ``coco_url`` or
        name), ``resolution.width``, ``resolution.height`` (measured if the data set does not say them), ``split`` and
        ``jsonResponse``, ready for ``append_many_to_dataset`` and ``append_labels``. Scores become confidences in
        percent.

    Raises
    ------
    KiliValidationError
        If the source is not COCO, or annotations do not fit it, or answers do not fit `jobs`; all of them at once.
    ImportError
        For masks, without ``pycocotools`` and ``contourpy``.

    Notes
    -----
    Objects are cut at the edge of their picture; those without an area on it are left out, and a warning names them.
    Outlines are polygons, or with `jobs` what their job draws: semantic shapes, or rectangles where they are upright.

    Examples
    --------
    >>> image = {"id": 7, "file_name": "a.jpg", "width": 100, "height": 50}
    >>> box = {"id": 1, "image_id": 7, "category_id": 3, "bbox": [10, 5, 20, 10]}
    >>> data_set = {"images": [image], "categories": [{"id": 3, "name": "CAT"}], "annotations": [box]}
    >>> read_coco(data_set)["externalId"].tolist()
    ['a.jpg']
    """
    parts = _parts(source)
    results = parts[0].value if isinstance(parts[0].value, list) else None
    if results is not None:
        if data_set is None:
            raise KiliValidationError("these are results: give the data set with their images as data_set=….")
        parts = _parts(data_set)
    incoming, sizes = Incoming(), {}
    for part in parts:
        _check(part.value)
    categories: dict[Any, dict[str, Any]] = {}
    annotations: list[Any] = []
    for part in parts:
        categories |= {each["id"]: each for each in part.value["categories"]}
        annotations += part.value.get("annotations") or []
        root = Path(images).expanduser() if images is not None else part.folder
        for image in part.value["images"]:
            name = str(image["file_name"])
            file = root / name if root else Path(name)
            content = file if file.is_file() else str(image.get("coco_url") or name)
            sizes[image["id"]] = incoming.add_picture(
                image["id"], _external_id(image), content, longer=name, size=_size(image), split=part.split
            )
    _add_objects(incoming, annotations if results is None else results, sizes, categories, job)
    return incoming.frame(jobs)


def _add_objects(
    incoming: Incoming,
    annotations: Sequence[Any],
    sizes: Mapping[Any, tuple[int, int] | None],
    categories: Mapping[Any, Mapping[str, Any]],
    job: str | None,
) -> None:
    pairs = {number: _pair(category, job) for number, category in categories.items()}
    incoming.jobs = sorted({of_job for of_job, _ in pairs.values()}) or [job or UNNAMED]
    problems = []
    for number, annotation in enumerate(annotations):
        where = f"annotation {annotation.get('id', number) if isinstance(annotation, Mapping) else number!r}"
        try:
            image, category = annotation["image_id"], annotation["category_id"]
            if image not in sizes:
                raise ValueError(f"there is no image {image!r}")
            if category not in pairs:
                raise ValueError(f"there is no category {category!r}")
            pair, size = pairs[category], sizes[image]
            if size is None:
                raise ValueError("the size of its image is not known")
            confidence = _confidence(annotation)
            for shape in _shapes(annotation, np.array(size, np.float64), categories[category]):
                incoming.add_object(image, *pair, **shape, where=where, confidence=confidence)
        except (KeyError, TypeError, ValueError, IndexError) as error:
            problems.append(f"{where}: {type(error).__name__} {error}")
    if problems:
        raise KiliValidationError(
            f"{plural(len(problems), 'annotation does', 'annotations do')} not fit: {listed(problems)}."
        )


def _parts(source: Any) -> list[_Part]:
    """Return the data sets of a file, of a folder that `to_coco` wrote, or given as they are."""
    if not isinstance(source, str | os.PathLike):
        return [_Part(source if isinstance(source, Mapping) else list(source))]
    path = Path(source).expanduser()
    files: list[Path] = [path]
    splits: list[str | None] = [None]
    if path.is_dir() and not (path / FILE).is_file():
        files = sorted(path.glob(f"*/{FILE}"))
        splits = [file.parent.name for file in files]
    elif path.is_dir():
        files = [path / FILE]
    if not files:
        raise KiliValidationError(f"{path} holds no {FILE}, and neither does a folder in it: name the JSON file.")
    return [_Part(_loaded(file), file.parent, split) for file, split in zip(files, splits, strict=True)]


def _loaded(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise KiliValidationError(f"{path} is not JSON: {error}.") from None


def _check(value: Any) -> None:
    """Refuse what is not a data set of COCO."""
    keys = {"images": ("id", "file_name"), "categories": ("id", "name")}
    lists = [value.get(name) for name in keys] if isinstance(value, Mapping) else []
    if not lists or not all(isinstance(each, list) for each in lists):
        raise KiliValidationError("the source is not a COCO data set: it lacks lists of images and categories.")
    problems = [
        f"{name}[{number}] lacks {key!r}"
        for (name, needed), rows in zip(keys.items(), lists, strict=True)
        for number, row in enumerate(rows or ())
        for key in needed
        if not isinstance(row, Mapping) or row.get(key) is None
    ]
    if problems:
        raise KiliValidationError(f"the source is not a COCO data set: {listed(problems)}.")


def _external_id(image: Mapping[str, Any]) -> str:
    """Return the external id that `to_coco` wrote; frames and pages become assets of their own, named by their file."""
    whole = None if "frame" in image or "page" in image else image.get("external_id")
    return str(whole or Path(str(image["file_name"])).name)


def _size(image: Mapping[str, Any]) -> tuple[int, int] | None:
    return (image["width"], image["height"]) if image.get("width") and image.get("height") else None


def _pair(category: Mapping[str, Any], job: str | None) -> tuple[str, str]:
    """Return the job and the category, as `to_coco` and the official SDK name them."""
    above, name = str(category.get("supercategory") or ""), str(category["name"])
    return job or above or UNNAMED, name.removeprefix(f"{above}/") if above else name


def _confidence(annotation: Mapping[str, Any]) -> float | None:
    if annotation.get("score") is not None:
        return float(annotation["score"]) * 100
    confidence = annotation.get("confidence")
    return None if confidence is None else float(confidence)


def _shapes(annotation: Mapping[str, Any], size: Floats, category: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return tools, rings and points of an annotation, as shares of the picture."""
    tool = annotation.get("tool")
    if annotation.get("keypoints"):
        codes = category["keypoints"]
        values = np.array(annotation["keypoints"], np.float64).reshape(-1, 3)
        places = [
            (code, x / size[0], y / size[1]) for code, (x, y, seen) in zip(codes, values.tolist(), strict=True) if seen
        ]
        return [{"tool": "pose", "points": places}]
    if annotation.get("rings"):
        return [{"tool": tool, "rings": [_vertices(ring, size) for ring in part]} for part in annotation["rings"]]
    segmentation = annotation.get("segmentation") or []
    if isinstance(segmentation, Mapping):
        return [{"tool": "semantic", "rings": rings} for rings in _outlines(segmentation, size)]
    rings = [_vertices(ring, size) for ring in segmentation]
    if len(rings) > 1:
        return [{"tool": tool or "semantic", "rings": [ring]} for ring in rings]
    bbox = annotation.get("bbox")
    if not rings:
        x, y, width, height = (float(value) for value in bbox or ())
        corners = np.array([(x, y + height), (x, y), (x + width, y), (x + width, y + height)])
        rings = [corners / size]
    is_box = not segmentation or _is_box(rings[0], bbox, size)
    return [{"tool": tool or ("rectangle" if is_box else "polygon"), "rings": rings}]


def _vertices(flat: Sequence[float], size: Floats) -> Floats:
    ring = np.array(flat, np.float64).reshape(-1, 2) / size
    if len(ring) < SMALLEST_RING:
        raise ValueError("a ring of fewer than 3 vertices")
    return ring


def _is_box(ring: Floats, bbox: Sequence[float] | None, size: Floats) -> bool:
    """Return whether a ring is the upright box itself."""
    if len(ring) != 4 or bbox is None:  # noqa: PLR2004 - corners
        return False
    pixels = ring * size
    left, top, width, height = bbox
    on_edges = np.isclose(pixels[:, 0, None], [left, left + width]).any(axis=1)
    return bool((on_edges & np.isclose(pixels[:, 1, None], [top, top + height]).any(axis=1)).all())


def _outlines(segmentation: Mapping[str, Any], size: Floats) -> list[list[Floats]]:
    """Return the outlines of a mask, each with its holes."""
    for name in ("pycocotools", "contourpy"):
        if importlib.util.find_spec(name) is None:
            raise ImportError(f"Masks need {name}: {EXTRA}.", name=name)
    from contourpy import contour_generator  # noqa: PLC0415 - an optional dependency
    from pycocotools import mask as masks  # noqa: PLC0415 - an optional dependency

    height, width = segmentation["size"]
    packed = segmentation
    if isinstance(segmentation["counts"], list):
        packed = masks.frPyObjects(dict(segmentation), height, width)
    pixels = np.pad(masks.decode(packed).astype(np.float64), 1)
    filled: Any = contour_generator(z=pixels, fill_type="OuterOffset").filled(0.5, 2.0)
    # Contours run between the centers of pixels, and the padding moves them by one.
    return [
        [(ring[:-1] - 0.5) / size for ring in np.split(shape, ends[1:-1].tolist())]
        for shape, ends in zip(*filled, strict=True)
    ]
