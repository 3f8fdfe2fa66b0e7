"""Hugging Face: labels as a `datasets.Dataset` of objects on pictures, of classes, or of tagged tokens."""

from __future__ import annotations

import atexit
import importlib.util
import re
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Unpack

import numpy as np
import pandas as pd

from pandas_kili.arrow import arrow_array, plain_cells
from pandas_kili.errors import KiliValidationError
from pandas_kili.formats.classes import collect_classes
from pandas_kili.formats.pictures import Pictures, asset_names, assigned_splits, local_file, refuse
from pandas_kili.formats.samples import (
    AREAS,
    ExportOptions,
    Report,
    categories_of,
    chosen_labels,
    collect,
    questions,
    readable_assets,
)
from pandas_kili.media import EXTENSIONS, is_url
from pandas_kili.messages import warn
from pandas_kili.tidy import ANNOTATION, annotations_table

if TYPE_CHECKING:
    from datasets import Dataset, DatasetDict

HfTask = Literal["objects", "classes", "tokens"]

_TOKEN = re.compile(r"\w+|[^\w\s]")
_OUTSIDE = "O"
_NO_TEXT = "no text here: run df = df.kili.download_media() first, or read them with download_media=True"
_NOT_LOCAL = "as not all are local files: run df = df.kili.download_media() first"
_LAST_OF_ONE_UNIT = 0xFFFF


def to_hf(frame: pd.DataFrame, *, task: HfTask = "objects", **options: Unpack[ExportOptions]) -> Dataset | DatasetDict:
    """Return labels as a Hugging Face data set.

    Parameters
    ----------
    frame : pandas.DataFrame
        Assets with their labels.
    task : {"objects", "classes", "tokens"}
        Objects on pictures, as the examples of object detection have them; the class of each picture or text; or the
        tokens of texts with tags (``B-``, ``I-``, ``O``).
    **options
        See `ExportOptions`; `split` takes shares or a column, whatever the task. Nothing is written here, so `media`
        and `overwrite` have no effect: ``to_hf(...).save_to_disk(folder)`` writes, with the pictures in it.

    Returns
    -------
    datasets.Dataset or datasets.DatasetDict
        With `split`, one data set by the name of each split that has rows. Classes are `datasets.ClassLabel`, in the
        order of the project. ``part`` is the frame of a video, from 0, or the page of a document, from 1. ``image`` is
        there if all pictures are local files; pages of PDFs and frames of videos are drawn, as for `media`, into a
        temporary folder that lasts until Python ends. ``bbox`` is left, top, width, height in pixels. Texts are those
        of ``content``, or of the local files that it names.

    Raises
    ------
    KiliFieldError
        If the frame lacks labels, answers, types of labels, or names of assets.
    KiliValidationError
        For options that are not possible, pictures without a size, and hosted texts.
    ImportError
        Without ``datasets``: ``pip install 'pandas-kili[hf]'``.
    """
    if importlib.util.find_spec("datasets") is None:
        raise ImportError("to_hf needs datasets: pip install 'pandas-kili[hf]'.", name="datasets")
    if task not in ("objects", "classes", "tokens"):
        raise KiliValidationError(f"task is 'objects', 'classes' or 'tokens'; got {task!r}.")
    options = {**options, "media": "none"}
    make = {"objects": _objects, "classes": _classes, "tokens": _tokens}[task]
    columns, features, splits, of_row = make(frame, options)
    from datasets import Dataset, DatasetDict  # noqa: PLC0415 - an optional dependency, heavy

    if options.get("split") is None:
        return Dataset.from_dict(columns, features=features)
    own = np.array(of_row, object)
    return DatasetDict(
        {
            split: Dataset.from_dict(
                {name: [values[row] for row in np.flatnonzero(own == split)] for name, values in columns.items()},
                features=features,
            )
            for split in splits
            if split in of_row  # without rows, `load_from_disk` cannot read what `save_to_disk` wrote
        }
    )


Columns = tuple[dict[str, list[Any]], Any, list[str], list[str]]


def _objects(frame: pd.DataFrame, options: ExportOptions) -> Columns:
    from datasets import ClassLabel, Features, Sequence, Value  # noqa: PLC0415 - an optional dependency, heavy

    samples = collect(frame, "Hugging Face", AREAS, options, needs_sizes=True)
    pictures = samples.pictures
    pixels = samples.box * np.tile(pictures.size[samples.picture], 2)
    boxes = np.concatenate([pixels[:, :2], pixels[:, 2:] - pixels[:, :2]], axis=1)
    areas, rows, categories = (boxes[:, 2] * boxes[:, 3]).tolist(), boxes.tolist(), samples.category.tolist()
    columns: dict[str, list[Any]] = {
        "image_id": list(range(len(pictures))),
        "external_id": pictures.external_id,
        "width": pictures.size[:, 0].tolist(),
        "height": pictures.size[:, 1].tolist(),
        "objects": [
            {
                "id": list(own),
                "area": [areas[each] for each in own],
                "bbox": [rows[each] for each in own],
                "category": [categories[each] for each in own],
            }
            for own in samples.of_picture()
        ],
    }
    objects = {"id": Sequence(Value("int64")), "area": Sequence(Value("float64"))}
    objects |= {"bbox": Sequence(Sequence(Value("float64"), length=4))}
    objects |= {"category": Sequence(ClassLabel(names=samples.categories["name"].tolist()))}
    features = {name: Value("int64") for name in ("image_id", "width", "height")}
    features |= {"external_id": Value("string"), "objects": objects}
    if (pictures.part >= 0).any():  # pages count from 1, frames from 0
        columns["part"] = [None if part < 0 else part for part in (pictures.part + pictures.is_page).tolist()]
        features["part"] = Value("int64")
    images, of_images = _images(pictures)
    if not images and len(pictures) and "content" in frame:
        warn(f"Not in the data set: pictures, {_NOT_LOCAL}.")
    return {**images, **columns}, Features({**of_images, **features}), pictures.splits, pictures.split


def _images(pictures: Pictures) -> tuple[dict[str, list[Any]], dict[str, Any]]:
    from datasets import Image  # noqa: PLC0415 - an optional dependency, heavy

    images: list[Any] = [str(source) if _is_image(source) else None for source in pictures.source]
    if any(image is None and drawing is None for image, drawing in zip(images, pictures.drawing, strict=True)):
        return {}, {}
    if any(pictures.drawing):
        folder = Path(tempfile.mkdtemp(prefix="pandas_kili_"))  # drawn pictures may be more than the memory holds
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        drawn = [str(folder / name) for name in pictures.file_name]
        pictures.draw(drawn)
        images = [own or path for own, path in zip(images, drawn, strict=True)]
    return ({"image": images}, {"image": Image()}) if images else ({}, {})


def _is_image(source: Path | None) -> bool:
    return source is not None and _type_of(source) == "image"


def _type_of(file: Path) -> str:
    return EXTENSIONS.get(file.suffix.lower(), "image/").partition("/")[0]


def _text(content: Any) -> str | None:
    """Return the text of an asset, which may be in a local file; None if it is hosted, or the file is no text."""
    if not isinstance(content, str) or is_url(content):
        return None
    file = local_file(content)
    if file is None or file.suffix.lower() not in EXTENSIONS:
        return content
    # Without universal newlines, which would move what people marked.
    return file.read_bytes().decode("utf-8", "replace") if _type_of(file) == "text" else None


def _classes(frame: pd.DataFrame, options: ExportOptions) -> Columns:
    from datasets import ClassLabel, Features, Value  # noqa: PLC0415 - an optional dependency, heavy

    classes = collect_classes(frame, "Hugging Face", options)
    pictures = classes.pictures
    columns: dict[str, list[Any]] = {"external_id": pictures.external_id, "label": classes.category}
    features: dict[str, Any] = {"external_id": Value("string"), "label": ClassLabel(names=classes.names)}
    images, of_images = _images(pictures)
    if not images and "content" in frame:
        contents = plain_cells(frame["content"])
        texts = [_text(contents[row]) for row in pictures.asset]
        if None not in texts:
            images, of_images = {"text": texts}, {"text": Value("string")}
        else:
            warn(f"Not in the data set: pictures or texts, {_NOT_LOCAL}.")
    return {**images, **columns}, Features({**of_images, **features}), pictures.splits, pictures.split


def _tokens(frame: pd.DataFrame, options: ExportOptions) -> Columns:
    from datasets import ClassLabel, Features, Sequence, Value  # noqa: PLC0415 - an optional dependency, heavy

    if "content" not in frame:
        raise KiliValidationError("the texts are in 'content', which the frame does not have.")
    report = Report("Hugging Face")
    chosen = chosen_labels(frame, options, report)
    asked = questions(options)
    rows = annotations_table(chosen.set_axis(pd.RangeIndex(len(chosen)), axis=0), asked)
    columns = ("kind", "job", "category", "beginOffset", "endOffset", "content", "beginId")
    cells = {name: arrow_array(rows[name]).to_pylist() for name in columns}
    job = options.get("job")
    jobs = {job} if isinstance(job, str) else set(job) if job else None
    spans: dict[int, list[tuple[int, int, str]]] = {}
    lost = []
    for label, *values in zip(rows.index, *cells.values(), strict=True):
        kind, of_job, category, begin, end, text, block = values
        if kind != ANNOTATION or begin is None or category is None or (jobs is not None and of_job not in jobs):
            continue
        asset = int(chosen.index[label])
        if block is not None:
            lost.append(asset)
            continue
        spans.setdefault(asset, []).append((begin, begin + len(text or "") if end is None else end, category))
    report.add(np.array(lost, np.int64), "an entity of rich text")
    assets = readable_assets(chosen, rows)
    report.add(np.setdiff1d(chosen.index.to_numpy(np.int64), assets), "the answer cannot be read")
    report.warn()
    contents, names = plain_cells(frame["content"]), asset_names(frame)
    texts = {row: _text(contents[row]) for row in assets.tolist()}
    refuse(frame, assets, [texts[row] is None for row in assets.tolist()], _NO_TEXT)
    asked_for = categories_of(asked, "NAMED_ENTITIES_RECOGNITION")
    known = list(dict.fromkeys(name for of, name in asked_for if jobs is None or of in jobs))
    found = sorted({category for own in spans.values() for *_, category in own}.difference(known))
    tags = [_OUTSIDE, *(f"{place}-{name}" for name in [*known, *found] for place in "BI")]
    tagged = [_tagged(texts[row] or "", spans.get(row, [])) for row in assets.tolist()]
    numbers = {tag: number for number, tag in enumerate(tags)}
    out = {
        "external_id": [names[row] for row in assets],
        "tokens": [[token for token, _ in each] for each in tagged],
        "ner_tags": [[numbers[tag] for _, tag in each] for each in tagged],
    }
    features = {"external_id": Value("string"), "tokens": Sequence(Value("string"))}
    features |= {"ner_tags": Sequence(ClassLabel(names=tags))}
    return out, Features(features), *assigned_splits(frame, assets, options.get("split"))


def _tagged(text: str, spans: list[tuple[int, int, str]]) -> list[tuple[str, str]]:
    """Return the tokens of a text with their tags; of spans that overlap, the longest counts."""
    # Kili counts as JavaScript does: characters beyond the first 65,536 are two.
    starts = np.cumsum([0, *(2 if ord(character) > _LAST_OF_ONE_UNIT else 1 for character in text)])
    longest = sorted(spans, key=lambda span: (span[0] - span[1], span[0]))
    tagged: list[tuple[str, str]] = []
    before: tuple[int, int, str] | None = None
    for token in _TOKEN.finditer(text):
        begin, end = int(starts[token.start()]), int(starts[token.end()])
        span = next((span for span in longest if span[0] < end and span[1] > begin), None)
        place = "" if span is None else f"{'I' if span == before else 'B'}-{span[2]}"
        tagged.append((token[0], place or _OUTSIDE))
        before = span
    return tagged
