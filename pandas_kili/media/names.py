"""File names from names of assets, which may hold anything."""

from __future__ import annotations

import hashlib
import mimetypes
import posixpath
import re
import unicodedata
from functools import lru_cache
from pathlib import PurePosixPath
from urllib.parse import unquote, urlsplit

from pandas_kili.media.kinds import EXTENSIONS

# Characters that Windows refuses in a name, and invisible ones.
_FORBIDDEN = re.compile(r'[<>:"/\\|?*\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]')
_DEVICES = re.compile(r"(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³])\Z", re.IGNORECASE)
# File systems take 255 bytes: room is left for a mark (17), an extension and the number of a frame.
_LONGEST_STEM = 180
_PLAIN = re.compile(rf"[A-Za-z0-9_-]{{1,{_LONGEST_STEM}}}")
_LONGEST_EXTENSION = 12
_SAYS_NOTHING = frozenset({"", "application/octet-stream", "binary/octet-stream", "application/x-download"})
_MEDIA = ("audio/", "font/", "image/", "model/", "text/", "video/")
_DOCUMENTS = frozenset({"application/json", "application/pdf", "application/xml", "application/zip"})
_BY_TYPE = {
    **{type_: extension for extension, type_ in reversed(tuple(EXTENSIONS.items()))},
    "image/x-icon": ".ico",
    "audio/flac": ".flac",
    "audio/wav": ".wav",
    "audio/wave": ".wav",
    "text/plain": ".txt",
}


def safe_stem(name: str) -> str:
    """Return a name that is one file within a folder on every file system; a name that is so already is kept.

    Examples
    --------
    >>> safe_stem("photo 1"), safe_stem("../../evil"), safe_stem("NUL")
    ('photo 1', '_._.._evil', '_NUL')
    """
    text = name
    if not _PLAIN.fullmatch(name):  # most names are plain, and there may be a million of them
        text = name.encode("utf-8", "replace").decode("utf-8", "replace")
        text = _FORBIDDEN.sub("_", text)
        text = re.sub(r"\A[. ]|[. ]\Z", "_", re.sub(r"[. ]+\Z", lambda ends: "_" * len(ends[0]), text))
        text = _cut(text, _LONGEST_STEM) or "_"
        text = re.sub(r"[. ]\Z", "_", text)
    return f"_{text}" if _DEVICES.match(text.partition(".")[0].rstrip()) else text


def _cut(text: str, size: int) -> str:
    return text.encode()[:size].decode(errors="ignore")


def folded(name: str) -> str:
    """Return the same text for names that some file system confuses."""
    if name.isascii():
        return name.lower()
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())


def marked(stem: str, identity: str, length: int = 8) -> str:
    """Return a name that no other asset gets: a mark made from its id stands before the extension."""
    mark = hashlib.sha256(identity.encode("utf-8", "replace")).hexdigest()[:length]
    extension = known_extension(stem)
    return f"{stem[: len(stem) - len(extension)]}~{mark}{extension}"


def extension_of(content_type: str, url: str) -> str:
    """Return the extension for a content type, else that of the URL, else none."""
    type_ = content_type.partition(";")[0].strip().lower()
    if type_ not in _SAYS_NOTHING:
        found = _BY_TYPE.get(type_) or mimetypes.guess_extension(type_, strict=False)
        if found:
            return found
    return known_extension(PurePosixPath(unquote(urlsplit(url).path)).name)


def known_extension(name: str) -> str:
    """Return the extension of a name, if it is one of a known type of file."""
    suffix = posixpath.splitext(name)[1]  # `pathlib` takes five times as long
    return suffix if len(suffix) <= _LONGEST_EXTENSION and _is_known(suffix) else ""


@lru_cache(maxsize=256)
def _is_known(suffix: str) -> bool:
    # Only types of media: "example.com" and "draft.v1" are names without an extension.
    type_ = mimetypes.guess_type(f"_{suffix}")[0] or ""
    return suffix.lower() in EXTENSIONS or type_.startswith(_MEDIA) or type_ in _DOCUMENTS


def with_extension(stem: str, extension: str) -> str:
    """Return a name with an extension, unless it has a known one."""
    return stem if known_extension(stem) else stem + extension
