"""COCO that comes from elsewhere: data sets, and results of models, as assets with answers."""

from __future__ import annotations

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
from pandas_kili.formats.incoming import Incoming
from pandas_kili.messages import listed

Floats = npt.NDArray[np.float64]


def read_coco(
    source: str | os.PathLike[str] | Mapping[str, Any] | Sequence[Mapping[str, Any]],
    images: str | os.PathLike[str] | None = None,
    *,
    data_set: str | os.PathLike[str] | Mapping[str, Any] | None = None,
    job: str = "OBJECTS",
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
    job : str
        The job of categories that have no ``supercategory``.

    Returns
    -------
    pandas.DataFrame
        A row per image: ``externalId``, ``content`` (the path of the file if it is there, else its name),
        ``resolution.width``, ``resolution.height`` and ``jsonResponse``, ready for ``append_many_to_dataset`` and
        ``append_labels``. Scores become confidences in percent.

    Raises
    ------
    KiliValidationError
        If the source is not COCO, naming the annotations that do not fit.
    ImportError
        For masks, without ``pycocotools`` and ``contourpy``.

    Examples
    --------
    >>> image = {"id": 7, "file_name": "a.jpg", "width": 100, "height": 50}
    >>> box = {"id": 1, "image_id": 7, "category_id": 3, "bbox": [10, 5, 20, 10]}
    >>> data_set = {"images": [image], "categories": [{"id": 3, "name": "CAT"}], "annotations": [box]}
    >>> read_coco(data_set)["externalId"].tolist()
    ['a.jpg']
    """
    value, folder = _loaded(source)
    described = value
    if isinstance(value, list):
        if data_set is None:
            raise KiliValidationError("these are results: give the data set with their images as data_set=….")
        described, folder_of_set = _loaded(data_set)
        folder, value = folder_of_set or folder, {"annotations": value}
    if not isinstance(described, Mapping) or not all(
        isinstance(described.get(name), list) for name in ("images", "categories")
    ):
        raise KiliValidationError("the source is not a COCO data set: it lacks lists of images and categories.")
    root = Path(images).expanduser() if images is not None else folder
    incoming = Incoming()
    pictures = {image["id"]: image for image in described["images"]}
    for image in pictures.values():
        name = str(image["file_name"])
        incoming.add_picture(image["id"], _external_id(image), root / name if root else name, _size(image))
    categories = {each["id"]: _category(each, job) for each in described["categories"]}
    incoming.jobs = sorted({of_job for of_job, _ in categories.values()}) or [job]
    problems = []
    for number, annotation in enumerate(value.get("annotations") or ()):
        try:
            image, pair = pictures[annotation["image_id"]], categories[annotation["category_id"]]
            for shape in _shapes(annotation, image, described):
                incoming.add_object(image["id"], *pair, **shape, confidence=_confidence(annotation))
        except (KeyError, TypeError, ValueError, IndexError) as error:
            problems.append(f"annotation {annotation.get('id', number)!r}: {type(error).__name__} {error}")
    if problems:
        raise KiliValidationError(f"{len(problems)} annotations do not fit: {listed(problems)}.")
    return incoming.frame()


def _loaded(source: Any) -> tuple[Any, Path | None]:
    if not isinstance(source, str | os.PathLike):
        return source if isinstance(source, Mapping) else list(source), None
    path = Path(source).expanduser()
    if path.is_dir():  # as `to_coco` writes it
        path /= FILE
    try:
        return json.loads(path.read_text(encoding="utf-8")), path.parent
    except (ValueError, RecursionError) as error:
        raise KiliValidationError(f"{path} is not JSON: {error}.") from None


def _external_id(image: Mapping[str, Any]) -> str:
    return str(image.get("external_id") or Path(str(image["file_name"])).name)


def _size(image: Mapping[str, Any]) -> tuple[int, int] | None:
    return (image["width"], image["height"]) if image.get("width") and image.get("height") else None


def _category(category: Mapping[str, Any], job: str) -> tuple[str, str]:
    """Return the job and the category, as `to_coco` and the official SDK name them."""
    above, name = str(category.get("supercategory") or ""), str(category["name"])
    if above and name.startswith(f"{above}/"):
        return above, name.removeprefix(f"{above}/")
    return above or job, name


def _confidence(annotation: Mapping[str, Any]) -> float | None:
    if annotation.get("score") is not None:
        return float(annotation["score"]) * 100
    confidence = annotation.get("confidence")
    return None if confidence is None else float(confidence)


def _shapes(
    annotation: Mapping[str, Any], image: Mapping[str, Any], described: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """Return tools, rings and points of an annotation, as shares of the picture."""
    size = np.array([image["width"], image["height"]], np.float64)
    tool = annotation.get("tool")
    if annotation.get("keypoints"):
        codes = next(each for each in described["categories"] if each["id"] == annotation["category_id"])["keypoints"]
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
