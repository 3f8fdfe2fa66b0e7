"""Check local files before anything is sent: is it there, is it readable, does the project take it."""

from __future__ import annotations

import codecs
import contextlib
import json
import os
import re
import stat
from pathlib import Path
from typing import IO, TypeGuard
from urllib.parse import urlsplit
from urllib.request import url2pathname

from pandas_kili.media.kinds import EXTENSIONS, JSON, LARGE_IMAGE_BYTES, LARGE_IMAGE_SIDE, UNMISTAKABLE, Kind
from pandas_kili.messages import shown

_HEAD = 8192
_PIECE = 2**20
# Below it, what `puremagic` finds may rest on two bytes.
_SURE = 0.4


class UnfitError(Exception):
    """A value that cannot become the content of an asset; its text says why."""


def is_url(value: object) -> TypeGuard[str]:
    """Return whether a value is the URL of a hosted file."""
    return isinstance(value, str) and value[:8].lower().startswith(("http://", "https://"))


def local_path(value: str | os.PathLike[str]) -> Path:
    """Return the absolute path of a local file, given with ``~``, relative, or as a ``file://`` URL."""
    text = os.fspath(value)
    if text[:7].lower() == "file://":
        parts = urlsplit(text)
        if parts.netloc not in {"", "localhost"}:
            raise UnfitError(f"names a file on another machine, {parts.netloc}")
        text = url2pathname(parts.path)
    elif isinstance(value, str) and re.match(r"[A-Za-z][A-Za-z0-9+.-]+://", text):
        raise UnfitError("is neither an http(s) URL nor a local path")
    if text != text.strip() and not Path(text).exists():
        raise UnfitError(f"no such file: {shown(text)} begins or ends with white space")
    path = Path(text)
    with contextlib.suppress(RuntimeError):  # "~draft.txt" is a name, not the home of a user
        path = path.expanduser()
    return path.absolute()


def checked_size(path: Path) -> int:
    """Return the size of a file that is there and not empty."""
    try:
        status = path.stat()
    except FileNotFoundError:
        raise UnfitError(f"no such file: {path}") from None
    except (OSError, ValueError) as error:
        raise UnfitError(f"cannot be read: {getattr(error, 'strerror', None) or error}") from None
    if stat.S_ISDIR(status.st_mode):
        raise UnfitError(f"is a folder: {path}")
    if not stat.S_ISREG(status.st_mode):
        raise UnfitError(f"is not a regular file: {path}")
    if not status.st_size:
        raise UnfitError(f"is an empty file: {path}")
    return status.st_size


def checked_type(path: Path, kind: Kind, input_type: str) -> str:
    """Return the content type of a file that a project takes, by its name and by its bytes."""
    try:
        with path.open("rb") as file:
            return _checked_type(path, file, kind, input_type)
    except OSError as error:
        raise UnfitError(f"cannot be read: {error.strerror or error}") from None


def _checked_type(path: Path, file: IO[bytes], kind: Kind, input_type: str) -> str:
    suffix = path.suffix.lower()
    named = kind.types.get(suffix)
    if named is None and (suffix in EXTENSIONS or suffix == ".html"):
        raise UnfitError(f"is a {suffix} file, which {_takes(kind, input_type)}")
    if kind.families[0] == JSON:
        return _checked_json(file)
    if kind.families == ("text/",):
        _check_text(file)
        return named or next(iter(kind.types.values()))
    if "image/" in kind.families and min(image_size(path)) > 0:
        return named or _recognized(file.read(_HEAD), kind, input_type, path)
    return _checked_bytes(file.read(_HEAD), named, kind, input_type, path)


def _takes(kind: Kind, input_type: str) -> str:
    return f"a project of type {input_type} does not take: it takes {', '.join(kind.types)}"


def _checked_bytes(head: bytes, named: str | None, kind: Kind, input_type: str, path: Path) -> str:
    if named is None:
        return _recognized(head, kind, input_type, path)
    if _has_mark(head, named):
        return named
    found = [(type_, sure) for type_, sure in _looks_like(head) if type_]
    if any(type_.startswith(kind.families) for type_, _ in found):
        return named
    surely = next((type_ for type_, sure in found if sure >= _SURE), None)
    if surely is not None:
        raise UnfitError(f"is named {path.suffix} but holds {surely}: {path}")
    if named in UNMISTAKABLE:
        raise UnfitError(f"is named {path.suffix} but does not begin as such a file does: {path}")
    return named


def _has_mark(head: bytes, named: str) -> bool:
    # Readers of PDF look for its mark within the first kilobyte.
    return named == "application/pdf" and b"%PDF-" in head[:1024]


def _recognized(head: bytes, kind: Kind, input_type: str, path: Path) -> str:
    """Return the type of a file from its bytes: its name does not tell it."""
    for type_, _ in _looks_like(head):
        if type_ in kind.types.values():
            return type_
    raise UnfitError(
        f"has no extension that tells its type, and its bytes do not either: {path}; "
        f"a project of type {input_type} takes {', '.join(kind.types)}"
    )


def _looks_like(head: bytes) -> list[tuple[str, float]]:
    """Return what bytes may be, the likeliest first."""
    import puremagic  # noqa: PLC0415 - slow to import, and rarely needed

    try:
        return [(match.mime_type, match.confidence) for match in puremagic.magic_string(head)]
    except puremagic.PureError:
        return []


def _check_text(file: IO[bytes]) -> None:
    """Refuse other encodings than UTF-8: Kili serves all text as UTF-8."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        while piece := file.read(_PIECE):
            decoder.decode(piece)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        raise UnfitError("is not UTF-8 text, which is all that Kili shows correctly") from None


def _checked_json(file: IO[bytes]) -> str:
    try:
        json.load(file)
    except (ValueError, RecursionError) as error:
        raise UnfitError(f"is not JSON: {error}") from None
    return JSON


def image_size(path: Path) -> tuple[int, int]:
    """Return width and height from the header of an image; -1 if it does not hold them."""
    import imagesize  # noqa: PLC0415 - it imports an XML parser

    width, height = imagesize.get(os.fspath(path))
    return int(width), int(height)


def is_large_image(path: Path, size: int) -> bool:
    """Return whether an image is so large that Kili cuts it into tiles."""
    return size >= LARGE_IMAGE_BYTES or max(image_size(path)) >= LARGE_IMAGE_SIDE
