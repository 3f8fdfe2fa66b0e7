"""Upload local files to the bucket: URLs are signed just before use, files are streamed, several at a time."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError
from dataclasses import dataclass
from http import HTTPStatus
from typing import IO, TYPE_CHECKING, Any, NamedTuple
from urllib.parse import parse_qs, quote, urlsplit

from pandas_kili.catalog import BATCH_SIZE
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
    asset_id: str
    path: str
    file: File


class Uploads:
    """Files of new assets on their way into the bucket: while some assets are registered, the files of the next go on.

    Parameters
    ----------
    client : Client
        Connection; as many files go at a time as it allows.
    project_id : str
        The project.
    media : mapping of str to Medium
        By the id of the asset, in the order in which `results` is called.
    bar : tqdm, optional
        Counts the bytes sent.
    stop : threading.Event, optional
        Once set, uploads end with `concurrent.futures.CancelledError`.
    """

    def __init__(
        self,
        client: Client,
        project_id: str,
        media: Mapping[str, Medium],
        *,
        bar: tqdm[Any] | None = None,
        stop: threading.Event | None = None,
    ) -> None:
        self._client, self._media = client, media
        self._folder = f"projects/{project_id}/assets"
        self._bucket = _Bucket(client, bar, stop or threading.Event())
        with_files = [(asset_id, medium.files) for asset_id, medium in media.items() if medium.files]
        self._done = self._bucket.store(
            [self._upload(asset_id, file) for asset_id, files in batch for file in files]
            for batch in chunked(with_files, BATCH_SIZE)
        )
        self._left: dict[str, int] = {asset_id: len(files) for asset_id, files in with_files}

    def results(self, asset_ids: Sequence[str]) -> list[Stored | KiliError]:
        """Wait for the files of some assets, and return what to register for each; each asset is asked for once.

        Returns
        -------
        list of Stored or KiliError
            Per asset; an error if one of its files could not be stored. Such an asset must not be registered.
        """
        missing = {asset_id for asset_id in asset_ids if self._left.get(asset_id)}
        while missing:
            asset_id = next(self._done)
            self._left[asset_id] -= 1
            if not self._left[asset_id]:
                missing.discard(asset_id)
        # The list of frames is a file too. It holds links to the frames, so the frames are stored first.
        lists = [
            self._upload(asset_id, _frames_file(self._client, medium, self._bucket.urls.get(asset_id, {})))
            for asset_id in asset_ids
            if (medium := self._media[asset_id]).frames and asset_id not in self._bucket.errors
        ]
        for _ in self._bucket.store([lists]):
            pass
        return [
            self._bucket.errors.get(asset_id) or _stored(self._media[asset_id], self._bucket.urls.pop(asset_id, {}))
            for asset_id in asset_ids
        ]

    def _upload(self, asset_id: str, file: File) -> _Upload:
        return _Upload(asset_id, f"{self._folder}/{asset_id}/{file.slot}", file)


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
    """Uploads the files of several assets, and keeps URLs and errors by asset."""

    def __init__(self, client: Client, bar: tqdm[Any] | None, stop: threading.Event) -> None:
        self.client, self.bar, self.stop = client, bar, stop
        self.urls: dict[str, dict[str, str]] = {}
        self.errors: dict[str, KiliError] = {}
        self._bar_lock = threading.Lock()

    def store(self, batches: Iterable[Sequence[_Upload]]) -> Iterator[str]:
        """Store files, several at a time, and yield the asset of each when it is stored, or has failed."""
        with contextlib.closing(side_by_side(self._try_put, self._signed(batches), self.stop)) as results:
            for (upload, _), result in results:
                if isinstance(result, KiliError):
                    self.errors.setdefault(upload.asset_id, result)
                else:
                    self.urls.setdefault(upload.asset_id, {})[upload.file.slot] = result
                yield upload.asset_id

    def _signed(self, batches: Iterable[Sequence[_Upload]]) -> Iterator[tuple[_Upload, str | KiliError]]:
        """Yield files with signed URLs, which are requested shortly before they are used."""
        refusals: dict[int, KiliError] = {}

        def sign(task: tuple[int, Sequence[_Upload]]) -> Sequence[str | KiliError]:
            number, uploads = task
            if number not in refusals:
                try:
                    return self._ask(uploads)
                except KiliError as error:  # the server would refuse the next list of this batch too
                    refusals[number] = error
            return [refusals[number]] * len(uploads)

        lists = (
            (number, uploads) for number, batch in enumerate(batches) for uploads in chunked(batch, _URLS_PER_CALL)
        )
        for task in itertools.islice(lists, 1):
            yield from zip(task[1], sign(task), strict=True)
        with contextlib.closing(in_order(sign, lists, workers=_SIGNERS)) as signed:
            for (_, uploads), urls in signed:
                yield from zip(uploads, urls, strict=True)

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
        if upload.asset_id in self.errors:
            return self.errors[upload.asset_id]
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
