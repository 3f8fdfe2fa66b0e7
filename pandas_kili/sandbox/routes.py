"""Requests to replies: the GraphQL endpoint, the version, the bucket and its files."""

from __future__ import annotations

import base64
import json
import math
import re
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from pandas_kili.sandbox.execution import error_entry
from pandas_kili.sandbox.files import ANSWERS_ROUTE, API_ROUTE, BUCKET_ROUTE, FILES_ROUTE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from email.message import Message

    from pandas_kili.sandbox.execution import Executor
    from pandas_kili.sandbox.store import Row
    from pandas_kili.sandbox.workspace import Workspace

__all__ = ["GRAPHQL_ROUTE", "Reply", "Request", "Routes"]

GRAPHQL_ROUTE = f"{API_ROUTE}/graphql"
_KEY_PREFIX = "X-API-Key: "
_MINUTE = 60.0
_PIECE = 1 << 20
_RANGE = re.compile(r"bytes=(\d*)-(\d*)")


@dataclass(frozen=True)
class Request:
    """One request that arrived."""

    method: str
    path: str
    headers: Message
    document: str | None = None
    variables: dict[str, Any] = field(default_factory=dict)
    operations: tuple[str, ...] = ()
    at: float = field(default_factory=time.monotonic)

    @property
    def operation(self) -> str:
        """The field of Query or Mutation that is asked first, or the method of a file request."""
        return self.operations[0] if self.operations else self.method


@dataclass
class Reply:
    """What is sent back: bytes, or a slice of a file."""

    status: int
    content_type: str
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    file: Path | None = None
    start: int = 0
    size: int = -1

    @property
    def length(self) -> int:
        """The length of the body in bytes."""
        return len(self.body) if self.file is None else self.size

    def pieces(self) -> Iterator[bytes]:
        """Give the body piece by piece."""
        if self.file is None:
            yield self.body
            return
        with self.file.open("rb") as source:
            source.seek(self.start)
            left = self.size
            while left > 0 and (piece := source.read(min(_PIECE, left))):
                left -= len(piece)
                yield piece

    @classmethod
    def of_json(cls, status: int, value: Any) -> Reply:
        """Reply with JSON."""
        body = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")
        return cls(status, "application/json; charset=utf-8", body)

    @classmethod
    def of_error(cls, status: int, message: str, code: str) -> Reply:
        """Reply with one GraphQL error."""
        return cls.of_json(status, {"data": None, "errors": [error_entry(message, code)]})

    @classmethod
    def of_page(cls, status: int, title: str) -> Reply:
        """Reply with an HTML page, as a proxy does."""
        return cls(status, "text/html", f"<html><head><title>{title}</title></head><h1>{title}</h1></html>".encode())


class Routes:
    """Answers requests on one workspace.

    Parameters
    ----------
    workspace : Workspace
        The state.
    executor : Executor
        Answers documents.
    settle : callable
        Carries out what is due before an operation.
    calls_per_minute : int, optional
        How many operations a minute one key may send; None for no limit.
    """

    def __init__(
        self, workspace: Workspace, executor: Executor, settle: Callable[[], None], calls_per_minute: int | None
    ) -> None:
        self._workspace = workspace
        self._executor = executor
        self._settle = settle
        self._calls_per_minute = calls_per_minute
        self._calls: deque[float] = deque()
        self._lock = threading.Lock()

    def knows_key(self, headers: Message) -> bool:
        """Tell whether a request has the right key."""
        given = headers.get("Authorization", "")
        return given.startswith(_KEY_PREFIX) and self._workspace.is_key(given.removeprefix(_KEY_PREFIX))

    def operations_of(self, document: str) -> tuple[str, ...]:
        """Return the root fields that `document` asks for."""
        return self._executor.prepare(document).roots

    def graphql(self, request: Request) -> Reply:
        """Answer an operation."""
        document = request.document or ""
        prepared = self._executor.prepare(document)
        if not self.knows_key(request.headers):
            status = (
                HTTPStatus.UNAUTHORIZED if prepared.is_key_check else HTTPStatus.OK
            )  # clients take a 401 elsewhere for a passing trouble
            return Reply.of_error(status, "Invalid API key", "UNAUTHENTICATED")
        wait = self._wait_for_turn()
        if wait:
            reply = Reply.of_error(HTTPStatus.TOO_MANY_REQUESTS, "Too many requests", "TOO_MANY_REQUESTS")
            reply.headers["Retry-After"] = str(math.ceil(wait))
            return reply
        self._settle()
        return Reply.of_json(*self._executor.answer(document, request.variables))

    def _wait_for_turn(self) -> float:
        if self._calls_per_minute is None:
            return 0.0
        present = time.monotonic()
        with self._lock:
            while self._calls and self._calls[0] <= present - _MINUTE:
                self._calls.popleft()
            if len(self._calls) < self._calls_per_minute:
                self._calls.append(present)
                return 0.0
            return self._calls[0] + _MINUTE - present if self._calls else _MINUTE

    def get(self, request: Request) -> Reply:
        """Answer a GET or HEAD."""
        parts = urlsplit(request.path)
        given = parse_qs(parts.query).get("id", [""])[0]
        if parts.path == f"{API_ROUTE}/version":
            return Reply.of_json(HTTPStatus.OK, {"version": f"2.0.0-sandbox-{self._workspace.generation}"})
        if parts.path == FILES_ROUTE:
            return self._file(given, request.headers)
        if parts.path.startswith(BUCKET_ROUTE):
            bucket = self._workspace.bucket
            refusal = bucket.refusal_of(request.path)
            return self.forbidden(refusal) if refusal else self._file(bucket.id_in(request.path), request.headers)
        if parts.path == ANSWERS_ROUTE:
            return self._label_answer(given)
        return Reply.of_page(HTTPStatus.NOT_FOUND, "Not Found")

    def put(self, request: Request, pieces: Iterable[bytes]) -> Reply:
        """Store a file at its signed URL."""
        bucket = self._workspace.bucket
        refusal = bucket.refusal_of(request.path) if request.path.startswith(BUCKET_ROUTE) else "NoSuchBucket"
        if refusal:
            return self.forbidden(refusal)
        bucket.save(bucket.id_in(request.path), pieces, request.headers.get("Content-Type", "application/octet-stream"))
        return Reply(HTTPStatus.OK, "text/plain")

    @staticmethod
    def forbidden(code: str) -> Reply:
        """Refuse as object stores do."""
        return Reply(
            HTTPStatus.FORBIDDEN, "application/xml", f"<?xml version='1.0'?><Error><Code>{code}</Code></Error>".encode()
        )

    def _file(self, file_id: str, headers: Message) -> Reply:
        file = self._workspace.bucket.find(file_id)
        if file is None:
            return Reply.of_page(HTTPStatus.NOT_FOUND, "Not Found")
        path = self._workspace.bucket.path_of(file)
        unchanged = headers.get("If-Range", _tag(file)) == _tag(file)
        return _sliced(file, path, headers.get("Range") if unchanged else None)

    def _label_answer(self, label_id: str) -> Reply:
        answer = self._workspace.store.value("SELECT jsonResponse FROM labels WHERE id = ?", (label_id,))
        if answer is None:
            return Reply.of_page(HTTPStatus.NOT_FOUND, "Not Found")
        return Reply(HTTPStatus.OK, "application/json", str(answer).encode("utf-8", "surrogatepass"))


def _tag(file: Row) -> str:
    return f'"{file["md5"]}"'


def _sliced(file: Row, path: Path, asked: str | None) -> Reply:
    size = int(file["size"])
    common = {"Accept-Ranges": "bytes", "ETag": _tag(file)}
    checksum = base64.b64encode(bytes.fromhex(file["md5"])).decode()
    whole = Reply(HTTPStatus.OK, file["contentType"], headers={**common, "Content-MD5": checksum}, file=path, size=size)
    match = _RANGE.fullmatch(asked or "")
    if match is None or not any(match.groups()):
        return whole
    start, end = _range(match[1], match[2], size)
    if start >= size or end < start:
        return Reply(
            HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, "text/plain", headers={"Content-Range": f"bytes */{size}"}
        )
    headers = {**common, "Content-Range": f"bytes {start}-{end}/{size}"}
    return Reply(
        HTTPStatus.PARTIAL_CONTENT, file["contentType"], headers=headers, file=path, start=start, size=end - start + 1
    )


def _range(first: str, last: str, size: int) -> tuple[int, int]:
    if not first:
        return max(size - int(last), 0), size - 1
    return int(first), min(int(last), size - 1) if last else size - 1
