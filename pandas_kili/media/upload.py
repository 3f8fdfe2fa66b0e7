"""Upload local files to the bucket: URLs are signed just before use, files are streamed, several at a time."""

from __future__ import annotations

import contextlib
import json
import os
import threading
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import CancelledError
from dataclasses import dataclass
from http import HTTPStatus
from typing import IO, TYPE_CHECKING, Any, NamedTuple
from urllib.parse import parse_qs, quote, urlsplit

from pandas_kili.connection import PIECE, Client, side_by_side
from pandas_kili.errors import (
    KiliAuthenticationError,
    KiliConnectionError,
    KiliError,
    KiliGraphQLError,
    KiliValidationError,
)
from pandas_kili.media.kinds import TEXT
from pandas_kili.media.medium import File, Medium
from pandas_kili.parallel import chunked, in_order

if TYPE_CHECKING:
    from tqdm import tqdm


_SIGN = """query createUploadBucketSignedUrls($filePaths: [String!]) {
  urls: createUploadBucketSignedUrls(filePaths: $filePaths)
}"""
# What the official SDK asks for at once (utils/bucket.py, 26.2.4).
_URLS_PER_CALL = 30
# Responses to an expired signature: Google 400, Amazon and Azure 403.
_NO_LONGER_SIGNED = frozenset({HTTPStatus.BAD_REQUEST, HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN})
_SIGNATURES_PER_FILE = 3
_SIGNERS = 2  # lists of URLs requested side by side: at 150 ms a call enough for 400 files a second


class Stored(NamedTuple):
    """What to register for a row, once its files are in the bucket.

    Attributes
    ----------
    content, json_content
        URLs, or empty.
    layers
        For ``multiLayerContentArray``: ``name`` and ``url`` of each; None where the asset has no layers.
    """

    content: str = ""
    json_content: str = ""
    layers: list[dict[str, str]] | None = None


@dataclass(frozen=True)
class _Upload:
    row: int
    asset_path: str
    file: File

    @property
    def path(self) -> str:
        return f"{self.asset_path}/{self.file.slot}"


def store_media(
    client: Client,
    project_id: str,
    asset_ids: Sequence[str],
    media: Sequence[Medium],
    *,
    bar: tqdm[Any] | None = None,
    stop: threading.Event | None = None,
) -> list[Stored | KiliError]:
    """Store the files of some rows, and return what to register for each.

    Parameters
    ----------
    client : Client
        Connection; as many files go at a time as it allows.
    project_id, asset_ids : str and sequence of str
        The project, and the id of each row's asset.
    media : sequence of Medium
        The rows.
    bar : tqdm, optional
        Counts the bytes sent.
    stop : threading.Event, optional
        Once set, uploads end with `concurrent.futures.CancelledError`.

    Returns
    -------
    list of Stored or KiliError
        Per row; an error if one of its files could not be stored. Such a row must not be registered.
    """
    bucket = _Bucket(client, bar, stop)
    folder = f"projects/{project_id}/assets"
    rows = [(row, *pair) for row, pair in enumerate(zip(asset_ids, media, strict=True))]
    with bucket:
        bucket.store(
            [_Upload(row, f"{folder}/{asset_id}", file) for row, asset_id, medium in rows for file in medium.files]
        )
        # The list of frames is a file too. It holds links to the frames, so the frames are stored first.
        bucket.store(
            [
                _Upload(row, f"{folder}/{asset_id}", _frames_file(client, medium, bucket.urls.get(row, {})))
                for row, asset_id, medium in rows
                if medium.frames and row not in bucket.errors
            ]
        )
    return [bucket.errors.get(row) or _stored(medium, bucket.urls.get(row, {})) for row, _, medium in rows]


def _stored(medium: Medium, urls: dict[str, str]) -> Stored:
    content = urls.get("content", urls.get("content.tif", medium.content))
    layers = [
        {**({} if layer.name is None else {"name": layer.name}), "url": urls.get(layer.place, layer.place)}
        for layer in medium.layers
    ]
    return Stored(content, urls.get("jsonContent", medium.json_content), layers or None)


def _frames_file(client: Client, medium: Medium, urls: dict[str, str]) -> File:
    links = [_lasting_link(client, urls[place]) if place in urls else place for place in medium.frames]
    text = json.dumps(dict(enumerate(links)), ensure_ascii=False).encode()
    return File("jsonContent", text, TEXT, len(text))


def _lasting_link(client: Client, signed_url: str) -> str:
    """Return the link under which Kili serves a stored file: a signed link would expire."""
    (file_id,) = parse_qs(urlsplit(signed_url).query)["id"][:1]
    return f"{client.api_endpoint.removesuffix('/graphql')}/files?id={quote(file_id, safe='/')}"


class _Bucket:
    """Uploads the files of several rows, and keeps URLs and errors by row."""

    def __init__(self, client: Client, bar: tqdm[Any] | None, stop: threading.Event | None) -> None:
        self.client, self.bar = client, bar
        self._refusal: KiliError | None = None
        self.stop = stop or threading.Event()
        self.urls: dict[int, dict[str, str]] = {}
        self.errors: dict[int, KiliError] = {}
        self._bar_lock = threading.Lock()

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            self.stop.set()  # uploads under way end too

    def store(self, uploads: Sequence[_Upload]) -> None:
        """Store files, several at a time."""
        if not uploads:
            return
        work = side_by_side(self._try_put, self._signed(uploads), self.stop)
        with contextlib.closing(work) as results:
            for (upload, _), result in results:
                if isinstance(result, KiliError):
                    self.errors.setdefault(upload.row, result)
                else:
                    self.urls.setdefault(upload.row, {})[upload.file.slot] = result

    def _signed(self, uploads: Iterable[_Upload]) -> Iterator[tuple[_Upload, str | KiliError]]:
        """Yield files with signed URLs, which are requested shortly before they are used."""
        self._refusal = None
        first, *rest = chunked(list(uploads), _URLS_PER_CALL)
        yield from zip(first, self._try_ask(first), strict=True)
        with contextlib.closing(in_order(self._try_ask, rest, workers=_SIGNERS)) as signed:
            for chunk, urls in signed:
                yield from zip(chunk, urls, strict=True)

    def _try_ask(self, uploads: Sequence[_Upload]) -> Sequence[str | KiliError]:
        if self._refusal is None:
            try:
                return self._ask(uploads)
            except KiliError as error:  # the server would refuse the next list too
                self._refusal = error
        return [self._refusal] * len(uploads)

    def _ask(self, uploads: Sequence[_Upload]) -> list[str]:
        body = self.client.execute(_SIGN, {"filePaths": [upload.path for upload in uploads]}, stop=self.stop)
        urls = body.get("urls")
        if not isinstance(urls, list) or len(urls) != len(uploads) or not all(map(_is_signed, urls)):
            raise KiliGraphQLError(f"The server did not return the {len(uploads)} upload URLs that were requested.")
        return urls

    def _try_put(self, task: tuple[_Upload, str | KiliError]) -> str | KiliError:
        upload, url = task
        if isinstance(url, KiliError):
            return url
        if upload.row in self.errors:
            return self.errors[upload.row]
        try:
            return self._put(upload, url)
        except KiliError as error:
            return error
        except OSError as error:
            return KiliValidationError(
                f"{error.filename or upload.file.slot} could not be read: {error.strerror or error}."
            )

    def _put(self, upload: _Upload, url: str) -> str:
        """Store one file and return its URL."""
        for left in reversed(range(_SIGNATURES_PER_FILE)):
            try:
                self._send(upload.file, url)
            except (KiliAuthenticationError, KiliConnectionError) as error:
                if error.status not in _NO_LONGER_SIGNED or not left:
                    raise
                (url,) = self._ask([upload])
            else:
                break
        return url

    def _send(self, file: File, url: str) -> None:
        address = url.partition("&id=")[0]
        headers = {"Content-Type": "text/plain; charset=utf-8" if file.content_type == TEXT else file.content_type}
        if (urlsplit(address).hostname or "").endswith(".blob.core.windows.net"):
            headers["x-ms-blob-type"] = "BlockBlob"
        if isinstance(file.source, bytes):
            self._send_bytes(file.source, address, headers)
            return
        with file.source.open("rb") as source:
            if os.fstat(source.fileno()).st_size != file.size:
                raise KiliValidationError(f"{file.source} has changed since it was checked.")
            if file.size <= PIECE:
                self._send_bytes(source.read(), address, headers)
                return
            reader: Any = _WatchedReader(source, self)
            try:
                self.client.put(address, reader, headers, stop=self.stop)
            except BaseException:
                reader.take_back()
                raise

    def _send_bytes(self, data: bytes, address: str, headers: dict[str, str]) -> None:
        if self.stop.is_set():
            raise CancelledError
        self.client.put(address, data, headers, stop=self.stop)
        self.progress(len(data))

    def progress(self, size: int) -> None:
        """Count bytes in the bar."""
        if self.bar is not None:
            with self._bar_lock:
                self.bar.update(size)


def _is_signed(url: object) -> bool:
    return isinstance(url, str) and url.startswith(("http://", "https://")) and "id" in parse_qs(urlsplit(url).query)


class _WatchedReader:
    """A file that counts in the bar how far it was read, and that stops when the uploads stop."""

    def __init__(self, file: IO[bytes], bucket: _Bucket) -> None:
        self._file, self._bucket = file, bucket
        self._position = self._told = 0

    def read(self, size: int = -1) -> bytes:
        if self._bucket.stop.is_set():
            raise CancelledError
        # HTTP libraries ask for 16 KiB at a time, and send what they get: larger pieces save most calls.
        data = self._file.read(size if size < 0 else max(size, PIECE))
        self._position += len(data)
        if self._position > self._told:  # a file that is sent again is counted once
            self._bucket.progress(self._position - self._told)
            self._told = self._position
        return data

    def take_back(self) -> None:
        """Take the bytes off the bar: they did not arrive."""
        self._bucket.progress(-self._told)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._position = self._file.seek(offset, whence)
        return self._position

    def tell(self) -> int:
        return self._position

    def __iter__(self) -> Iterator[bytes]:  # `requests` looks for it to see that this is a stream
        return iter(self._file)
