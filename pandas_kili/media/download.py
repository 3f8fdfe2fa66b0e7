"""Download the content of assets: ``df.kili.download_media`` and ``read_kili(download_media=True)``."""

from __future__ import annotations

import contextlib
import json
import os
import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow as pa

from pandas_kili.arrow import python_cells
from pandas_kili.catalog import BATCH_SIZE
from pandas_kili.connection import Client, client_or_default, find_project, promised, read_back, side_by_side
from pandas_kili.errors import KiliConnectionError, KiliDownloadError, KiliError, KiliFieldError
from pandas_kili.media.fetch import Fetch
from pandas_kili.media.inspection import is_url
from pandas_kili.media.ledger import AssetFile, Ledger
from pandas_kili.media.names import folded, safe_stem
from pandas_kili.messages import listed
from pandas_kili.parallel import chunked, in_order
from pandas_kili.progress import progress_bar

if TYPE_CHECKING:
    from tqdm import tqdm

_CONNECTED = "its medium is in a cloud storage connected to the project, which Kili does not hand out"
_DESCRIBED = ("TEXT", "VIDEO")  # input types with the medium itself, or a list of its frames, in jsonContent


def download_media(
    frame: pd.DataFrame,
    project_id: str,
    *,
    local_media_dir: str | os.PathLike[str] | None = None,
    client: Client | None = None,
    disable_tqdm: bool | None = None,
) -> pd.DataFrame:
    """Store the media of assets in a folder, and replace their URLs by paths.

    Parameters
    ----------
    frame : DataFrame
        Assets of one project, with `content`, and `id` or `externalId`.
    project_id : str
        The project.
    local_media_dir : str or path, optional
        The folder; by default ``~/.cache/kili/projects/<project_id>/assets``.
    client : Client, optional
        Connection to use; by default one made from the environment.
    disable_tqdm : bool, optional
        Switch the progress bar off or on; by default it is shown in notebooks and terminals.

    Returns
    -------
    DataFrame
        A new one. `content` holds paths. `jsonContent` holds the path of a rich text, or the paths of the frames of a
        video as a JSON list, or the JSON that describes a tiled image; the column is added if assets have one of the
        first two. `ocrMetadata`, if it is a column, holds the JSON itself. Cells that are not URLs stay as they are.

    Raises
    ------
    KiliFieldError
        If a column is missing.
    KiliDownloadError
        If the folder cannot be written to; or if something could not be fetched, once everything else is on disk:
        `failures` names the assets, and `frame` is the result, in which these assets keep their URLs.

    Notes
    -----
    Files are named after the `externalId`, with an extension by their type. A mark is added if that name is not
    possible for a file, or belongs to another one. A file has a temporary name until it is whole. Calling again fetches
    only what is missing, or comes from another URL.
    """
    client = client_or_default(client)
    _check_columns(frame)
    project = _project(client, project_id)
    assets = _AssetRows(frame, project_id, project["inputType"], client)
    if project.get("dataConnections"):
        assets.exclude_connected()
    folder = _folder(local_media_dir, project_id)
    assets.complete()
    takes_pages = project["inputType"] in {"TEXT", "URL", "NA"}
    stop = threading.Event()
    with Ledger(folder) as ledger:
        _MediaDownload(assets, Fetch(client, ledger, takes_pages, stop), disable_tqdm).run()
    return assets.result()


def _check_columns(frame: pd.DataFrame) -> None:
    if "content" not in frame:
        raise KiliFieldError("There is no column 'content' to download: read it among the fields.", field="content")
    if "id" not in frame and "externalId" not in frame:
        raise KiliFieldError("There is neither a column 'id' nor 'externalId' to name files by.", field="id")


def _project(client: Client, project_id: str) -> dict[str, Any]:
    connections = " dataConnections { id }" if "dataConnections" in client.names("Project") else ""
    project = find_project(client, project_id, f"inputType{connections}")
    with promised("projects"):
        return {"inputType": str(project["inputType"]), "dataConnections": project.get("dataConnections")}


def _folder(given: str | os.PathLike[str] | None, project_id: str) -> Path:
    if given is not None:
        return Path(given).expanduser().absolute()
    # Where the official SDK keeps them too.
    return Path.home() / ".cache" / "kili" / "projects" / safe_stem(project_id) / "assets"


class _AssetRows:
    """The rows of a frame, with the columns that change and the rows that failed."""

    def __init__(self, frame: pd.DataFrame, project_id: str, input_type: str, client: Client) -> None:
        self.frame, self.project_id, self.input_type, self.client = frame, project_id, input_type, client
        names = ("content", "jsonContent", "ocrMetadata")
        self.columns = {name: python_cells(frame[name]) for name in names if name in frame}
        self.ids = _texts(frame["id" if "id" in frame else "externalId"])
        self.stems = _stems(frame, self.ids)
        wanted = Counter(folded(stem) for stem in dict(zip(self.ids, self.stems, strict=True)).values())
        self.shared = [wanted[folded(stem)] > 1 for stem in self.stems]
        self.failures: dict[int, str] = {}

    def part(self, row: int, name: str, ending: str = "") -> AssetFile:
        """Return the description of one file of a row."""
        return AssetFile(self.ids[row], name, self.stems[row] + ending, self.shared[row])

    def url(self, row: int, column: str) -> str | None:
        """Return the URL in a cell; None if it holds no URL, or if the row has failed."""
        cells = self.columns.get(column)
        value = None if cells is None or row in self.failures else cells[row]
        return value if isinstance(value, str) and is_url(value) else None

    def complete(self) -> None:
        """Ask the server for `jsonContent` if rich text or frames may be in it."""
        if self.input_type not in _DESCRIBED or "jsonContent" in self.columns:
            return
        served = self._served("jsonContent", self._asked_by_id("jsonContent"))
        cells = [served.get(id_) for id_ in self.ids]
        if any(cells):
            self.columns["jsonContent"] = cells

    def exclude_connected(self) -> None:
        """Mark rows as failed if Kili does not hand out their media."""
        asked = self._asked_by_id("dataIntegrationId") if "dataIntegrationId" in self.client.names("Asset") else None
        # Servers that do not say which assets these are: all assets with a URL.
        connected = self._served("dataIntegrationId", asked) if asked else dict.fromkeys(self.ids, True)
        for row, id_ in enumerate(self.ids):
            if connected.get(id_) and self.url(row, "content"):
                self.failures[row] = _CONNECTED

    def _asked_by_id(self, column: str) -> list[str]:
        if "id" not in self.frame:
            raise KiliFieldError(f"Read 'id' or {column!r} among the fields: the media need it.", field=column)
        return list(dict.fromkeys(self.ids))

    def _served(self, column: str, ids: Sequence[str]) -> dict[str, Any]:
        """Return a column of assets by their ids."""

        def page(ids: Sequence[str]) -> dict[str, dict[str, Any]]:
            return read_back(self.client, ids, f"id {column}", self.project_id)

        pages = in_order(page, chunked(ids, BATCH_SIZE), workers=self.client.max_workers)
        with contextlib.closing(pages) as served, promised("assets"):
            return {id_: asset[column] for _, assets in served for id_, asset in assets.items()}

    def result(self) -> pd.DataFrame:
        """Return the new frame, or raise the failures."""
        changed = {name: _series(self.frame, name, cells) for name, cells in self.columns.items()}
        frame = self.frame.assign(**changed)
        if self.failures:
            raise _error(self, frame)
        return frame


def _texts(column: pd.Series) -> list[str]:
    cells = python_cells(column.astype(object).where(column.notna(), None))
    return ["" if cell is None else str(cell) for cell in cells]


def _stems(frame: pd.DataFrame, ids: Sequence[str]) -> list[str]:
    names = _texts(frame["externalId"]) if "externalId" in frame else ids
    return [name or id_ for name, id_ in zip(names, ids, strict=True)]


def _series(frame: pd.DataFrame, name: str, cells: list[Any]) -> pd.Series:
    dtype = frame[name].dtype if name in frame else pd.ArrowDtype(pa.string())
    return pd.Series(cells, index=frame.index, dtype=dtype)


def _error(assets: _AssetRows, frame: pd.DataFrame) -> KiliDownloadError:
    failures = [
        {"asset_id": assets.ids[row], "label_id": None, "row": row, "reason": reason}
        for row, reason in sorted(assets.failures.items())
    ]
    shown = listed(
        [f"row {each['row']}, asset {each['asset_id']!r}: {each['reason']}" for each in failures], where=" in .failures"
    )
    return KiliDownloadError(
        f"The media of {len(failures)} of {len(frame)} assets could not be fetched: {shown}.",
        failures=failures,
        frame=frame,
    )


@dataclass(frozen=True)
class _CellUrl:
    """One URL to fetch for a row: it becomes a file, or the text of a cell."""

    row: int
    column: str
    url: str
    part: AssetFile | None = None
    extension: str | None = None


class _MediaDownload:
    """Fetches the URLs of a frame: first the lists of video frames, then the files."""

    def __init__(self, assets: _AssetRows, fetch: Fetch, disable_tqdm: bool | None) -> None:
        self.assets, self.fetch, self.disable_tqdm = assets, fetch, disable_tqdm
        self.lists: dict[int, str] = {}
        self.frames: dict[int, list[str | None]] = {}

    def run(self) -> None:
        """Fetch everything, and note failures with their rows."""
        try:
            texts = list(self._texts())
            files = list(self._files())
            with progress_bar("media", total=len(texts) + len(files), unit="file", disable=self.disable_tqdm) as bar:
                self._fetch_all(texts, bar)
                frames = list(self._frame_files())
                bar.total = len(texts) + len(files) + len(frames)
                self._fetch_all(files + frames, bar)
        finally:
            self.fetch.stop.set()  # after Ctrl-C, transfers under way end too
        self._list_frames()

    def _rows(self, column: str) -> Iterator[tuple[int, str]]:
        for row in range(len(self.assets.ids)):
            url = self.assets.url(row, column)
            if url is not None:
                yield row, url

    def _texts(self) -> Iterator[_CellUrl]:
        """Yield the cells that will hold JSON."""
        columns = ["ocrMetadata"]
        if self.assets.input_type in {"IMAGE", "VIDEO"}:
            columns.append("jsonContent")
        for column in columns:
            yield from (_CellUrl(row, column, url) for row, url in self._rows(column))

    def _files(self) -> Iterator[_CellUrl]:
        if self.assets.input_type == "TEXT":
            for row, url in self._rows("jsonContent"):
                yield _CellUrl(row, "jsonContent", url, self.assets.part(row, "jsonContent"), ".json")
        for row, url in self._rows("content"):
            # As the official SDK does: with frames, the video itself is not fetched.
            if not (self.assets.input_type == "VIDEO" and self.assets.url(row, "jsonContent")):
                yield _CellUrl(row, "content", url, self.assets.part(row, "content"))

    def _frame_files(self) -> Iterator[_CellUrl]:
        """Yield the frames that the fetched lists name."""
        for row, text in self.lists.items():
            urls = _frame_urls(text)
            if urls is None:
                self.assets.failures[row] = "jsonContent is not a list of frames"
                continue
            self.frames[row] = [None] * len(urls)
            width = len(str(len(urls)))
            for position, url in enumerate(urls):
                part = self.assets.part(row, f"frame/{position}", f"_{position + 1:0{width}}")
                yield _CellUrl(row, f"frame/{position}", url, part)

    def _fetch_all(self, wanted: Iterable[_CellUrl], bar: tqdm[Any]) -> None:
        with contextlib.closing(side_by_side(self._fetched, wanted, self.fetch.stop)) as results:
            for cell, result in results:
                bar.update(1)
                if isinstance(result, KiliError):
                    self.assets.failures.setdefault(cell.row, f"{cell.column}: {result}")
                else:
                    self._keep(cell, result)

    def _fetched(self, cell: _CellUrl) -> str:
        """Return the path of the file behind a URL, or its text where no file is wanted."""
        try:
            if cell.part is not None:
                return str(self.fetch.file(cell.part, cell.url, cell.extension))
            text = self.fetch.client.get(cell.url, stop=self.fetch.stop).decode("utf-8-sig")
            json.loads(text)
        except (KiliError, OSError, RecursionError, ValueError) as error:
            raise KiliDownloadError(_reason(error)) from None
        return text

    def _keep(self, cell: _CellUrl, result: str) -> None:
        name, _, position = cell.column.partition("/")
        if position:
            self.frames[cell.row][int(position)] = result
        elif name == "jsonContent" and self.assets.input_type == "VIDEO":
            self.lists[cell.row] = result
        else:
            self.assets.columns[name][cell.row] = result

    def _list_frames(self) -> None:
        for row, paths in self.frames.items():
            if row not in self.assets.failures:
                self.assets.columns["jsonContent"][row] = json.dumps(paths, ensure_ascii=False)


def _frame_urls(text: str) -> list[str] | None:
    """Return the URLs of frames in their order, from a list or from a mapping by position."""
    value = json.loads(text)
    if isinstance(value, Mapping):
        if not all(str(key).isdecimal() for key in value):
            return None
        value = [value[key] for key in sorted(value, key=int)]
    return value if isinstance(value, list) and value and all(map(is_url, value)) else None


def _reason(error: Exception) -> str:
    status = error.status if isinstance(error, KiliConnectionError) else None
    if status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
        return f"the storage refuses it ({error}); where the links have expired, read the assets again"
    if isinstance(error, RecursionError | ValueError) and not isinstance(error, KiliError):
        return "what is there is not JSON"
    return str(error)
