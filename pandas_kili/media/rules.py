"""The rules by which the cells of a frame become files to store and URLs to register. Nothing is sent."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeGuard

import pandas as pd

from pandas_kili.json_text import NotJsonError, json_text, parsed
from pandas_kili.media.inspection import UnfitError, checked_size, checked_type, is_large_image, is_url, local_path
from pandas_kili.media.kinds import (
    EXTENSIONS,
    FRAMES_PARAMETERS,
    JSON,
    KINDS,
    MAP_UPLOAD,
    TEXT,
    TILED_TYPES,
    TILED_UPLOAD,
    VIDEO_PARAMETERS,
    Generation,
    Kind,
    video_upload,
)
from pandas_kili.media.medium import File, Layer, Medium
from pandas_kili.media.texts import ContentIs, content_of_text
from pandas_kili.messages import kind_of


@dataclass(frozen=True)
class Problem:
    """Why a row cannot be sent."""

    row: int
    column: str
    value: object
    message: str


def media_of_rows(
    input_type: str,
    contents: Sequence[object | None],
    json_contents: Sequence[object | None],
    metadata: Sequence[Mapping[str, Any] | str | None],
    *,
    generation: Generation = "current",
    content_is: ContentIs | None = None,
) -> tuple[list[Medium | None], list[Problem]]:
    """Decide what the rows of a frame become as assets of a project; read local files, send nothing.

    Parameters
    ----------
    input_type : str
        Of the project.
    contents : sequence
        Per row an ``http(s)://`` URL, which is registered as it is; or a local file as text or `pathlib.Path`, ``~``,
        relative paths and ``file://`` understood; for IMAGE and GEOSPATIAL a list of them, or of mappings with
        ``path`` and ``name``, for an asset of several layers; for LLM_RLHF also a JSON value. For TEXT, what is neither
        a URL nor a file is the text itself; see `content_of_text`.
    json_contents : sequence
        Per row the frames of a video, as URLs or local files; or rich text, as a value or as JSON text; or a URL.
    metadata : sequence
        Per row the metadata, as a mapping or as JSON text; its ``processingParameters`` decide how a video is
        imported; of other assets it is not looked at.
    generation : {"current", "legacy"}
        Of the API.
    content_is : {"text", "url", "path"}, optional
        What all contents are, where they do not tell themselves.

    Returns
    -------
    list of Medium or None
        Per row; None where it cannot be sent.
    list of Problem
        One per such row.
    """
    media: list[Medium | None] = []
    problems: list[Problem] = []
    rules = _Rules(input_type, generation, content_is)
    for row, (content, json_content, given) in enumerate(zip(contents, json_contents, metadata, strict=True)):
        if json_content is None and rules.registers(content):  # most rows, so these are not taken to pieces
            media.append(Medium(content))
            continue
        cells = _Cells(_cell(content), _cell(json_content), given)
        try:
            media.append(rules.medium(cells))
        except _CellError as error:
            media.append(None)
            problems.append(Problem(row, error.column, getattr(cells, error.column), error.reason))
    return media, problems


@dataclass(frozen=True)
class _Cells:
    content: Any
    jsonContent: Any  # noqa: N815 - as Kili calls it, and the problems do
    jsonMetadata: Any  # noqa: N815 - as above


class _CellError(Exception):
    def __init__(self, column: str, reason: str) -> None:
        super().__init__(reason)
        self.column, self.reason = column, reason


def _cell(value: Any) -> Any:
    """Return a cell, with None for the several forms of nothing, and lists for arrays."""
    if hasattr(value, "tolist") and not isinstance(value, (str, bytes, os.PathLike)):
        value = value.tolist()
    if value is None or value is pd.NA or value is pd.NaT or (isinstance(value, float) and math.isnan(value)):
        return None
    if isinstance(value, (str, list, dict)) and not value:
        return None
    return list(value) if isinstance(value, tuple) else value


class _Rules:
    """The rules of one type of project."""

    def __init__(self, input_type: str, generation: Generation, content_is: ContentIs | None) -> None:
        self.input_type, self.generation, self.content_is = input_type, generation, content_is
        self.kind = KINDS.get(input_type, Kind())
        self._unfit = EXTENSIONS.keys() - self.kind.types if self.kind.types else frozenset()
        by_type: dict[str, Callable[[_Cells], Medium]] = {
            "GEOSPATIAL": self._picture,
            "IMAGE": self._picture,
            "LLM_RLHF": self._conversation,
            "TEXT": self._text,
            "VIDEO": self._video,
            "VIDEO_LEGACY": self._video,
        }
        self._rule = by_type.get(input_type, self._plain)

    def registers(self, content: object) -> TypeGuard[str]:
        """Whether a content that stands alone is a URL to be registered as it is."""
        return (
            is_url(content)
            and content.isascii()
            and self.content_is in {None, "url"}
            and _suffix(content) not in self._unfit
            and self._rule != self._video
            and (self._rule != self._text or len(content.split()) == 1)
        )

    def medium(self, cells: _Cells) -> Medium:
        """Return what one row becomes, or raise `_CellError`."""
        if cells.content is None and cells.jsonContent is None:
            raise _CellError("content", "is empty, and so is jsonContent: an asset needs one of them")
        for column, value in (("content", cells.content), ("jsonContent", cells.jsonContent)):
            if fault := _fault(value):
                raise _CellError(column, fault)
        self._check_content(cells.content)
        return self._rule(cells)

    def _check_content(self, content: Any) -> None:
        """Check a content against `content_is`, which holds for all of the column."""
        hosted = is_url(content)
        if self.content_is == "text" and content is not None and self.input_type != "TEXT":
            raise _CellError("content", f"cannot be text: a project of type {self.input_type} takes none")
        if self.content_is == "url" and content is not None and not hosted:
            raise _CellError("content", "is no http(s) URL, though content_is='url'")
        if self.content_is == "path" and hosted:
            raise _CellError("content", "is a URL, though content_is='path'")
        if hosted and self.input_type != "TEXT":
            self._check_hosted(content)

    def _check_hosted(self, url: str) -> None:
        suffix = _suffix(url)
        if suffix in self._unfit:
            takes = ", ".join(self.kind.types)
            raise _CellError("content", f"a project of type {self.input_type} takes {takes}, not {suffix}")

    def _plain(self, cells: _Cells) -> Medium:
        medium = Medium(json_content=_json_text(cells.jsonContent))
        if is_url(cells.content) or cells.content is None:
            return medium._replace(content=cells.content or "")
        return medium._replace(files=(self._file("content", cells.content, self.kind.slot),))

    def _text(self, cells: _Cells) -> Medium:
        if cells.jsonContent is not None and cells.content is not None:
            raise _CellError("content", "must be empty where jsonContent holds rich text")
        if is_url(cells.jsonContent):
            return Medium(json_content=cells.jsonContent)
        if cells.jsonContent is not None:
            text = _json_text(cells.jsonContent, must_parse=True).encode()
            return Medium(files=(File("jsonContent", text, TEXT, len(text)),))
        try:
            found = self.content_is or content_of_text(cells.content)
        except UnfitError as error:
            raise _CellError("content", str(error)) from None
        if found == "url":
            self._check_hosted(cells.content)
            return Medium(content=cells.content)
        if found == "path":
            return Medium(files=(replace(self._file("content", cells.content, "content"), content_type=TEXT),))
        if not isinstance(cells.content, str):
            raise _CellError("content", f"is {kind_of(cells.content)}, not text")
        raw = cells.content.encode()
        return Medium(files=(File("content", raw, TEXT, len(raw)),))

    def _conversation(self, cells: _Cells) -> Medium:
        content = cells.content
        if not isinstance(content, (dict, list)):
            return self._plain(cells)
        raw = _json_text(content, column="content").encode()
        return Medium(json_content=_json_text(cells.jsonContent), files=(File("content", raw, JSON, len(raw)),))

    def _picture(self, cells: _Cells) -> Medium:
        if isinstance(cells.content, list):
            return self._layered(cells)
        medium = self._plain(cells)
        if not medium.files:
            return medium
        upload_type = self._picture_upload(medium.files[0])
        if upload_type and medium.json_content:
            raise _CellError("jsonContent", "cannot go with a file that Kili cuts into tiles")
        return medium._replace(upload_type=upload_type)

    def _picture_upload(self, file: File) -> str | None:
        if self.input_type == "GEOSPATIAL":
            return MAP_UPLOAD
        path = file.source
        tiled = file.content_type in TILED_TYPES[self.generation]
        if tiled or (isinstance(path, Path) and is_large_image(path, file.size)):
            return TILED_UPLOAD[self.generation]
        return None

    def _layered(self, cells: _Cells) -> Medium:
        if self.generation == "legacy":
            raise _CellError("content", "this server knows no assets of several layers")
        layers, files = [], []
        for position, item in enumerate(cells.content):
            source, name = (item.get("path"), item.get("name")) if isinstance(item, Mapping) else (item, None)
            place: str = f"content/{position}{'.tif' if self.input_type == 'GEOSPATIAL' else ''}"
            if isinstance(source, str) and is_url(source):
                place = source
            else:
                files.append(self._file("content", source, place, f"layer {position} "))
            layers.append(Layer(place, None if name is None else str(name)))
        upload_type = MAP_UPLOAD if self.input_type == "GEOSPATIAL" else TILED_UPLOAD["current"]
        text = _json_text(cells.jsonContent)
        return Medium(json_content=text, files=tuple(files), layers=tuple(layers), upload_type=upload_type)

    def _video(self, cells: _Cells) -> Medium:
        metadata = {"processingParameters": self._parameters(cells)}
        if is_url(cells.jsonContent):
            return Medium(content=self._hosted_only(cells), json_content=cells.jsonContent, metadata=metadata)
        if cells.jsonContent is not None:
            return self._framed(cells)._replace(metadata=metadata)
        native = bool(metadata["processingParameters"].get("shouldUseNativeVideo", True))
        upload_type = video_upload(self.generation, native=native)
        return self._plain(cells)._replace(metadata=metadata, upload_type=upload_type)

    def _parameters(self, cells: _Cells) -> dict[str, Any]:
        metadata = cells.jsonMetadata or {}
        metadata = json.loads(metadata) if isinstance(metadata, str) else metadata
        if not isinstance(metadata, Mapping):
            raise _CellError("jsonMetadata", "expected a dict")
        given = metadata.get("processingParameters") or {}
        if not isinstance(given, Mapping):
            raise _CellError("jsonMetadata", "processingParameters must be a mapping")
        if self.generation == "current":
            return dict(given)
        return {**(VIDEO_PARAMETERS if cells.jsonContent is None else FRAMES_PARAMETERS), **given}

    def _hosted_only(self, cells: _Cells) -> str:
        if cells.content is not None and not is_url(cells.content):
            raise _CellError("content", "must be a URL or empty where jsonContent holds the frames")
        return cells.content or ""

    def _framed(self, cells: _Cells) -> Medium:
        frames, files = [], []
        for position, frame in enumerate(_frame_list(cells.jsonContent)):
            place = f"frame/{position}"
            if is_url(frame):
                place = frame
            else:
                files.append(_local_file("jsonContent", frame, place, ("IMAGE", KINDS["IMAGE"]), f"frame {position} "))
            frames.append(place)
        return Medium(content=self._hosted_only(cells), files=tuple(files), frames=tuple(frames))

    def _file(self, column: str, source: Any, slot: str, which: str = "") -> File:
        if not self.kind.types:
            raise _CellError(column, f"a project of type {self.input_type} takes no files, only URLs")
        return _local_file(column, source, slot, (self.input_type, self.kind), which)


def _local_file(column: str, source: Any, slot: str, takes: tuple[str, Kind], which: str) -> File:
    input_type, kind = takes
    try:
        if not isinstance(source, (str, os.PathLike)):
            raise UnfitError(f"is {kind_of(source)}, neither a URL nor a path")
        path = local_path(source)
        size = checked_size(path)
        return File(slot, path, checked_type(path, kind, input_type), size)
    except UnfitError as error:
        raise _CellError(column, f"{which}{error}") from None


def _suffix(url: str) -> str:
    """Return the extension of the file that a URL names, in small letters."""
    name = url.partition("?")[0].partition("#")[0].rstrip("/").rpartition("/")[2]
    stem, dot, extension = name.rpartition(".")
    return f".{extension.lower()}" if stem and dot else ""


def _frame_list(value: Any) -> list[Any]:
    """Return the frames of a video, given as a list, as a mapping by position, or as JSON text of one of them."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            raise _CellError("jsonContent", "must be a list of frames, or JSON text of one") from None
    if isinstance(value, Mapping):
        value = [value[key] for key in sorted(value, key=_position)]
    if not isinstance(value, Iterable) or isinstance(value, (str, bytes)) or not (frames := list(value)):
        raise _CellError("jsonContent", "must be a list of frames")
    return frames


def _position(key: Any) -> int:
    try:
        return int(key)
    except (TypeError, ValueError):
        raise _CellError("jsonContent", f"frames are numbered from 0; {key!r} is no number") from None


def _json_text(value: Any, *, column: str = "jsonContent", must_parse: bool = False) -> str:
    """Return a value as JSON text; text is taken to be JSON already."""
    if value is None:
        return ""
    try:
        if isinstance(value, str):
            if must_parse:
                parsed(value)
            return value
        return json_text(value)
    except NotJsonError as error:
        raise _CellError(column, f"is not JSON: {error}") from None


def _fault(value: Any) -> str:
    """Say what no content can hold, in text or in the parts of lists and dicts; empty where there is nothing."""
    if isinstance(value, (set, frozenset)):
        return "holds a set, which has no order"
    if isinstance(value, (Mapping, list, tuple)):
        parts = value.values() if isinstance(value, Mapping) else value
        return next(filter(None, map(_fault, parts)), "")
    if isinstance(value, str) and not value.isascii() and any("\ud800" <= each <= "\udfff" for each in value):
        return "holds half a surrogate pair, which is no Unicode text"
    return ""
