"""The bucket: files behind signed URLs that expire, served under links that stay."""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import time
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, quote, unquote, urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from pandas_kili.sandbox.store import Row, Store

__all__ = ["ANSWERS_ROUTE", "API_ROUTE", "BUCKET_ROUTE", "FILES_ROUTE", "Bucket"]

API_ROUTE = "/api/label/v2"
FILES_ROUTE = f"{API_ROUTE}/files"
ANSWERS_ROUTE = f"{API_ROUTE}/answers"  # of labels
BUCKET_ROUTE = "/bucket/"
_STORED = "stored:"


class Bucket:
    """Stored files, each under an id such as ``projects/…/assets/…/content``.

    Parameters
    ----------
    store : Store
        Where names and types of the files are kept.
    folder : Path
        Where their bytes are kept.
    url_ttl : float
        How long a signed URL is valid, in seconds.
    """

    def __init__(self, store: Store, folder: Path, url_ttl: float) -> None:
        self._store = store
        self._folder = folder
        self._url_ttl = url_ttl
        self._secret = store.setting("bucket_secret", secrets.token_hex(32)).encode()
        self.origin = ""
        folder.mkdir(parents=True, exist_ok=True)

    def signed_url(self, file_id: str) -> str:
        """Return a URL to PUT and GET the file at, without any other authorization, until it expires."""
        expires = f"{time.time() + self._url_ttl:.3f}"
        path = quote(file_id, safe="")  # one segment: clients resolve dots between slashes
        return f"{self.origin}{BUCKET_ROUTE}{path}?expires={expires}&signature={self._sign(file_id, expires)}&id={path}"

    def _sign(self, file_id: str, expires: str) -> str:
        return hmac.new(self._secret, f"{expires}\n{file_id}".encode(), hashlib.sha256).hexdigest()

    def refusal_of(self, url: str) -> str | None:
        """Return why a signed URL is not to be honored, None where it is."""
        parts = urlsplit(url)
        query = parse_qs(parts.query)
        expires, signature = query.get("expires", [""])[0], query.get("signature", [""])[0]
        if not hmac.compare_digest(self._sign(self.id_in(url), expires).encode(), signature.encode()):
            return "SignatureDoesNotMatch"
        return "ExpiredToken" if float(expires) < time.time() else None

    @staticmethod
    def id_in(url: str) -> str:
        """Return the id of the file that the path of a signed URL names."""
        return unquote(urlsplit(url).path.removeprefix(BUCKET_ROUTE))

    def link(self, reference: str) -> str:
        """Return what the API serves for the stored `reference`: a link to a file of ours, or the text as it is."""
        if not reference.startswith(_STORED):
            return reference
        return f"{self.origin}{FILES_ROUTE}?id={quote(reference.removeprefix(_STORED), safe='')}"

    def reference(self, given: str) -> str:
        """Return how to store `given`, a URL or text that a caller registers."""
        parts = urlsplit(given) if given.startswith(self.origin + "/") else None
        if parts is None or not parts.path.startswith((BUCKET_ROUTE, FILES_ROUTE)):
            return given
        ids = parse_qs(parts.query).get("id")
        return _STORED + ids[0] if ids else given

    def stored(self, reference: str) -> Path | None:
        """Return the path of the file that a stored `reference` names; None where it names none of ours."""
        file = self.find(reference.removeprefix(_STORED)) if reference.startswith(_STORED) else None
        return None if file is None else self.path_of(file)

    def save(self, file_id: str, chunks: Iterable[bytes], content_type: str) -> None:
        """Store a file whole, or not at all."""
        name = hashlib.sha256(file_id.encode()).hexdigest()
        partial = self._folder / f"{name}.{secrets.token_hex(4)}.part"
        digest = hashlib.md5(usedforsecurity=False)
        try:
            with partial.open("wb") as target:
                for chunk in chunks:
                    digest.update(chunk)
                    target.write(chunk)
            os.replace(partial, self._folder / name)  # noqa: PTH105 - the rename that replaces, named for it
        finally:
            partial.unlink(missing_ok=True)
        size = (self._folder / name).stat().st_size
        row = (file_id, name, content_type, size, digest.hexdigest())
        self._store.change("INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?)", row)

    def find(self, file_id: str) -> Row | None:
        """Return name, content type, size and checksum of a file."""
        rows = self._store.rows("SELECT * FROM files WHERE id = ?", (file_id,))
        return rows[0] if rows else None

    def path_of(self, file: Row) -> Path:
        """Return where the bytes of a found file are."""
        return self._folder / str(file["name"])
