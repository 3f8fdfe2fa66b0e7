"""The pictures of training data: images, frames of videos and pages of documents; their names, sizes and files."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pandas_kili.arrow import plain_cells
from pandas_kili.errors import KiliFieldError, KiliValidationError
from pandas_kili.formats.stills import Drawing, draw, is_video, page_sizes, played_rate
from pandas_kili.media import extension_of, folded, image_size, is_url, known_extension, local_path, marked, safe_stem
from pandas_kili.messages import FailureCase, label_at, listed, plural, validation_error

Whole = npt.NDArray[np.int64]

_LONGEST_PATH = 4096
_EXTENSION = ".jpg"  # of pictures that neither have a file nor say their type
_PAGE = ".png"
_TOLERANCE = 1e-9  # of the sum of shares


@dataclasses.dataclass(frozen=True)
class Pictures:
    """Pictures, each an asset, a frame of a video or a page of a document.

    Attributes
    ----------
    asset : array of int
        Position of each picture's asset in the frame.
    part : array of int
        Number of the video's frame, or of the document's page, from 0; -1 for whole assets.
    is_page : array of bool
        Whether the part is a page.
    external_id, file_name, split : list of str
        The name of the file is unique, also without its extension; `split` is empty if there are none.
    source : list of Path or None
        The local file.
    drawing : list of Drawing or None
        How a picture is drawn that is no file of its own: pages, and frames of a video that is one file.
    size : array of int, shape (pictures, 2)
        Width and height in pixels; 0 if they are unknown and not needed.
    splits : list of str
        All splits, in their order; one empty name if there are none.
    """

    asset: Whole
    part: Whole
    is_page: npt.NDArray[np.bool_]
    external_id: list[str]
    file_name: list[str]
    split: list[str]
    source: list[Path | None]
    drawing: list[Drawing | None]
    size: Whole
    splits: list[str]

    def __len__(self) -> int:
        return len(self.asset)

    def external_ids(self) -> dict[str, str]:
        """Return the external ids of whole assets by the names of their files; parts have none of their own."""
        columns = zip(self.file_name, self.external_id, self.part.tolist(), strict=True)
        return {file_name: external_id for file_name, external_id, part in columns if part < 0}

    def draw(self, targets: Sequence[str | Path]) -> None:
        """Draw the pictures that are no files of their own; `targets` are the files of all."""
        draw(self.drawing, [(width, height) for width, height in self.size.tolist()], self.external_id, targets)

    def stems(self) -> list[str]:
        """Return the names of files without their extensions."""
        return [name.rpartition(".")[0] for name in self.file_name]


def find_pictures(
    frame: pd.DataFrame,
    asset: Whole,
    part: Whole,
    is_page: npt.NDArray[np.bool_],
    *,
    split: Mapping[str, float] | str | None,
    needs_sizes: bool,
    needs_files: bool,
) -> Pictures:
    """Return what is known of pictures.

    Raises
    ------
    KiliFieldError
        If nothing names the assets, or a column of splits is not there.
    KiliValidationError
        For pictures without a size, or without a local file, if these are needed; naming the rows.
    """
    names = asset_names(frame)
    splits, of_picture = assigned_splits(frame, asset, split)
    sources = _sources(frame, asset, np.where(is_page, -1, part))
    drawings = _drawings(frame, asset, part, is_page, sources)
    if needs_files:
        missing = np.array([source is None for source in sources], bool)
        refuse(frame, asset, missing, _NO_FILE if _is_any_hosted(frame, asset[missing]) else _GONE)
    size = np.zeros((len(asset), 2), np.int64)
    if needs_sizes or (needs_files and any(drawings)):
        size = _sizes(frame, asset, part, is_page, sources)
    if needs_sizes:
        refuse(frame, asset, (size <= 0).any(axis=1), _NO_SIZE)
    return Pictures(
        asset=asset,
        part=part,
        is_page=is_page,
        external_id=[names[each] for each in asset],
        file_name=_file_names(frame, asset, part, is_page, names, sources),
        split=of_picture,
        source=sources,
        drawing=drawings,
        size=size,
        splits=splits,
    )


_NO_FILE = (
    "no local picture: run df = df.kili.download_media() first (frames of videos that are one file are drawn out of "
    "it), or leave media='none'"
)
_GONE = "no local picture: 'content' names a file that is not there; or leave media='none'"
_NO_SIZE = (
    "no known size: read 'resolution.width' and 'resolution.height' (of PDFs 'pageResolutions.width', '.height' "
    "and '.pageNumber'), or download the media, so that they can be measured"
)


def asset_names(frame: pd.DataFrame) -> list[str]:
    """Return the external ids of assets; their ids if they have none."""
    known = [plain_cells(frame[name]) for name in ("externalId", "id", "assetId") if name in frame]
    if not known:
        raise KiliFieldError(
            "pictures are named by 'externalId' or 'id', and the frame has neither.", field="externalId"
        )
    return [str(next((cell for cell in cells if cell not in (None, "")), "")) for cells in zip(*known, strict=True)]


def refuse(frame: pd.DataFrame, asset: Whole, missing: npt.ArrayLike, reason: str, column: str = "content") -> None:
    """Raise for the assets that lack something, naming their rows."""
    rows = np.unique(asset[np.asarray(missing, bool)]).tolist()
    if rows:
        names = asset_names(frame)
        told = listed([f"row {row}, {names[row]!r}" for row in rows], where=" in .failure_cases")
        count = plural(len(rows), "asset has", "assets have")
        cases = [FailureCase(label_at(frame.index, row), row, column, reason, names[row]) for row in rows]
        raise validation_error(f"{count} {reason}: {told}.", cases)


def assigned_splits(
    frame: pd.DataFrame, asset: Whole, split: Mapping[str, float] | str | None
) -> tuple[list[str], list[str]]:
    """Return all splits, and that of each of some assets; one empty name without splits."""
    if split is None:
        return [""], [""] * len(asset)
    if isinstance(split, str):
        if split not in frame:
            raise KiliFieldError(f"the frame has no column {split!r} of splits.", field=split)
        cells = plain_cells(frame[split])
        refuse(frame, asset, [cells[each] is None for each in asset], f"no split in {split!r}", split)
        chosen = [str(cells[each]) for each in asset]
        _check_names(chosen)
        return list(dict.fromkeys(chosen)) or [""], chosen
    shares = {str(name): share for name, share in split.items()}
    _check_names(list(shares))
    numbers = [share for share in shares.values() if isinstance(share, int | float) and 0 <= share <= 1]
    if len(numbers) < len(shares) or abs(math.fsum(numbers) - 1) > _TOLERANCE:
        raise KiliValidationError(f"the shares of a split are from 0 to 1 and sum up to 1; got {dict(split)!r}.")
    ends = np.cumsum(numbers)
    ends[-1] = 1.0
    known, names = list(shares), asset_names(frame)
    return known, [known[int(np.searchsorted(ends, _share(names[each]), side="right"))] for each in asset]


def _check_names(names: Sequence[str]) -> None:
    for name in dict.fromkeys(names):
        if not name or safe_stem(name) != name:
            raise KiliValidationError(f"a split is the name of a folder, such as 'train'; got {name!r}.")


def _share(name: str) -> float:
    """Return a number from 0 to 1 that depends on the name alone; never 1."""
    return int.from_bytes(hashlib.sha256(name.encode("utf-8", "replace")).digest()[:6]) / 2**48


def _sources(frame: pd.DataFrame, asset: Whole, number: Whole) -> list[Path | None]:
    """Return the local files of pictures."""
    contents = plain_cells(frame["content"]) if "content" in frame else [None] * len(frame)
    lists = plain_cells(frame["jsonContent"]) if "jsonContent" in frame and (number >= 0).any() else []
    frames = {int(row): _frame_files(lists[row]) for row in set(asset[number >= 0].tolist())} if lists else {}
    found: list[Path | None] = []
    for row, count in zip(asset.tolist(), number.tolist(), strict=True):
        if count < 0:
            found.append(local_file(contents[row]))
        else:
            files = frames.get(row, [])
            whole = None if files else local_file(contents[row])
            found.append(local_file(files[count]) if count < len(files) else whole if is_video(whole) else None)
    return found


def _is_any_hosted(frame: pd.DataFrame, assets: Whole) -> bool:
    """Return whether assets have an address, or frames that were not read, so that downloading helps."""
    contents = plain_cells(frame["content"]) if "content" in frame else [None] * len(frame)
    return any(not contents[row] or is_url(contents[row]) for row in assets.tolist())


def _drawings(
    frame: pd.DataFrame, asset: Whole, part: Whole, is_page: npt.NDArray[np.bool_], sources: Sequence[Path | None]
) -> list[Drawing | None]:
    """Return how pages of local documents and frames of local videos are drawn."""
    found: list[Drawing | None] = [None] * len(asset)
    for at in np.flatnonzero(part >= 0).tolist():
        source, number = sources[at], int(part[at])
        if source is not None and is_page[at]:
            found[at] = Drawing(source, "page", number + 1)
        elif source is not None and is_video(source):
            metadata = frame["jsonMetadata"].iloc[asset[at]] if "jsonMetadata" in frame else None
            found[at] = Drawing(source, "frame", number, played_rate(metadata))
    return found


def _frame_files(cell: Any) -> list[Any]:
    try:
        value = json.loads(cell) if isinstance(cell, str) else cell
    except (ValueError, RecursionError):
        return []
    return value if isinstance(value, list) else []


def local_file(value: Any) -> Path | None:
    """Return the file that a content names, if it is there."""
    if not isinstance(value, str) or not value or is_url(value) or len(value) > _LONGEST_PATH:
        return None
    try:
        path = local_path(value)
        return path if path.is_file() else None
    except (OSError, ValueError):
        return None


def _sizes(
    frame: pd.DataFrame,
    asset: Whole,
    part: Whole,
    is_page: npt.NDArray[np.bool_],
    sources: Sequence[Path | None],
) -> Whole:
    size = np.zeros((len(asset), 2))
    for axis, name in enumerate(("resolution.width", "resolution.height")):
        if name in frame:
            cells = [0 if cell is None else cell for cell in plain_cells(frame[name])]
            size[:, axis] = np.nan_to_num(np.array(cells, np.float64))[asset]
    size[is_page] = 0
    resolutions = plain_cells(frame["pageResolutions"]) if "pageResolutions" in frame else [None] * len(frame)
    of_document: dict[int, dict[int, tuple[int, int]]] = {}
    for row in np.flatnonzero(is_page).tolist():
        if asset[row] not in of_document:
            cell = resolutions[asset[row]]
            of_document[asset[row]] = page_sizes(sources[row], () if cell is None else cell)
        size[row] = of_document[asset[row]].get(int(part[row]) + 1, (0, 0))
    for row in np.flatnonzero((size <= 0).any(axis=1) & ~is_page).tolist():
        source = sources[row]
        if source is not None and not is_video(source):
            size[row] = image_size(source)
    return size.round().astype(np.int64)


def _file_names(
    frame: pd.DataFrame,
    asset: Whole,
    number: Whole,
    is_page: npt.NDArray[np.bool_],
    names: Sequence[str],
    sources: Sequence[Path | None],
) -> list[str]:
    """Return names of files that stay in their folder and differ, also without extension and in capitals."""
    contents = plain_cells(frame["content"]) if "content" in frame else [None] * len(frame)
    ids = plain_cells(frame["id"]) if "id" in frame else list(range(len(frame)))
    is_part = number >= 0
    digits = (pd.Series(number[is_part]).groupby(asset[is_part]).max() + 1).map(str).map(len).to_dict()
    stems, extensions = [], []
    for row, count, page, source in zip(asset.tolist(), number.tolist(), is_page.tolist(), sources, strict=True):
        name = names[row]
        own = known_extension(name)
        content = contents[row]
        extension = _PAGE if page else source.suffix if source and not is_video(source) else own if count < 0 else ""
        if not extension and count < 0 and is_url(content):
            extension = extension_of("", content)
        stem = safe_stem(name[: len(name) - len(own)] if own else name)
        # As the official SDK names frames: from 1 on.
        stems.append(stem if count < 0 else f"{stem}_{count + 1:0{digits[row]}}")
        extensions.append(extension or _EXTENSION)
    wanted = pd.Series(stems, dtype=object).map(folded).duplicated(keep=False).tolist()
    return [
        (marked(stem, f"{ids[row]}\0{names[row]}\0{count}\0{row}") if is_shared else stem) + extension
        for stem, extension, row, count, is_shared in zip(
            stems, extensions, asset.tolist(), number.tolist(), wanted, strict=True
        )
    ]
