"""The medium of an asset, from wherever it is: as a picture or text to show, else with the reason why not."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

from pandas_kili.media.inspection import is_url, local_path
from pandas_kili.media.kinds import EXTENSIONS
from pandas_kili.preview.thumbnails import NotShownError, Picture, is_displayable, picture
from pandas_kili.session import Client, default_client

_LARGEST = 2**26  # bytes of a file that is read to make a thumbnail of
_LONGEST_PATH = 4096
_TEXTS = frozenset({".txt", ".csv", ".json", ".md", ".html"})
_NOT_DRAWN = {
    "video/": "a video, which is not decoded here",
    "audio/": "a recording, which has no picture",
    "application/pdf": "a PDF document, which is not drawn here",
}


@dataclass(frozen=True)
class Wanted:
    """What is asked of an asset: its columns, and which part its annotations are about."""

    content: str | None = None
    json_content: str | None = None
    frame: int | None = None
    page: int | None = None


@dataclass(frozen=True)
class Medium:
    """What there is to show.

    Attributes
    ----------
    picture : Picture, optional
    text : str, optional
    starts : dict of str to int
        Where in the text the blocks of rich text begin, by their ids.
    note : str
        Which part it is, or why there is neither picture nor text.
    """

    picture: Picture | None = None
    text: str | None = None
    starts: Mapping[str, int] = field(default_factory=dict)
    note: str = ""


class MediaReader:
    """Reads media; what goes wrong with one becomes its note.

    Parameters
    ----------
    client : Client, optional
        Connection for hosted media; by default the shared one, once there is something to fetch.
    budget : int
        Bytes that a picture may take.
    stop : threading.Event
        Once set, nothing more is waited for.
    """

    def __init__(self, client: Client | None, budget: int, stop: threading.Event) -> None:
        self._client, self._budget, self._stop = client, budget, stop

    def read(self, wanted: Wanted) -> Medium:
        """Return the medium of an asset; whatever happens, there is one."""
        try:
            return self._read(wanted)
        except NotShownError as reason:
            return Medium(note=str(reason))
        except Exception as error:  # noqa: BLE001 - damaged files make decoders raise anything; the other assets are fine
            if self._stop.is_set():
                return Medium(note="it did not come in time")
            return Medium(note=str(error) or type(error).__name__)

    def _read(self, wanted: Wanted) -> Medium:
        if wanted.json_content and (not wanted.content or _type_named(wanted.content).startswith("video/")):
            return self._described(wanted.json_content, wanted.frame or 0)
        if not wanted.content:
            raise NotShownError("the frame has no content of it")
        named = _type_named(wanted.content)
        reason = next((reason for family, reason in _NOT_DRAWN.items() if named.startswith(family)), None)
        if reason is not None:
            raise NotShownError(reason + _part(wanted))
        if is_url(wanted.content):
            return self._shown(self._fetched(wanted.content))
        return self._local(wanted.content)

    def _fetched(self, url: str) -> bytes:
        client = self._client or default_client()
        return client.get(url, max_bytes=_LARGEST, stop=self._stop)

    def _shown(self, data: bytes) -> Medium:
        if not data:
            raise NotShownError("the file is empty")
        if data[:5] == b"%PDF-":
            raise NotShownError(_NOT_DRAWN["application/pdf"])
        try:
            return Medium(picture=picture(data, self._budget))
        except NotShownError:
            if is_displayable(data) or not _is_text(data):
                raise
        return Medium(text=data.decode("utf-8-sig"))

    def _local(self, content: str) -> Medium:
        path = _file_named(content)
        if path is None:
            if _type_named(content) and not any(map(str.isspace, content)):
                raise NotShownError("no such file")
            return Medium(text=content)
        return self._shown(_bytes_of(path))

    def _described(self, value: str, frame: int) -> Medium:
        """Return what `jsonContent` describes: rich text, or one frame of a video."""
        described = self._json(value)
        if isinstance(described, Mapping) and all(str(key).isdecimal() for key in described):
            described = [described[key] for key in sorted(described, key=int)]
        if not isinstance(described, list) or not described:
            raise NotShownError("jsonContent is neither rich text nor a list of frames")
        if not all(isinstance(each, str) for each in described):
            return _rich_text(described)
        if not 0 <= frame < len(described):
            raise NotShownError(f"the video has {len(described)} frames, and none numbered {frame}")
        source = described[frame]
        medium = self._shown(self._fetched(source)) if is_url(source) else self._local(source)
        return replace(medium, note=f"frame {frame} of {len(described)}")

    def _json(self, value: str) -> Any:
        if is_url(value):
            return json.loads(self._fetched(value))
        path = _file_named(value)
        return json.loads(value if path is None else _bytes_of(path))


def _part(wanted: Wanted) -> str:
    if wanted.frame is not None:
        return f"; this is where frame {wanted.frame} was annotated"
    return "" if wanted.page is None else f"; this is where page {wanted.page} was annotated"


def _type_named(content: str) -> str:
    """Return the type of file that a URL or path names; empty where none."""
    path = unquote(urlsplit(content).path) if is_url(content) else content[-64:]
    return EXTENSIONS.get(PurePosixPath(path).suffix.lower(), "")


def _file_named(content: str) -> Path | None:
    """Return the file that a cell names; None where it is raw text.

    A server decides what a cell holds. So only what looks like a medium is opened, and no other file of this machine.
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


def _rich_text(blocks: list[Any]) -> Medium:
    """Return the text of nested blocks, a line each, and where those with an id begin."""
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
    return Medium(text="".join(lines), starts=starts)


def _leaves(block: Any) -> list[Mapping[str, Any]]:
    if not isinstance(block, Mapping):
        return []
    children = block.get("children")
    if isinstance(children, list):
        return [leaf for child in children for leaf in _leaves(child)]
    return [block]
