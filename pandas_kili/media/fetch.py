"""Fetch one file: it has a temporary name until it is whole."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import os
import threading
from collections.abc import Mapping
from concurrent.futures import CancelledError
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import IO, TYPE_CHECKING

from pandas_kili.connection import PIECE
from pandas_kili.errors import KiliConnectionError, KiliDownloadError
from pandas_kili.media.ledger import AssetFile, Ledger
from pandas_kili.media.names import extension_of

if TYPE_CHECKING:
    from pandas_kili.connection import Client, Opened

_BUFFER = 2**16  # bytes: a small file is written at once, however it came
_ATTEMPTS = 5
_PAUSE = 0.05  # seconds; four times as long after each attempt that brought nothing new
# Servers compress text. A larger file was compressed to fill the disk.
_MOST_UNPACKED = 2**32


@dataclass
class Fetch:
    """Fetches files into the folder of a ledger.

    Attributes
    ----------
    client
        Connection.
    ledger
        Of the folder.
    takes_pages
        Whether a web page can be a medium; otherwise it is the error page of a proxy.
    stop
        Once set, fetching ends with `concurrent.futures.CancelledError`.
    """

    client: Client
    ledger: Ledger
    takes_pages: bool
    stop: threading.Event

    def file(self, part: AssetFile, url: str, extension: str | None = None) -> Path:
        """Return the path of a file, which is fetched unless it is there and whole.

        Parameters
        ----------
        part
            Which file.
        url
            Where it comes from.
        extension
            For its name; by default the content type decides.
        """
        known = self.ledger.whole(part, url)
        if known is not None:
            return known
        partial = self.ledger.partial()
        try:
            with partial.open("xb", _BUFFER) as file:
                target = _Target(file)
                content_type = self._until_whole(url, target)
            path = self.ledger.claim(part, extension or extension_of(content_type, url))
            os.replace(partial, path)  # noqa: PTH105 - the rename that replaces, named for it
        except BaseException:
            partial.unlink(missing_ok=True)
            raise
        self.ledger.record(part, path, url, target.size)
        return path

    def _until_whole(self, url: str, target: _Target) -> str:
        """Write a file and return its content type; after a broken connection, continue if the server can."""
        validator, furthest, barren = "", 0, 0
        while True:
            begun = False
            try:
                with self.client.stream(url, headers=_asking(target, validator), stop=self.stop) as response:
                    begun, validator = True, _strong_validator(response)
                    self._take(response, target)
            except KiliConnectionError:
                if not begun or barren == _ATTEMPTS - 1:
                    raise
            else:
                return str(response.headers.get("Content-Type", ""))
            # Each attempt that brings new bytes counts as progress: long files on bad lines break often.
            barren = 0 if target.size > furthest else barren + 1
            furthest = max(furthest, target.size)
            if not validator:
                target.start_over()
            self._pause(barren)

    def _take(self, response: Opened, target: _Target) -> None:
        """Write the body of a response, and raise if it is not whole."""
        headers = response.headers
        type_ = headers.get("Content-Type", "").partition(";")[0].strip().lower()
        if type_ == "text/html" and not self.takes_pages:
            raise KiliDownloadError("the response is a web page, not the file")
        packed = headers.get("Content-Encoding", "identity") != "identity"
        if response.status != HTTPStatus.PARTIAL_CONTENT:
            target.start_over()
            # Packed, the checksum would be that of the packed bytes.
            target.expected = None if packed else _md5_of(headers)
        while piece := response.read1(PIECE):
            if self.stop.is_set():
                raise CancelledError
            target.write(piece)
            if packed and target.size > _MOST_UNPACKED:
                raise KiliDownloadError(f"unpacked, the file is larger than {_MOST_UNPACKED} bytes")
        expected = headers.get("Content-Length")
        if expected is not None and response.tell() != int(expected):
            raise KiliConnectionError(f"only {response.tell()} of {expected} bytes arrived.")
        if not target.is_right():
            target.start_over()
            raise KiliConnectionError("the file does not have the checksum that the server gives.")

    def _pause(self, attempt: int) -> None:
        if self.stop.wait(_PAUSE * 4**attempt):
            raise CancelledError


def _asking(target: _Target, validator: str) -> dict[str, str]:
    # Compressed, a file has another length and checksum.
    headers = {"Accept-Encoding": "identity"}
    if validator and target.size:
        headers |= {"Range": f"bytes={target.size}-", "If-Range": validator}
    return headers


def _strong_validator(response: Opened) -> str:
    etag = response.headers.get("ETag", "")
    return "" if etag.startswith("W/") else etag


class _Target:
    """A file as far as it has come, held to the checksum of the whole if the server gives one.

    Attributes
    ----------
    size : int
        Bytes written.
    expected : bytes or None
        The checksum.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.size = 0
        self.expected: bytes | None = None
        self._hash = hashlib.md5(usedforsecurity=False)

    def write(self, piece: bytes) -> None:
        """Add bytes."""
        self._file.write(piece)
        self.size += len(piece)
        if self.expected is not None:
            self._hash.update(piece)

    def start_over(self) -> None:
        """Drop what was written."""
        if self.size:
            self._file.seek(0)
            self._file.truncate()
            self.size, self._hash = 0, hashlib.md5(usedforsecurity=False)

    def is_right(self) -> bool:
        """Return whether the whole file is what the server has."""
        return self.expected is None or self._hash.digest() == self.expected


def _md5_of(headers: Mapping[str, str]) -> bytes | None:
    """Return the checksum of the whole file as Amazon and Azure (Content-MD5) or Google (x-goog-hash) give it."""
    hashes = dict(each.strip().partition("=")[::2] for each in headers.get("x-goog-hash", "").split(","))
    text = hashes.get("md5") or headers.get("Content-MD5")
    with contextlib.suppress(ValueError):
        digest = base64.b64decode(text or "", validate=True)
        return digest if len(digest) == hashlib.md5(usedforsecurity=False).digest_size else None
    return None
