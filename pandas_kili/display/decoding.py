"""PDFs and videos as pictures: each is decoded in its own process, with limits of time and memory."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal

from pandas_kili.display.thumbnails import LARGEST_SIDE, NotShownError, Picture, picture

StillKind = Literal["page", "frame"]

_PROGRAM = Path(__file__).with_name("decoder.py")
_SECONDS = 20.0  # for one medium
_MEMORY = 2**30  # bytes that one medium may take
_GLANCE = 0.05
_AT_ONCE = threading.BoundedSemaphore(min(4, os.cpu_count() or 1))
_NEEDED: dict[StillKind, str] = {"page": "pypdfium2", "frame": "av"}
_NAMES: dict[StillKind, str] = {"page": "a PDF document", "frame": "a video"}
_EXTRA = "pip install 'pandas-kili[preview]'"


@dataclass(frozen=True)
class Still:
    """The page of a document, or the frame of a video, that is shown.

    Attributes
    ----------
    kind : {"page", "frame"}
    number : int, optional
        Pages count from 1, frames from 0; by default the first.
    rate : float, optional
        Frames a second by which frames are numbered; by default the video's own.
    """

    kind: StillKind
    number: int | None = None
    rate: float | None = None

    def check(self) -> None:
        """Raise if its decoder is not installed."""
        if any(importlib.util.find_spec(name) is None for name in (_NEEDED[self.kind], "PIL")):
            raise NotShownError(f"{_NAMES[self.kind]}, which {_EXTRA} draws")


def still_kind(data: bytes) -> StillKind | None:
    """Return whether a file shows as a page or a frame, by its first bytes; None if it is neither PDF nor video."""
    if b"%PDF-" in data[:1024]:
        return "page"
    is_video = data[4:8] in {b"ftyp", b"moov", b"mdat"} or data[:4] == b"\x1aE\xdf\xa3"
    return "frame" if is_video or (data[:4] == b"RIFF" and data[8:12] == b"AVI ") else None


def decoded(source: bytes | Path, still: Still, budget: int, stop: threading.Event) -> tuple[Picture, str]:
    """Return a page or frame as a picture of about `budget` bytes, and a note that says which it is.

    Raises
    ------
    NotShownError
        If it cannot be shown.
    """
    pixmap, note = drawn(source, still, LARGEST_SIDE, stop)
    return picture(pixmap, budget), note


def drawn(source: bytes | Path, still: Still, side: int, stop: threading.Event | None = None) -> tuple[bytes, str]:
    """Return a page or frame as a pixmap, the longer side of so many pixels, and a note that says which it is.

    Raises
    ------
    NotShownError
        If it cannot be shown.
    """
    still.check()
    with _AT_ONCE:
        told, _, pixmap = _output(source, still, side, stop or threading.Event()).partition(b"\n")
    head = json.loads(told or b"{}")
    if "note" not in head:
        raise NotShownError(head.get("reason", f"{_NAMES[still.kind]} that is damaged, or takes too much memory"))
    return pixmap, head["note"]


def _output(source: bytes | Path, still: Still, side: int, stop: threading.Event) -> bytes:
    """Return the output of the program, which is ended if it takes too long."""
    order = {
        "kind": still.kind,
        "number": still.number,
        "rate": still.rate,
        "side": side,
        "memory": _MEMORY,
    }
    until = time.monotonic() + _SECONDS
    with (
        _opened(source) as file,
        subprocess.Popen(  # noqa: S603 - this Python, and a program of ours
            [sys.executable, "-P", os.fspath(_PROGRAM), json.dumps(order)],
            stdin=file,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={name: value for name, value in os.environ.items() if not name.startswith("KILI_")},
        ) as process,
    ):
        try:
            while time.monotonic() < until:
                if stop.is_set():
                    raise NotShownError("it did not come in time")
                with contextlib.suppress(subprocess.TimeoutExpired):
                    return process.communicate(timeout=_GLANCE)[0]
            raise NotShownError(f"{_NAMES[still.kind]} that takes too long to decode")
        finally:
            process.kill()


@contextlib.contextmanager
def _opened(source: bytes | Path) -> Iterator[IO[bytes]]:
    """Give the medium as an open file: what goes through a pipe is lost once `communicate` has timed out."""
    with source.open("rb") if isinstance(source, Path) else tempfile.TemporaryFile() as file:
        if isinstance(source, bytes):
            file.write(source)
            file.seek(0)
        yield file
