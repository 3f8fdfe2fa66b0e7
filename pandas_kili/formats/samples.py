"""What all formats write: pictures with their names, sizes and splits, and the objects on them."""

from __future__ import annotations

import dataclasses
import itertools
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Literal, TypedDict

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from pandas_kili.arrow import arrow_array, plain_cells
from pandas_kili.errors import KiliFieldError, KiliValidationError
from pandas_kili.formats.pictures import Pictures, asset_names, find_pictures
from pandas_kili.formats.shapes import SHAPE_COLUMNS, Floats, Rings, Whole, numbers_of, read_shapes
from pandas_kili.messages import listed, nearest, warn
from pandas_kili.tidy import (
    ANNOTATION,
    CATEGORY,
    CHOICE,
    RANK,
    SUBMITTED,
    TEXT,
    UNREADABLE,
    annotations_table,
    jobs_of,
    labels_table,
    of_types,
    read_jobs,
)

Media = Literal["none", "copy", "link"]

AREAS = ("rectangle", "polygon", "semantic")
_MULTIPLE = 2**32  # more than the frames of any video


class ExportOptions(TypedDict, total=False):
    """What the exports of training data have in common.

    Attributes
    ----------
    labels : {"latest", "all"}
        The latest label of each asset, by ``createdAt`` if it was read, else the last one; or the objects of all its
        labels together.
    label_types : collection of str, optional
        Labels of other types are left out; by default only what people submitted is exported. None takes all labels.
    job : str or list of str, optional
        The jobs that are exported; by default all.
    json_interface : str, mapping or pandas.DataFrame, optional
        The project's questions, which give the categories and their order: its id, its interface, or what `read_jobs`
        gives. By default the categories that occur, sorted: their numbers change when others come.
    split : mapping of str to float, or str, optional
        Shares of the assets by the name of the split, such as ``{"train": 0.8, "val": 0.2}``. A hash of the external id
        decides, so that an asset stays in its split when others come. Or the name of a column that holds the split.
    media : {"none", "copy", "link"}
        Whether the pictures are copied or linked. They must be local files, so hosted ones are downloaded first:
        ``df.kili.download_media().kili.to_coco("coco", media="copy")``. Pages of PDFs are drawn, and so are frames of
        videos that are one file; this needs ``pip install 'pandas-kili[preview]'``. Of videos made of frames, those
        in ``jsonContent`` are taken.
    overwrite : bool
        Whether an export that is already there is replaced.
    """

    labels: Literal["latest", "all"]
    label_types: Collection[str] | None
    job: str | Sequence[str] | None
    json_interface: str | Mapping[str, Any] | pd.DataFrame | None
    split: Mapping[str, float] | str | None
    media: Media
    overwrite: bool


@dataclasses.dataclass(frozen=True)
class Samples:
    """Pictures and the objects on them.

    Attributes
    ----------
    pictures : Pictures
        In the order of the assets, then of frames.
    categories : DataFrame
        ``job``, ``category``, ``name``, which is unique, and ``points``, the codes of the project's poses; the index
        counts from 0.
    picture, category : arrays of int
        Of each object: positions in `pictures` and `categories`. Objects are in the order of pictures.
    tool : array of str
        Of each object.
    confidence : array of float
        Of each object, in percent; NaN if it is unknown.
    mid : array of str or None
        Kili's name of each object; the parts of one object share it.
    box : array of float, shape (objects, 4)
        Left, top, right, bottom around all rings, as shares of the picture as it is stored.
    rings : Rings
        The vertices of each object.
    parts : dict of int to list of int
        Of objects with several outlines, by position, how many rings each part has: an outline, then its holes.
    points : dict of int to list
        The points of poses, by the position of the object.
    left_out : DataFrame
        ``externalId``, ``job``, ``reason`` and ``count``.
    """

    pictures: Pictures
    categories: pd.DataFrame
    picture: Whole
    category: Whole
    tool: npt.NDArray[Any]
    confidence: Floats
    mid: npt.NDArray[Any]
    box: Floats
    rings: Rings
    parts: dict[int, list[int]]
    points: dict[int, list[dict[str, Any]]]
    left_out: pd.DataFrame

    def outlines(self, position: int) -> list[list[Floats]]:
        """Return the parts of an object, each its outline and then its holes."""
        rings = iter(self.rings[position])
        sizes = self.parts.get(position)
        return [list(rings)] if sizes is None else [list(itertools.islice(rings, size)) for size in sizes]

    def of_picture(self) -> Iterator[range]:
        """Yield for each picture the positions of its objects."""
        ends = np.searchsorted(self.picture, np.arange(len(self.pictures) + 1)).tolist()
        return (range(start, end) for start, end in itertools.pairwise(ends))


def collect(
    frame: pd.DataFrame,
    format_name: str,
    tools: Sequence[str],
    options: ExportOptions,
    *,
    needs_sizes: bool,
    keeps_holes: bool = True,
) -> Samples:
    """Return the pictures of a frame and the objects on them, and warn of what is left out.

    Raises
    ------
    KiliFieldError
        If the frame has no labels, no answers, or no types of labels.
    KiliValidationError
        For options that are not possible, and for pictures without a size or a file that is needed.
    """
    job, jobs, media = options.get("job"), questions(options), options.get("media", "none")
    if media not in ("none", "copy", "link"):
        raise KiliValidationError(f"media is 'none', 'copy' or 'link'; got {media!r}.")
    report = Report(format_name)
    chosen = chosen_labels(frame, options, report)
    rows = annotations_table(chosen.set_axis(pd.RangeIndex(len(chosen)), axis=0), jobs, bare=True)
    asset = chosen.index.to_numpy(np.int64)[rows.index.to_numpy()]
    job_of = arrow_array(rows["job"])
    number, page = numbers_of(rows, "frame"), numbers_of(rows, "page") - 1
    of_pages = np.unique(asset[~np.isnan(page)])
    number = np.where(np.isnan(page), number, page)
    codes = asset * _MULTIPLE + np.where(np.isnan(number), 0, number + 1).astype(np.int64)
    has_parts = np.isin(asset, asset[~np.isnan(number)])  # frames or pages
    shown = np.unique(np.concatenate([codes[~has_parts | ~np.isnan(number)], _others(chosen, asset[has_parts])]))
    shown = shown[np.isin(shown // _MULTIPLE, readable_assets(chosen, rows))]
    wanted = _wanted(rows, job_of, job, tools, report, asset)
    place = np.searchsorted(shown, codes[wanted])
    shapes = read_shapes(rows[list(SHAPE_COLUMNS)].iloc[wanted])
    lost = {
        **shapes.problems,
        "what lies beyond the edge of the picture": shapes.cut,
        "further areas of a shape in a document": _further_areas(rows, wanted),
    }
    if not keeps_holes:
        outlines = np.ones(len(wanted), np.int64)
        outlines[list(shapes.parts)] = list(map(len, shapes.parts.values()))
        lost["the holes of a shape"] = shapes.fits & (shapes.ring_counts > outlines)
    for reason, which in lost.items():
        report.add(asset[wanted[which]], reason, job_of.take(pa.array(wanted[which])).to_pylist())
    kept = np.flatnonzero(shapes.fits)
    position = wanted[kept]
    category_of, found = _pairs(job_of.take(pa.array(position)), arrow_array(rows["category"]).take(pa.array(position)))
    categories = _categories(found, jobs, job)
    order = np.argsort(place[kept], kind="stable")
    new_of = np.zeros(len(wanted), np.int64)
    new_of[kept[order]] = np.arange(len(kept))
    pictures = find_pictures(
        frame,
        shown // _MULTIPLE,
        shown % _MULTIPLE - 1,
        np.isin(shown // _MULTIPLE, of_pages),
        split=options.get("split"),
        needs_sizes=needs_sizes,
        needs_files=media != "none",
    )
    numbers = {pair: number for number, pair in enumerate(zip(categories["job"], categories["category"], strict=True))}
    samples = Samples(
        pictures=pictures,
        categories=categories,
        picture=place[kept][order],
        category=np.array([numbers[pair] for pair in found], np.int64)[category_of[order]],
        tool=_objects(rows, "tool")[position][order],
        confidence=numbers_of(rows, "confidence")[position][order],
        mid=_objects(rows, "mid")[position][order],
        box=shapes.box[kept][order],
        rings=shapes.rings(kept[order]),
        parts={int(new_of[old]): sizes for old, sizes in shapes.parts.items() if shapes.fits[old]},
        points={int(new_of[old]): points for old, points in shapes.points.items() if shapes.fits[old]},
        left_out=report.table(frame),
    )
    report.warn()
    return samples


def chosen_labels(frame: pd.DataFrame, options: ExportOptions, report: Report) -> pd.DataFrame:
    """Return the labels that are exported, indexed by the position of their asset, and report assets without any."""
    for name in options:
        if name not in ExportOptions.__annotations__:
            near = nearest(name, ExportOptions.__annotations__, most=1)
            hint = f" Did you mean {near[0]!r}?" if near else f" There are {', '.join(ExportOptions.__annotations__)}."
            raise TypeError(f"an export has no option {name!r}.{hint}")
    labels, label_types = options.get("labels", "latest"), options.get("label_types", SUBMITTED)
    if labels not in ("latest", "all"):
        raise KiliValidationError(f"labels is 'latest' or 'all'; got {labels!r}.")
    table = of_types(labels_table(frame.set_axis(pd.RangeIndex(len(frame)), axis=0)), label_types)
    if len(table) and "jsonResponse" not in table:
        raise KiliFieldError("the labels were read without 'jsonResponse': add it to the fields.", field="jsonResponse")
    skipped = np.zeros(len(frame), bool)
    if "skipped" in frame:
        skipped = np.array([cell is True for cell in plain_cells(frame["skipped"])], bool)
    report.add(np.flatnonzero(skipped), "the asset was skipped")
    without = np.setdiff1d(np.flatnonzero(~skipped), table.index.to_numpy(np.int64))
    report.add(without, "the asset has no label of these types")
    table = table[~skipped[table.index.to_numpy(np.int64)]]
    if labels == "all" or not len(table):
        return table
    order = pd.DataFrame({"asset": table.index})
    order["created"] = table["createdAt"].array if "createdAt" in table else pd.NaT
    order = order.sort_values("created", kind="stable", na_position="first")
    return table.iloc[order.drop_duplicates("asset", keep="last").sort_index().index]


class Report:
    """Collects what is left out, and why."""

    def __init__(self, format_name: str) -> None:
        self.format_name = format_name
        self._parts: list[pd.DataFrame] = []

    def add(self, assets: Whole, reason: str, jobs: Sequence[str | None] | None = None) -> None:
        """Note that something of these assets is left out."""
        if len(assets):
            names = list(jobs) if jobs is not None else [None] * len(assets)
            self._parts.append(pd.DataFrame({"asset": assets, "job": pd.Series(names, dtype=object), "reason": reason}))

    def table(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Return ``externalId``, ``job``, ``reason`` and ``count``."""
        columns = ["externalId", "job", "reason", "count"]
        if not self._parts:
            return pd.DataFrame({name: [] for name in columns})
        whole = pd.concat(self._parts, ignore_index=True)
        counted = whole.groupby(["asset", "job", "reason"], dropna=False, sort=True).size().reset_index(name="count")
        names = asset_names(frame)
        counted["externalId"] = [names[asset] for asset in counted["asset"]]
        counted["job"] = counted["job"].astype(object).where(counted["job"].notna(), None)
        return counted[columns]

    def warn(self) -> None:
        """Warn once, with the number of cases of each reason."""
        if self._parts:
            counts = pd.concat(self._parts)["reason"].value_counts()
            told = listed([f"{reason} ({count:,})" for reason, count in counts.items()], most=8)
            warn(f"Not in the {self.format_name} export: {told}.")


def _others(chosen: pd.DataFrame, in_parts: Whole) -> Whole:
    """Return the codes of assets with a label on the whole of them: they are pictures, with or without objects."""
    return np.setdiff1d(chosen.index.to_numpy(np.int64), in_parts) * _MULTIPLE


def readable_assets(chosen: pd.DataFrame, rows: pd.DataFrame) -> Whole:
    """Return the assets with a label that can be read: where none can, what is on the asset is not known."""
    unreadable = rows.index.to_numpy()[_among(arrow_array(rows["kind"]), [UNREADABLE])]
    return np.unique(np.delete(chosen.index.to_numpy(np.int64), unreadable))


def _wanted(
    rows: pd.DataFrame,
    jobs: pa.Array,
    job: str | Sequence[str] | None,
    tools: Sequence[str],
    report: Report,
    asset: Whole,
) -> Whole:
    """Return the positions of the rows that are objects, and report the others."""
    kinds, names = arrow_array(rows["kind"]), arrow_array(rows["tool"])
    own = np.ones(len(rows), bool)
    if job is not None:
        own = _of_jobs(jobs, [job] if isinstance(job, str) else list(job))
    report.add(asset[_among(kinds, [UNREADABLE])], "the answer cannot be read")
    drawn = own & _among(kinds, [ANNOTATION])
    classified = arrow_array(rows["category"]).is_valid().to_numpy(zero_copy_only=False)
    fits = drawn & _among(names, tools) & classified
    reasons: list[tuple[npt.NDArray[np.bool_], str]] = [
        (own & _among(kinds, [CATEGORY, TEXT, CHOICE, RANK]), "no shape"),
        (drawn & ~classified, "a shape without a category"),
    ]
    other = drawn & classified & ~fits
    for tool in sorted(pc.unique(names.filter(pa.array(other))).to_pylist(), key=str):
        what = "an annotation without a shape" if tool is None else f"a shape of the tool {tool}"
        reasons.append((other & _among(names, [tool]), what))
    for which, reason in reasons:
        report.add(asset[which], reason, jobs.filter(pa.array(which)).to_pylist())
    return np.flatnonzero(fits)


def _among(texts: pa.Array, wanted: Sequence[str | None]) -> npt.NDArray[np.bool_]:
    found: npt.NDArray[np.bool_] = pc.is_in(texts, pa.array(wanted, pa.string())).to_numpy(zero_copy_only=False)
    return found


def _further_areas(rows: pd.DataFrame, wanted: Whole) -> npt.NDArray[np.bool_]:
    """Return which rows have areas on pages besides the first: these stand in ``extra`` alone."""
    extra = arrow_array(rows["extra"])
    on_page = ~np.isnan(numbers_of(rows, "page")[wanted])
    found = np.zeros(len(wanted), bool)
    for at in np.flatnonzero(on_page).tolist():
        whole = json.loads(extra[int(wanted[at])].as_py() or "{}")
        areas = whole.get("annotations") if isinstance(whole, dict) else None
        found[at] = isinstance(areas, list) and (
            len(areas) > 1 or any(len(area.get("pageNumberArray") or ()) > 1 for area in areas)
        )
    return found


def _of_jobs(jobs: pa.Array, wanted: list[str]) -> npt.NDArray[np.bool_]:
    known = [str(name) for name in pc.unique(jobs).to_pylist() if name is not None]
    for name in wanted:
        if name not in known and known:
            near = nearest(name, known, most=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise KiliValidationError(f"no label answers the job {name!r}; there are {listed(sorted(known))}.{hint}")
    return _among(jobs, [name for name in wanted if name in known])


def _pairs(jobs: pa.Array, categories: pa.Array) -> tuple[Whole, list[tuple[str, str]]]:
    """Return the pairs of job and category that occur, and for each object the position of its pair."""
    first, second = jobs.dictionary_encode(), categories.dictionary_encode()
    codes = [each.indices.to_numpy(zero_copy_only=False).astype(np.int64) for each in (first, second)]
    names = first.dictionary.to_pylist(), second.dictionary.to_pylist()
    found, position = np.unique(codes[0] * len(names[1]) + codes[1], return_inverse=True)
    return position, [(names[0][code // len(names[1])], names[1][code % len(names[1])]) for code in found.tolist()]


def _categories(
    found: Sequence[tuple[str, str]], jobs: pd.DataFrame | None, job: str | Sequence[str] | None
) -> pd.DataFrame:
    """Return the categories in the order of the project, then others in the order of their names."""
    wanted = None if job is None else {job} if isinstance(job, str) else set(job)
    known = [pair for pair in categories_of(jobs, "OBJECT_DETECTION") if wanted is None or pair[0] in wanted]
    table = pd.DataFrame([*known, *sorted(set(found).difference(known))], columns=["job", "category"], dtype=object)
    shared = table["category"].duplicated(keep=False)
    table["name"] = table["category"].where(~shared, table["job"] + "/" + table["category"])
    asked = {} if jobs is None else jobs_of(jobs)
    table["points"] = [
        [code for code, _ in asked[job].categories[category].points] if (job, category) in known else []
        for job, category in zip(table["job"], table["category"], strict=True)
    ]
    return table


def questions(options: ExportOptions) -> pd.DataFrame | None:
    """Return the jobs of ``json_interface`` as `read_jobs` gives them, asked for once."""
    given = options.get("json_interface")
    return given if given is None or isinstance(given, pd.DataFrame) else read_jobs(given)


def categories_of(jobs: pd.DataFrame | None, ml_task: str) -> list[tuple[str, str]]:
    """Return the jobs of a task and their categories, in the order of the interface."""
    if jobs is None:
        return []
    return [
        (name, category) for name, job in jobs_of(jobs).items() if job.task == ml_task for category in job.categories
    ]


def _objects(rows: pd.DataFrame, name: str) -> npt.NDArray[Any]:
    values: npt.NDArray[Any] = arrow_array(rows[name]).to_numpy(zero_copy_only=False)
    return values
