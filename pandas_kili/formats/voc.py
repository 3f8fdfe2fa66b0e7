"""Pascal VOC: an XML file of boxes for each picture, and back."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Unpack
from xml.etree import ElementTree as ET

import numpy as np
import pandas as pd

from pandas_kili.errors import KiliValidationError
from pandas_kili.formats.folder import new_folder, put_media
from pandas_kili.formats.incoming import UNNAMED, Incoming, Jobs
from pandas_kili.formats.samples import AREAS, ExportOptions, Samples, collect
from pandas_kili.messages import listed, plural

_ANNOTATIONS, _IMAGES, _SETS = "Annotations", "JPEGImages", "ImageSets/Main"
_WHOLE = {"all", "trainval"}  # lists of what other lists hold
_OF_CLASS = re.compile(r"\s-?[01]$")  # a line of `cat_train.txt`
_EDGES = ("xmin", "ymin", "xmax", "ymax")
_UNWRITABLE = dict.fromkeys([*range(9), 11, 12, *range(14, 32), *range(55296, 57344), 65534, 65535], "�")
_LARGEST = 2**24  # bytes of an XML file


def to_voc(frame: pd.DataFrame, folder: str | os.PathLike[str], **options: Unpack[ExportOptions]) -> pd.DataFrame:
    """Write labels as a Pascal VOC data set: ``Annotations``, ``JPEGImages`` and ``ImageSets/Main``.

    Parameters
    ----------
    frame : pandas.DataFrame
        Assets with their labels.
    folder : str or path
        A new folder.
    **options
        See `ExportOptions`. Splits are lists of pictures in ``ImageSets/Main``.

    Returns
    -------
    pandas.DataFrame
        What was left out: ``externalId``, ``job``, ``reason`` and ``count``.

    Raises
    ------
    KiliFieldError
        If the frame lacks labels, answers, types of labels, or names of assets.
    KiliValidationError
        For pictures without a size, options that are not possible, and a folder that is there already.

    Notes
    -----
    VOC counts whole pixels from 1, both edges included, so boxes are exact to a pixel. They are around all rings of an
    object, on the picture as it is stored.
    """
    samples = collect(frame, "Pascal VOC", AREAS, options, needs_sizes=True)
    pictures = samples.pictures
    with new_folder(folder, "voc", samples, overwrite=options.get("overwrite", False)) as root:
        for name in (_ANNOTATIONS, _IMAGES, _SETS):
            (root / name).mkdir(parents=True)
        stems = pictures.stems()
        for stem, document in zip(stems, _documents(samples), strict=True):
            (root / _ANNOTATIONS / f"{stem}.xml").write_bytes(document)
        for split in pictures.splits:
            lines = [f"{stem}\n" for stem, own in zip(stems, pictures.split, strict=True) if own == split]
            (root / _SETS / f"{split or 'all'}.txt").write_text("".join(lines), encoding="utf-8", errors="replace")
        put_media(pictures, [root / _IMAGES / name for name in pictures.file_name], options.get("media", "none"))
    return samples.left_out


def _documents(samples: Samples) -> Iterator[bytes]:
    """Yield the XML of each picture."""
    pictures = samples.pictures
    sides = pictures.size[samples.picture]
    places = samples.box * np.tile(sides, 2)
    first, last = places[:, :2].round(), places[:, 2:].round()
    first = np.where(first < last, first, np.minimum(np.floor(places[:, :2]), sides - 1))  # at least one pixel
    pixels = np.concatenate([first + 1, np.maximum(last, first + 1)], axis=1).astype(np.int64)
    boxes, categories = pixels.tolist(), samples.category.tolist()
    names, jobs = samples.categories["name"].tolist(), samples.categories["job"].tolist()
    sizes = pictures.size.tolist()
    for number, objects in enumerate(samples.of_picture()):
        root = ET.Element("annotation")
        _add(root, folder=_IMAGES, filename=pictures.file_name[number], segmented="0")
        source = {"external_id": pictures.external_id[number]} if pictures.part[number] < 0 else {}
        _add(ET.SubElement(root, "source"), database="Kili", **source)
        width, height = sizes[number]
        _add(ET.SubElement(root, "size"), width=str(width), height=str(height), depth="3")
        for each in objects:
            category = categories[each]
            found = ET.SubElement(root, "object")
            _add(found, name=names[category], job_name=jobs[category], pose="Unspecified", truncated="0")
            _add(found, difficult="0", occluded="0")
            _add(ET.SubElement(found, "bndbox"), **dict(zip(_EDGES, map(str, boxes[each]), strict=True)))
        yield ET.tostring(root, encoding="utf-8", xml_declaration=True)


def _add(parent: ET.Element, **texts: str) -> None:
    for name, text in texts.items():
        ET.SubElement(parent, name).text = text.translate(_UNWRITABLE)


def read_voc(folder: str | os.PathLike[str], *, job: str | None = None, jobs: Jobs | None = None) -> pd.DataFrame:
    """Read a Pascal VOC data set as assets with answers.

    Parameters
    ----------
    folder : str or path
        The folder with ``Annotations`` and ``JPEGImages``; or a folder of XML files.
    job : str, optional
        The job of all objects; by default the ``job_name`` of each, else the only one of
        `jobs`, or ``"OBJECTS"``.
    jobs : str, mapping or pandas.DataFrame, optional
        The project's questions, to which all answers are held: its id, its interface, or what `read_jobs` gives.

    Returns
    -------
    pandas.DataFrame
        A row per XML file: ``externalId``, ``content`` (the path of the picture if it is there, else its name),
        ``resolution.width``, ``resolution.height`` (measured if the file does not say them), ``split`` (of the lists in
        ``ImageSets/Main``) and ``jsonResponse``.

    Raises
    ------
    KiliValidationError
        If there are no XML files, or some do not fit, naming them, or answers do not fit `jobs`; all of them at once.

    Notes
    -----
    Objects are cut at the edge of their picture; those without an area on it are left out, and a warning names them.

    Examples
    --------
    >>> import tempfile
    >>> folder = tempfile.mkdtemp() + "/voc"
    >>> labels = [[{"labelType": "DEFAULT", "jsonResponse": "{}"}]]
    >>> size = {"resolution.width": [100], "resolution.height": [80]}
    >>> left_out = pd.DataFrame({"externalId": ["a"], "labels": labels, **size}).kili.to_voc(folder)
    >>> read_voc(folder)["externalId"].tolist()
    ['a']
    """
    root = Path(folder).expanduser()
    annotations = root / _ANNOTATIONS if (root / _ANNOTATIONS).is_dir() else root
    files = sorted(annotations.glob("*.xml"))
    if not files:
        raise KiliValidationError(f"{annotations} holds no XML files of Pascal VOC.")
    incoming, problems, splits = Incoming(), [], _splits(root)
    found: set[str] = set()
    for path in files:
        try:
            found |= _read(path, root, splits.get(path.stem), job, incoming)
        except (ET.ParseError, ValueError, OSError) as error:
            problems.append(f"{path.name}: {error}")
    if problems:
        raise KiliValidationError(f"{plural(len(problems), 'file does', 'files do')} not fit: {listed(problems)}.")
    incoming.jobs = sorted(found) or [job or UNNAMED]
    return incoming.frame(jobs)


def _splits(root: Path) -> dict[str, str]:
    """Return the split of each picture; lists of classes say in each line whether the class is there."""
    found: dict[str, str] = {}
    for path in sorted((root / _SETS).glob("*.txt")):
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
        if path.stem not in _WHOLE and not any(map(_OF_CLASS.search, lines)):
            found |= {line.strip(): path.stem for line in lines}
    return found


def _read(path: Path, root: Path, split: str | None, job: str | None, incoming: Incoming) -> set[str]:
    data = path.read_bytes()
    if len(data) > _LARGEST or b"<!ENTITY" in data:  # entities that name each other fill the memory
        raise ValueError("the file is too large, or defines entities")
    tree = ET.fromstring(data)  # noqa: S314 - without entities
    width, height = (int(float(tree.findtext(f"size/{side}") or 0)) for side in ("width", "height"))
    name = Path((tree.findtext("filename") or "").replace("\\", "/")).name or f"{path.stem}.jpg"
    picture = root / _IMAGES / name
    key, external_id = path.stem, tree.findtext("source/external_id") or name
    content = picture if picture.is_file() else name
    said = (width, height) if min(width, height) > 0 else None
    size = incoming.add_picture(key, external_id, content, longer=f"{path.stem}/{name}", size=said, split=split)
    if size is None:
        raise ValueError("the size of the picture is missing")
    jobs = set()
    for number, found in enumerate(tree.iterfind("object"), 1):
        of_job, category = found.findtext("job_name") or UNNAMED, found.findtext("name") or ""
        texts = [found.findtext(f"bndbox/{edge}") for edge in _EDGES]
        if not category or None in texts:
            raise ValueError("an object without name or box")
        left, top, right, bottom = (float(text or 0) for text in texts)
        edges = np.array([min(left, right) - 1, min(top, bottom) - 1, max(left, right), max(top, bottom)])
        x0, y0, x1, y1 = edges / np.tile(size, 2)
        corners = np.array([(x0, y1), (x0, y0), (x1, y0), (x1, y1)])
        category = category.removeprefix(f"{of_job}/") if of_job else category
        jobs.add(job or of_job)
        where = f"{path.name}, object {number}"
        incoming.add_object(key, job or of_job, category, tool="rectangle", rings=[corners], where=where)
    return jobs
