"""YOLO: text files of boxes, outlines or classes beside pictures, as Ultralytics reads them, and back."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Unpack

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from pandas_kili.errors import KiliValidationError
from pandas_kili.formats.classes import collect_classes
from pandas_kili.formats.folder import external_ids, new_folder, put_media
from pandas_kili.formats.incoming import UNNAMED, Incoming, Jobs
from pandas_kili.formats.pictures import Pictures
from pandas_kili.formats.samples import AREAS, ExportOptions, Samples, collect
from pandas_kili.media import EXTENSIONS, safe_stem
from pandas_kili.messages import listed, plural, warn

_File = tuple[str | None, Path | None, Path]  # the split, the picture and its text
Task = Literal["detect", "segment", "classify"]

_FILE = "data.yaml"
_PAIRS = "kili"  # key of the job and category of each name, which only this package reads
_BOX = 4  # numbers after the class
_DECIMALS = 9  # of shares of a side
_SMALLEST_OUTLINE = 3  # vertices
_EXTRA = "pip install 'pandas-kili[formats]'"
_PICTURES = tuple(extension for extension, type_ in EXTENSIONS.items() if type_.startswith("image/"))


def to_yolo(
    frame: pd.DataFrame, folder: str | os.PathLike[str], *, task: Task = "detect", **options: Unpack[ExportOptions]
) -> pd.DataFrame:
    """Write labels as a YOLO data set: text files, pictures, and ``data.yaml``.

    Parameters
    ----------
    frame : pandas.DataFrame
        Assets with their labels.
    folder : str or path
        A new folder. It gets ``images`` and ``labels``, with a folder per split in each, and ``data.yaml``; for
        ``"classify"``, a folder per split and class.
    task : {"detect", "segment", "classify"}
        Boxes around objects; their outlines; or the class of each picture; this needs ``media="copy"`` or ``"link"``.
    **options
        See `ExportOptions`.

    Returns
    -------
    pandas.DataFrame
        What was left out: ``externalId``, ``job``, ``reason`` and ``count``.

    Raises
    ------
    KiliFieldError
        If the frame lacks labels, answers, types of labels, or names of assets.
    KiliValidationError
        For options that are not possible, pictures without a local file that is needed, and a folder that is there.
    ImportError
        Without PyYAML.

    Notes
    -----
    Coordinates are shares of the picture as it is stored. The box of an object is that around all its rings. YOLO has
    no holes: ``"segment"`` writes outlines, and the parts of a semantic object as one line each. Ultralytics wants a
    split ``train`` and a split ``val``; without `split`, both name all pictures.
    """
    yaml = _yaml()
    if task not in ("detect", "segment", "classify"):
        raise KiliValidationError(f"task is 'detect', 'segment' or 'classify'; got {task!r}.")
    overwrite, media = options.get("overwrite", False), options.get("media", "none")
    if task == "classify":
        return _write_classes(frame, folder, options)
    samples = collect(frame, "YOLO", AREAS, options, needs_sizes=False, keeps_holes=task == "detect")
    pictures = samples.pictures
    with new_folder(folder, f"yolo {task}", samples, overwrite=overwrite) as root:
        for kind in ("images", "labels"):
            for split in pictures.splits:
                (root / kind / split).mkdir(parents=True)
        folders = {split: str(root / "labels" / split) for split in pictures.splits}
        for stem, split, text in zip(pictures.stems(), pictures.split, _texts(samples, task), strict=True):
            with open(f"{folders[split]}/{stem}.txt", "wb") as file:  # noqa: PTH123 - a path costs more than its file
                file.write(text.encode())
        put_media(pictures, _paths(root / "images", pictures), media)
        names = dict(enumerate(samples.categories["name"].tolist()))
        pairs = samples.categories[["job", "category"]].to_numpy().tolist()
        described = {**_places(pictures.splits), "names": names, _PAIRS: pairs}
        (root / _FILE).write_text(yaml.safe_dump(described, sort_keys=False, allow_unicode=True), encoding="utf-8")
    return samples.left_out


def _yaml() -> Any:
    if importlib.util.find_spec("yaml") is None:
        raise ImportError(f"YOLO's data.yaml needs PyYAML: {_EXTRA}.", name="yaml")
    import yaml  # noqa: PLC0415 - an optional dependency

    return yaml


def _paths(root: Path, pictures: Pictures) -> Iterator[Path]:
    return (root / split / name for split, name in zip(pictures.split, pictures.file_name, strict=True))


def _places(splits: list[str]) -> dict[str, str]:
    if splits == [""]:
        return {"train": "images", "val": "images"}
    return {split: f"images/{split}" for split in splits}


def _texts(samples: Samples, task: Task) -> Iterator[str]:
    """Yield the text of each picture, a line for each box or outline."""
    if task == "detect":
        sides = samples.box[:, 2:] - samples.box[:, :2]
        numbers = np.concatenate([(samples.box[:, :2] + samples.box[:, 2:]) / 2, sides], axis=1)
        texts = [pc.round(pa.array(values), _DECIMALS).cast(pa.string()) for values in numbers.T]
        whole = pc.binary_join_element_wise(pa.array(samples.category).cast(pa.string()), *texts, " ")
        lines = pc.binary_join_element_wise(whole, "", "\n").to_pylist()
    else:
        categories = samples.category.tolist()
        lines = [
            "".join(
                f"{category} {' '.join([f'{value:.9g}' for value in outline.ravel().tolist()])}\n"
                for outline, *_ in samples.outlines(each)
                if len(outline) >= _SMALLEST_OUTLINE
            )
            for each, category in enumerate(categories)
        ]
    return ("".join(lines[each.start : each.stop]) for each in samples.of_picture())


def _write_classes(frame: pd.DataFrame, folder: str | os.PathLike[str], options: ExportOptions) -> pd.DataFrame:
    if options.get("media", "none") == "none":
        raise KiliValidationError("task='classify' puts pictures into a folder per class: give media='copy' or 'link'.")
    classes = collect_classes(frame, "YOLO", options)
    names = [safe_stem(name) for name in classes.names]
    if len(set(names)) < len(names):
        raise KiliValidationError(
            f"classes are names of folders, and some of these are equal: {listed(classes.names)}."
        )
    pictures = classes.pictures
    with new_folder(folder, "yolo classify", classes, overwrite=options.get("overwrite", False)) as root:
        for split in pictures.splits:
            for name in names:
                (root / split / name).mkdir(parents=True)
        of_picture = zip(pictures.split, classes.category, pictures.file_name, strict=True)
        paths = [root / split / names[category] / file_name for split, category, file_name in of_picture]
        put_media(pictures, paths, options.get("media", "copy"))
    return classes.left_out


def read_yolo(
    folder: str | os.PathLike[str],
    *,
    data_set: str | os.PathLike[str] | None = None,
    job: str | None = None,
    jobs: Jobs | None = None,
) -> pd.DataFrame:
    """Read a YOLO data set, or what a model wrote (``save_txt``), as assets with answers.

    Parameters
    ----------
    folder : str or path
        The folder with ``data.yaml``, or that file; or the folder of text files that a model wrote.
    data_set : str or path, optional
        For what a model wrote: the data set with its pictures and classes.
    job : str, optional
        The job of all objects; by default those that `to_yolo` wrote down, else the only one of
        `jobs`, or ``"OBJECTS"``.
    jobs : str, mapping or pandas.DataFrame, optional
        The project's questions, to which all answers are held: its id, its interface, or what `read_jobs` gives.

    Returns
    -------
    pandas.DataFrame
        A row per picture: ``externalId``, ``content`` (the path of the picture), ``resolution.width``,
        ``resolution.height``, ``split`` and ``jsonResponse``. Without pictures, and with `data_set`, a row per text
        file; the content of those without a picture is its name. Lines of a class and four numbers are boxes, longer
        ones polygons; one number more is the confidence.

    Raises
    ------
    KiliValidationError
        If there is no ``data.yaml`` with names, or lines do not fit, naming files and lines, or answers do not fit
        `jobs`; all of them at once.
    ImportError
        Without PyYAML.

    Notes
    -----
    Objects are cut at the edge of their picture; those without an area on it are left out, and a warning names them.
    Outlines are polygons, or with `jobs` what their job draws: semantic shapes, or rectangles where they are upright.

    Examples
    --------
    >>> import tempfile
    >>> folder = tempfile.mkdtemp() + "/yolo"
    >>> labels = [[{"labelType": "DEFAULT", "jsonResponse": "{}"}]]
    >>> left_out = pd.DataFrame({"externalId": ["a"], "labels": labels}).kili.to_yolo(folder)
    >>> read_yolo(folder)["externalId"].tolist()
    ['a']
    """
    path = Path(folder if data_set is None else data_set).expanduser()
    path = path / _FILE if path.is_dir() else path
    try:
        described = _yaml().safe_load(path.read_text(encoding="utf-8"))
        names = described["names"]
        known = dict(names) if isinstance(names, Mapping) else dict(enumerate(names))
        root = path.parent / str(described.get("path") or "")
        places = _places_of(described)
    except (OSError, KeyError, TypeError, ValueError, AttributeError, _yaml().YAMLError) as error:
        hint = "" if path.is_file() else " What a model wrote is read with data_set=, the folder that it learned from."
        raise KiliValidationError(f"{path} does not describe a YOLO data set: {error!r}.{hint}") from None
    pairs = {int(number): (job or UNNAMED, str(name)) for number, name in known.items()}
    if isinstance(own := described.get(_PAIRS), list) and len(own) == len(pairs):
        pairs = {number: (job or str(of_job), str(category)) for number, (of_job, category) in enumerate(own)}
    incoming, problems = Incoming(), []
    names_of = {Path(file_name).stem: (file_name, name) for file_name, name in external_ids(path.parent).items()}
    incoming.jobs = sorted({of_job for of_job, _ in pairs.values()})
    roots = (root, path.parent)
    files = ((split, *each) for split, place in places for each in _files(_found(roots, place)))
    for split, picture, text in files if data_set is None else _of_model(Path(folder).expanduser(), files):
        key = (split, picture or text)
        file_name, external_id = names_of.get(text.stem, (f"{text.stem}.jpg", None))
        content = picture or file_name
        longer = Path(os.path.relpath(content, path.parent)).as_posix() if picture else file_name
        incoming.add_picture(key, external_id or Path(content).name, content, longer=longer, split=split)
        lines = text.read_text(encoding="utf-8", errors="replace").splitlines() if text.is_file() else []
        for number, line in enumerate(lines, 1):
            where = f"{text.name}, line {number}"
            try:
                if line.strip():
                    incoming.add_object(key, **_object(line.split(), pairs), where=where)
            except ValueError as error:
                problems.append(f"{where}: {error}")
    if problems:
        raise KiliValidationError(f"{plural(len(problems), 'line does', 'lines do')} not fit: {listed(problems)}.")
    return incoming.frame(jobs)


def _places_of(described: Mapping[str, Any]) -> list[tuple[str | None, str]]:
    """Return splits and their folders; a folder that several splits name is read once, and is no split."""
    found: dict[str, list[str]] = {}
    for split, value in described.items():
        if split not in {"names", "nc", "path", "download", _PAIRS}:
            for place in value if isinstance(value, list) else [value]:
                if isinstance(place, str) and place:
                    found.setdefault(place, []).append(split)
    if not found:
        raise ValueError("it names no folder of pictures")
    return [(splits[0] if len(splits) == 1 else None, place) for place, splits in found.items()]


def _found(roots: Sequence[Path], place: str) -> Path:
    """Return a folder that ``data.yaml`` names: ``path`` may be of another machine, and Roboflow begins too high."""
    known = [root / each for root in roots for each in (place.removeprefix("../"), place)]
    return next((folder for folder in known if folder.is_dir() or _labels_of(folder).is_dir()), known[-1])


def _labels_of(images: Path) -> Path:
    """Return the place of labels beside one of images, as Ultralytics finds it."""
    parts = list(images.parts)
    where = max((number for number, part in enumerate(parts) if part == "images"), default=None)
    return images if where is None else Path(*parts[:where], "labels", *parts[where + 1 :])


def _files(images: Path) -> Iterator[tuple[Path | None, Path]]:
    """Yield pictures with their text files, and text files without pictures, in the order of their names."""
    pictures = [path for path in images.rglob("*") if path.suffix.lower() in _PICTURES]
    texts = [_labels_of(picture).with_suffix(".txt") for picture in pictures]
    alone = set(_labels_of(images).rglob("*.txt")).difference(texts)
    if not pictures and not alone:
        warn(f"Not read: {images}, which {_FILE} names, holds neither pictures nor labels.")
    found = [*zip(pictures, texts, strict=True), *((None, text) for text in alone)]
    yield from sorted(found, key=lambda pair: (pair[1], str(pair[0])))


def _of_model(folder: Path, known: Iterable[_File]) -> Iterator[_File]:
    """Yield the text files that a model wrote, with the splits and pictures of the data set that they are about.

    Raises
    ------
    KiliValidationError
        If there are none, or pictures of several folders have their names.
    """
    texts = sorted(folder.rglob("*.txt"))
    if not texts:
        raise KiliValidationError(f"{folder} holds no text files of a model.")
    found: dict[str, list[_File]] = {text.stem: [] for text in texts}
    for split, picture, text in known:
        found.get(text.stem, []).append((split, picture, text))
    several = [stem for stem, files in found.items() if len(files) > 1]
    if several:
        raise KiliValidationError(f"several pictures of the data set have these names: {listed(several)}.")
    for text in texts:
        for split, picture, _ in found[text.stem] or [(None, None, text)]:
            yield split, picture, text


def _object(values: list[str], pairs: Mapping[int, tuple[str, str]]) -> dict[str, Any]:
    if int(values[0]) not in pairs:
        raise ValueError(f"there is no class {values[0]}")
    job, category = pairs[int(values[0])]
    numbers = np.array(values[1:], np.float64)
    if not np.isfinite(numbers).all():
        raise ValueError("a number that is not finite")
    confidence = float(numbers[-1]) * 100 if len(numbers) % 2 else None
    places = numbers[: len(numbers) // 2 * 2]
    found = {"job": job, "category": category, "confidence": confidence}
    if len(places) == _BOX:
        x, y, width, height = places.tolist()
        left, top, right, bottom = x - width / 2, y - height / 2, x + width / 2, y + height / 2
        corners = np.array([(left, bottom), (left, top), (right, top), (right, bottom)])
        return {**found, "tool": "rectangle", "rings": [corners]}
    if len(places) < 2 * _SMALLEST_OUTLINE:
        raise ValueError(f"{len(numbers)} numbers after the class are neither a box nor a polygon")
    return {**found, "tool": "polygon", "rings": [places.reshape(-1, 2)]}
