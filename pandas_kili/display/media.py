"""The medium of an asset, local or hosted: a picture or text to show, or the reason why there is none."""

from __future__ import annotations

import json
import math
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

from pandas_kili.connection import Client, client_or_default
from pandas_kili.display.deadline import within
from pandas_kili.display.decoding import Still, StillKind, decoded, still_kind
from pandas_kili.display.thumbnails import NotShownError, Picture, is_displayable, picture
from pandas_kili.media import EXTENSIONS, is_url, local_path

_SECONDS = 5.0  # for a hosted medium to come
_AT_ONCE = 8  # media that are made small at a time
_LARGEST = 2**26  # bytes; larger files are not read for a thumbnail
_HEAD = 1024
_LONGEST_PATH = 4096
_TEXTS = frozenset({".txt", ".csv", ".json", ".md", ".html"})
_FAMILIES: Mapping[str, StillKind] = {"application/pdf": "page", "video/": "frame"}


@dataclass(frozen=True)
class Wanted:
    """The medium that is wanted: columns of the asset, the frame or page, and the rate that numbers frames."""

    content: str | None = None
    json_content: str | None = None
    frame: int | None = None
    page: int | None = None
    rate: float | None = None

    def still(self, kind: StillKind) -> Still:
        """Return the part that is shown."""
        return Still("page", self.page) if kind == "page" else Still("frame", self.frame, self.rate)


@dataclass(frozen=True)
class ShownMedium:
    """A picture or text to show.

    Attributes
    ----------
    picture : Picture, optional
    text : str, optional
    starts : dict of str to int
        Offsets in the text at which blocks of rich text begin, by their ids.
    note : str
        The frame or page, or the reason why there is neither picture nor text.
    """

    picture: Picture | None = None
    text: str | None = None
    starts: Mapping[str, int] = field(default_factory=dict)
    note: str = ""


class MediaReader:
    """Reads media; an error with one becomes its note.

    Parameters
    ----------
    client : Client, optional
        Connection for hosted media; by default the shared one, if there is something to fetch.
    budget : int
        Bytes that a picture may take.
    stop : threading.Event
        Once set, waiting ends.
    """

    def __init__(self, client: Client | None, budget: int, stop: threading.Event) -> None:
        self._client, self._budget, self._stop = client, budget, stop
        self._drawing = threading.BoundedSemaphore(_AT_ONCE)

    def read(self, wanted: Wanted) -> ShownMedium:
        """Return the medium of an asset; an error becomes its note."""
        try:
            return self._read(wanted)
        except NotShownError as error:
            reason = str(error)
        except Exception as error:  # noqa: BLE001 - damaged files make decoders raise anything; the other assets are fine
            reason = "it did not come in time" if self._stop.is_set() else str(error) or type(error).__name__
        return ShownMedium(note=_where(wanted) + reason)

    def _read(self, wanted: Wanted) -> ShownMedium:
        if wanted.json_content and (not wanted.content or _type_named(wanted.content).startswith("video/")):
            return self._described(wanted.json_content, wanted.frame or 0)
        if not wanted.content:
            raise NotShownError("the frame has no content of it")
        if _type_named(wanted.content).startswith("audio/"):
            raise NotShownError("a recording, which has no picture")
        kind = _kind_named(wanted.content)
        if kind is not None:
            wanted.still(kind).check()  # before anything is fetched
        return self._shown(wanted.content, wanted)

    def _shown(self, content: str, wanted: Wanted) -> ShownMedium:
        if is_url(content):
            return self._told(self._fetched(content), wanted)
        path = _file_named(content)
        if path is None:
            if _type_named(content) and not any(map(str.isspace, content)):
                raise NotShownError("no such file")
            return ShownMedium(text=content)
        with path.open("rb") as file:
            kind = still_kind(file.read(_HEAD)) or _kind_named(content)
        return self._decoded(path, wanted.still(kind)) if kind else self._told(_bytes_of(path), wanted)

    def _fetched(self, url: str) -> bytes:
        """Return a hosted medium."""
        client = client_or_default(self._client)
        try:
            # Twice the time for the request: the wait around it ends first, and gives its own reason.
            return within(_SECONDS, lambda: client.get(url, max_bytes=_LARGEST, seconds=2 * _SECONDS, stop=self._stop))
        except TimeoutError:
            raise NotShownError(f"it did not come within {_SECONDS:g} seconds") from None

    def _told(self, data: bytes, wanted: Wanted) -> ShownMedium:
        if not data:
            raise NotShownError("the file is empty")
        kind = still_kind(data[:_HEAD])
        if kind is not None:
            return self._decoded(data, wanted.still(kind))
        try:
            with self._drawing:
                return ShownMedium(picture=picture(data, self._budget))
        except NotShownError:
            if is_displayable(data) or not _is_text(data):
                raise
        return ShownMedium(text=data.decode("utf-8-sig"))

    def _decoded(self, source: bytes | Path, still: Still) -> ShownMedium:
        shown, note = decoded(source, still, self._budget, self._stop)
        return ShownMedium(picture=shown, note=note)

    def _described(self, value: str, frame: int) -> ShownMedium:
        """Return the medium that `jsonContent` describes: rich text, or one frame of a video."""
        described = self._json(value)
        if isinstance(described, Mapping) and all(str(key).isdecimal() for key in described):
            described = [described[key] for key in sorted(described, key=int)]
        if not isinstance(described, list) or not described:
            raise NotShownError("jsonContent is neither rich text nor a list of frames")
        if not all(isinstance(each, str) for each in described):
            return _rich_text(described)
        if not 0 <= frame < len(described):
            raise NotShownError(f"the video has {len(described)} frames, and none numbered {frame}")
        medium = self._shown(described[frame], Wanted())
        return replace(medium, note=f"frame {frame} of {len(described)}")

    def _json(self, value: str) -> Any:
        if is_url(value):
            return json.loads(self._fetched(value))
        path = _file_named(value)
        return json.loads(value if path is None else _bytes_of(path))


def _where(wanted: Wanted) -> str:
    if wanted.frame is not None:
        return f"frame {wanted.frame}: "
    return "" if wanted.page is None else f"page {wanted.page}: "


def rate_of(json_metadata: str | None) -> float | None:
    """Return the frames per second at which Kili plays a video; None if unknown, or the video's own rate."""
    try:
        parameters = json.loads(json_metadata or "{}")["processingParameters"]
        if parameters.get("shouldKeepNativeFrameRate") is True:
            return None
        rate = float(parameters["framesPlayedPerSecond"])
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None
    return rate if 0 < rate < math.inf else None


def _kind_named(content: str) -> StillKind | None:
    named = _type_named(content)
    return next((kind for family, kind in _FAMILIES.items() if named.startswith(family)), None)


def _type_named(content: str) -> str:
    """Return the type of file that the extension of a URL or path names; empty if none."""
    path = unquote(urlsplit(content).path) if is_url(content) else content[-64:]
    return EXTENSIONS.get(PurePosixPath(path).suffix.lower(), "")


def _file_named(content: str) -> Path | None:
    """Return the file that a cell names; None if it is raw text.

    A server decides what a cell holds, so only files that look like media are opened.
    """
    if len(content) > _LONGEST_PATH or "\n" in content or "\0" in content:
        return None
    path = local_path(content) if content[:7].lower() == "file://" or "://" not in content else None
    if path is None or not path.is_file():
        return None
    if path.suffix.lower() in _TEXTS or path.suffix.lower() in EXTENSIONS:
        return path
    with path.open("rb") as file:
        return path if is_displayable(file.read(64)) else None


def _bytes_of(path: Path) -> bytes:
    if path.stat().st_size > _LARGEST:
        raise NotShownError(f"it is larger than {_LARGEST >> 20} MiB")
    return path.read_bytes()


def _is_text(data: bytes) -> bool:
    try:
        return "\0" not in data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return False


def _rich_text(blocks: list[Any]) -> ShownMedium:
    """Return the text of nested blocks, one line each, and the offsets of those with an id."""
    lines: list[str] = []
    starts: dict[str, int] = {}
    length = 0
    for block in blocks:
        for leaf in _leaves(block):
            text = str(leaf.get("text") or "")
            if "id" in leaf:
                starts[str(leaf["id"])] = length
            lines.append(text)
            length += len(text)
        lines.append("\n")
        length += 1
    return ShownMedium(text="".join(lines), starts=starts)


def _leaves(block: Any) -> list[Mapping[str, Any]]:
    if not isinstance(block, Mapping):
        return []
    children = block.get("children")
    if isinstance(children, list):
        return [leaf for child in children for leaf in _leaves(child)]
    return [block]
