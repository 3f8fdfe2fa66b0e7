"""A server that answers from what it has ready, in a process of its own: its cost is counted for no contender.

It knows what the client and the official SDK ask of assets. A call is answered `latency` seconds after it came,
whatever else is under way; above the budget of the sliding window it is refused with status 429, as by the service.
"""

from __future__ import annotations

import asyncio
import functools
import gzip
import json
import subprocess
import sys
import urllib.request
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self, cast

from benchmarks.canned import PROJECT, Assets, Kind, answer, picture

KEY = "benchmark-key"
_ROUTE = "/api/label/v2/graphql"
_CACHED = 2_000  # windows kept compressed
_REASONS = {200: "OK", 429: "Too Many Requests", 404: "Not Found"}


class Replay:
    """A server process: its `endpoint`, and what it saw."""

    def __init__(self, kind: Kind, count: int, *, compressed: bool = True) -> None:
        command = [sys.executable, "-m", "benchmarks.replay", kind, str(count), str(int(compressed))]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.url = next(iter(self._process.stdout or ())).strip()
        self.given = {"endpoint": self.url + _ROUTE, "key": KEY, "project": PROJECT}

    def reset(
        self, latency: float = 0.0, *, file_latency: float = 0.0, budget: int | None = None, window: float = 60.0
    ) -> None:
        """Forget what was seen, and answer like this from now on."""
        terms = {"latency": latency, "file_latency": file_latency, "budget": budget, "window": window}
        urllib.request.urlopen(f"{self.url}/reset", json.dumps(terms).encode()).close()  # noqa: S310 - our own server

    def seen(self) -> dict[str, Any]:
        """Return how many calls came, how many in one window at `most`, how many were `refused`, and when each came."""
        with urllib.request.urlopen(f"{self.url}/seen") as response:  # noqa: S310 - our own server
            return dict(json.load(response))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._process.communicate()


class _Answers:
    """Which response each request gets."""

    def __init__(self, assets: Assets, *, compressed: bool) -> None:
        self.assets, self.compressed = assets, compressed
        self.page = functools.lru_cache(_CACHED)(self._page)
        self.introspection = functools.lru_cache(self._introspection)
        self.reset()

    def reset(
        self, latency: float = 0.0, file_latency: float = 0.0, budget: int | None = None, window: float = 60.0
    ) -> None:
        self.latency, self.file_latency, self.budget, self.window = latency, file_latency, budget, window
        self.log: deque[float] = deque()
        self.times: list[float] = []
        self.files = self.most = self.refused = 0

    def answer(self, path: str, body: bytes, now: float) -> tuple[float, int, bytes, bool]:
        """Return when to answer, the status, the body, and whether it is compressed."""
        if path == _ROUTE:
            return self._call(body, now)
        if path.startswith("/answers/"):
            self.files += 1
            return now + self.file_latency, 200, _ANSWER, False
        if path.startswith(("/files/", "/store/")):
            self.files += 1
            return now + self.file_latency, 200, b"" if body else _PICTURE, False
        return now, *self._aside(path, body), False

    def _aside(self, path: str, body: bytes) -> tuple[int, bytes]:
        if path == "/reset":
            self.reset(**json.loads(body))
            return 200, b"{}"
        if path == "/seen":
            seen = {"calls": len(self.times), "most": self.most, "refused": self.refused, "times": self.times}
            return 200, json.dumps(seen | {"files": self.files}).encode()
        return (200, b'{"version":"benchmark"}') if path.endswith("/version") else (404, b"{}")

    def _call(self, body: bytes, now: float) -> tuple[float, int, bytes, bool]:
        while self.log and self.log[0] <= now - self.window:
            self.log.popleft()
        self.log.append(now)
        self.times.append(now)
        self.most = max(self.most, len(self.log))
        if self.budget is not None and len(self.log) > self.budget:
            self.refused += 1
            return now, 429, b"{}", False
        content = json.loads(body)
        text, packed = self._said(content["query"], content.get("variables") or {})
        return now + self.latency, 200, text, packed

    def _said(self, query: str, variables: dict[str, Any]) -> tuple[bytes, bool]:
        where = variables.get("where", {})
        if "data: assets(" in query:
            if where.get("idIn") is not None:
                return self.assets.named(where["idIn"][variables["skip"] :][: variables["first"]]), False
            if where.get("externalIdStrictlyIn") is not None:
                return b'{"data":{"data":[]}}', False
            return self.page(variables["skip"], variables["first"]), self.compressed
        if "__schema" in query:
            return self.introspection(query), False
        if "viewer" in query:
            return b'{"data":{"viewer":{"id":"u","email":"a@example.com"},"data":{"email":"a@example.com"}}}', False
        return _encoded(next(make(self, variables, where) for name, make in _SAID.items() if name in query)), False

    def _page(self, skip: int, first: int) -> bytes:
        body = self.assets.page(skip, first)
        return gzip.compress(body, 6, mtime=0) if self.compressed else body

    @staticmethod
    def _introspection(query: str) -> bytes:
        from graphql import graphql_sync  # noqa: PLC0415 - only some need it

        from pandas_kili.sandbox.schema import schema_of  # noqa: PLC0415 - only some need it

        return json.dumps({"data": graphql_sync(schema_of("current"), query).data}).encode()

    def count(self, where: dict[str, Any]) -> int:
        """Return how many match: all, the ids asked for, or none of the new names."""
        if where.get("idIn") is not None:
            return len(where["idIn"])
        return 0 if where.get("externalIdStrictlyIn") is not None else self.assets.count


_ANSWER, _PICTURE = answer(), picture()
_PROJECT = {
    "id": PROJECT,
    "inputType": "IMAGE",
    "jsonInterface": {"jobs": {}},
    "steps": [],
    "workflowVersion": "V3",
    "dataConnections": [],
}
Make = Callable[[_Answers, dict[str, Any], dict[str, Any]], Any]
_SAID: dict[str, Make] = {
    "createUploadBucketSignedUrls(": lambda answers, variables, __: {
        "urls": [f"{answers.assets.url}/store/{path}?signed=1&id={path}" for path in next(iter(variables.values()))]
    },
    "countOrganizations(": lambda *_: {"data": 1},
    "organizations(": lambda *_: {"data": [{"license": {"uploadLocalData": True}}]},
    "countAssets(": lambda answers, _, where: {"data": answers.count(where)},
    "apiKeys(": lambda *_: {"data": [{"expiryDate": "2099-01-01T00:00:00.000Z"}]},
    "projects(": lambda *_: {"data": [_PROJECT]},
    "filterExistingAssets(": lambda *_: {"external_ids": []},
    "updatePropertiesInAssets(": lambda _, variables, __: {"data": variables["whereArray"]},
    "addAssetsToReview(": lambda _, __, where: {"data": _outcome(where["idIn"])},
    "appendManyAssetsAsynchronously(": lambda *_: {"data": {"id": "notification"}},
    "appendManyAssets(": lambda _, variables, __: {"data": [{"id": one} for one in variables["data"]["idArray"]]},
}


def _outcome(asset_ids: list[str]) -> dict[str, Any]:
    succeeded = [{"assetId": one, "externalId": f"asset-{int(one[1:])}"} for one in asset_ids]
    return {"succeeded": succeeded, "declined": [], "failed": []}


def _encoded(data: dict[str, Any]) -> bytes:
    return json.dumps({"data": data}, separators=(",", ":")).encode()


class _Connection(asyncio.Protocol):
    """One connection, kept open; one request at a time."""

    def __init__(self, answers: _Answers) -> None:
        self.answers = answers
        self.loop = asyncio.get_running_loop()
        self.received = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Answer once a request is whole."""
        self.received += data
        head, found, rest = self.received.partition(b"\r\n\r\n")
        if not found:
            return
        lines = bytes(head).decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
        if len(rest) < int(headers.get("content-length", 0)):
            return
        self.received.clear()
        body = gzip.decompress(rest) if headers.get("content-encoding") == "gzip" else bytes(rest)
        when, status, text, packed = self.answers.answer(lines[0].split()[1], body, self.loop.time())
        if when <= self.loop.time():
            self.write(status, text, packed)
        else:
            self.loop.call_at(when, self.write, status, text, packed)

    def write(self, status: int, body: bytes, packed: bool) -> None:
        """Send an answer."""
        encoding = "Content-Encoding: gzip\r\n" if packed else ""
        head = (
            f"HTTP/1.1 {status} {_REASONS[status]}\r\nContent-Type: application/json\r\n{encoding}"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        if not self.transport.is_closing():
            self.transport.write(head.encode() + body)


async def _serve(kind: Kind, count: int, *, compressed: bool) -> None:
    loop = asyncio.get_running_loop()
    answers = _Answers(Assets(kind, count), compressed=compressed)
    server = await loop.create_server(lambda: _Connection(answers), "127.0.0.1", 0, backlog=1024)
    answers.assets.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    print(answers.assets.url, flush=True)
    await loop.run_in_executor(None, sys.stdin.read)  # until the process that started it closes the pipe


if __name__ == "__main__":
    asyncio.run(_serve(sys.argv[1], int(sys.argv[2]), compressed=sys.argv[3] == "1"))  # type: ignore[arg-type]
