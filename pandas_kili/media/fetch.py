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

from pandas_kili.errors import KiliConnectionError, KiliDownloadError
from pandas_kili.media.ledger import AssetFile, Ledger
from pandas_kili.media.names import extension_of

if TYPE_CHECKING:
    from pandas_kili.connection import Client, Opened

_PIECE = 2**18  # bytes
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
            with partial.open("xb") as target:
                headers = self._until_whole(url, target)
                size = target.tell()
            path = self.ledger.claim(part, extension or extension_of(headers.get("Content-Type", ""), url))
            os.replace(partial, path)  # noqa: PTH105 - the rename that replaces, named for it
        except BaseException:
            partial.unlink(missing_ok=True)
            raise
        self.ledger.record(part, path, url, size)
        return path

    def _until_whole(self, url: str, target: IO[bytes]) -> Mapping[str, str]:
        """Write a file and return the headers; after a broken connection, continue if the server can."""
        validator, digest = "", _Digest()
        furthest, barren = 0, 0
        while True:
            transfer = _Transfer(target, digest, self.stop)
            try:
                with self.client.stream(url, headers=_asking(target, validator), stop=self.stop) as response:
                    validator = _strong_validator(response)
                    self._refuse_pages(response)
                    transfer.take(response)
            except KiliConnectionError:
                if not transfer.begun or barren == _ATTEMPTS - 1:
                    raise
            else:
                return transfer.headers
            # Each attempt that brings new bytes counts as progress: long files on bad lines break often.
            barren = 0 if target.tell() > furthest else barren + 1
            furthest = max(furthest, target.tell())
            if not validator:
                transfer.start_over()
            self._pause(barren)

    def _pause(self, attempt: int) -> None:
        if self.stop.wait(_PAUSE * 4**attempt):
            raise CancelledError

    def _refuse_pages(self, response: Opened) -> None:
        type_ = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        if type_ == "text/html" and not self.takes_pages:
            raise KiliDownloadError("the response is a web page, not the file")


def _asking(target: IO[bytes], validator: str) -> dict[str, str]:
    # Compressed, a file has another length and checksum.
    headers = {"Accept-Encoding": "identity"}
    if validator and target.tell():
        headers |= {"Range": f"bytes={target.tell()}-", "If-Range": validator}
    return headers


def _strong_validator(response: Opened) -> str:
    etag = response.headers.get("ETag", "")
    return "" if etag.startswith("W/") else etag


class _Digest:
    """The checksum of the bytes received, if the server gives one to compare it with."""

    def __init__(self) -> None:
        self.expected: bytes | None = None
        self.clear()

    def clear(self) -> None:
        """Start again."""
        self._hash = hashlib.md5(usedforsecurity=False)

    def update(self, piece: bytes) -> None:
        """Add bytes."""
        if self.expected is not None:
            self._hash.update(piece)

    def is_right(self) -> bool:
        """Return whether the whole file is what the server has."""
        return self.expected is None or self._hash.digest() == self.expected


class _Transfer:
    """One response on its way into a file."""

    def __init__(self, target: IO[bytes], digest: _Digest, stop: threading.Event) -> None:
        self._target, self._digest, self._stop = target, digest, stop
        self.begun = False
        self.headers: Mapping[str, str] = {}

    def take(self, response: Opened) -> None:
        """Write the body, and raise if it is not whole."""
        self.begun, self.headers = True, response.headers
        if response.status != HTTPStatus.PARTIAL_CONTENT:
            self.start_over()
            self._digest.expected = _md5_of(response)
        packed = response.headers.get("Content-Encoding", "identity") != "identity"
        while piece := response.read1(_PIECE):
            if self._stop.is_set():
                raise CancelledError
            self._target.write(piece)
            if packed and self._target.tell() > _MOST_UNPACKED:
                raise KiliDownloadError(f"unpacked, the file is larger than {_MOST_UNPACKED} bytes")
            self._digest.update(piece)
        expected = response.headers.get("Content-Length")
        if expected is not None and response.tell() != int(expected):
            raise KiliConnectionError(f"only {response.tell()} of {expected} bytes arrived.")
        if not self._digest.is_right():
            self.start_over()
            raise KiliConnectionError("the file does not have the checksum that the server gives.")

    def start_over(self) -> None:
        """Drop what was written."""
        self._target.seek(0)
        self._target.truncate()
        self._digest.clear()


def _md5_of(response: Opened) -> bytes | None:
    """Return the checksum of the whole file as Amazon and Azure (Content-MD5) or Google (x-goog-hash) give it."""
    if response.headers.get("Content-Encoding", "identity") != "identity":
        return None  # the checksum is that of the compressed bytes
    hashes = dict(each.strip().partition("=")[::2] for each in response.headers.get("x-goog-hash", "").split(","))
    text = hashes.get("md5") or response.headers.get("Content-MD5")
    with contextlib.suppress(ValueError):
        digest = base64.b64decode(text or "", validate=True)
        return digest if len(digest) == hashlib.md5(usedforsecurity=False).digest_size else None
    return None
