"""Assets as the service gives them, as many as are wanted, each encoded once or put together when asked for."""

from __future__ import annotations

import datetime as dt
import json
import random
from typing import Any, Literal

Kind = Literal["labelled", "plain", "behind", "two behind", "files"]
PROJECT = "cbenchmark000000000000000"
_POOL = 1000
_START = dt.datetime(2024, 1, 1, tzinfo=dt.UTC)


class Assets:
    """So many assets of one kind.

    Those of `labelled` have one or two labels, those of `behind` one and of `two behind` two, with answers behind URLs.
    """

    def __init__(self, kind: Kind, count: int, url: str = "") -> None:
        self.kind, self.count, self.url = kind, count, url
        rng = random.Random(5)
        self._pool = [_encoded(_body(rng, kind, number)) for number in range(_POOL)]

    def page(self, skip: int, first: int) -> bytes:
        """Return the body of the answer for a window."""
        return _body_of([self.encoded(number) for number in range(skip, min(skip + first, self.count))])

    def named(self, asset_ids: list[str]) -> bytes:
        """Return the body of the answer for some ids."""
        return _body_of([self.encoded(int(asset_id[1:])) for asset_id in asset_ids])

    def encoded(self, number: int) -> bytes:
        """Return one asset as JSON."""
        created = (_START + dt.timedelta(seconds=number)).isoformat(timespec="milliseconds")[:-6]
        head = f'{{"id":"{asset_id(number)}","externalId":"asset-{number}","createdAt":"{created}Z",'
        body = self._pool[number % _POOL]
        if self.kind == "files":
            body = body.replace(b"https://storage.googleapis.com/label-public/benchmark", f"{self.url}/files".encode())
        if self.kind.endswith("behind"):
            body = body.replace(b"URL", f"{self.url}/answers/{number}".encode())
        return head.encode() + body


def asset_id(number: int) -> str:
    """Return the id of an asset, as long as the service's own."""
    return f"c{number:024}"


def picture() -> bytes:
    """Return 50 kB that begin as a JPEG does."""
    return b"\xff\xd8\xff\xe0" + random.Random(9).randbytes(50_000)


def answer() -> bytes:
    """Return an answer that lies behind a URL."""
    return json.dumps(_response(random.Random(7), boxes=12)).encode()


def _body_of(assets: list[bytes]) -> bytes:
    return b'{"data":{"data":[' + b",".join(assets) + b"]}}"


def _encoded(body: dict[str, Any]) -> bytes:
    return json.dumps(body, separators=(",", ":")).encode()[1:]


def _body(rng: random.Random, kind: Kind, number: int) -> dict[str, Any]:
    body = {
        "content": f"https://storage.googleapis.com/label-public/benchmark/{rng.getrandbits(64):x}.jpg",
        "isHoneypot": False,
        "jsonMetadata": json.dumps({"camera": rng.choice("abcdef"), "frame": number}),
        "priority": rng.randrange(10),
        "skipped": False,
        "status": rng.choice(["TODO", "ONGOING", "LABELED", "TO_REVIEW", "REVIEWED"]),
    }
    if kind in {"plain", "files"}:
        return body
    count = {"labelled": 1 + number % 2, "behind": 1, "two behind": 2}[kind]
    return body | {"labels": [_label(rng, place, behind=kind.endswith("behind")) for place in range(count)]}


def _label(rng: random.Random, place: int, *, behind: bool) -> dict[str, Any]:
    author = rng.randrange(20)
    return {
        "author": {"id": f"user-{author:024}", "email": f"labeler.{author}@example.com"},
        "createdAt": f"2024-05-{rng.randrange(1, 29):02}T12:{rng.randrange(60):02}:00.{rng.randrange(1000):03}Z",
        "id": f"l{rng.getrandbits(80):024}",
        "jsonResponse": "{}" if behind else json.dumps(_response(rng, boxes=rng.choice([2, 2, 3]))),
        "jsonResponseUrl": f"URL?label={place}" if behind else None,
        "labelType": "DEFAULT",
    }


def _response(rng: random.Random, boxes: int) -> dict[str, Any]:
    return {"JOB_0": {"annotations": [_box(rng) for _ in range(boxes)]}}


def _box(rng: random.Random) -> dict[str, Any]:
    left, top = round(rng.random() / 2, 6), round(rng.random() / 2, 6)
    right, bottom = round(left + rng.random() / 2, 6), round(top + rng.random() / 2, 6)
    corners = [(left, bottom), (left, top), (right, top), (right, bottom)]
    return {
        "children": {},
        "boundingPoly": [{"normalizedVertices": [{"x": x, "y": y} for x, y in corners]}],
        "categories": [{"name": rng.choice(["CAR", "BUS", "BICYCLE"])}],
        "mid": f"2024050112{rng.randrange(10**7)}-{rng.randrange(10**5)}",
        "type": "rectangle",
    }
