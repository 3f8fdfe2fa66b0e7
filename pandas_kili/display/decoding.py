"""PDFs and videos as pictures: each medium is decoded in its own process, with limits of time and memory."""

from __future__ import annotations

import contextlib
import importlib.util
import itertools
import json
import math
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal, Self

from pandas_kili.display.thumbnails import LARGEST_SIDE, NotShownError, Picture, picture

StillKind = Literal["page", "frame"]

_PROGRAM = Path(__file__).with_name("decoder.py")
_SECONDS = 20.0  # for one picture
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
    (told,) = drawn_each(source, [still], LARGEST_SIDE, stop)
    if isinstance(told, NotShownError):
        raise told
    pixmap, note = told
    return picture(pixmap, budget), note


def drawn_each(
    source: bytes | Path,
    stills: Sequence[Still],
    side: int,
    stop: threading.Event | None = None,
    seconds: float | None = None,
) -> Generator[tuple[bytes, str] | NotShownError]:
    """Yield pages or frames of one medium as pixmaps, each with a note that says which it is, or why there is none.

    One process draws them all, and no more than two of them are in memory. It ends when the generator is closed.

    Parameters
    ----------
    source : bytes or Path
        The document or video.
    stills : sequence of Still
        Of one kind and rate; the numbers of frames ascend.
    side : int
        Pixels of the longer side.
    stop : Event, optional
        Set by others once they wait no more.
    seconds : float, optional
        How long each picture may take; by default as long as people wait for a gallery.
    """
    first = stills[0]
    try:
        first.check()
    except NotShownError as error:
        yield from itertools.repeat(error, len(stills))
        return
    order = {
        "kind": first.kind,
        "numbers": [still.number for still in stills],
        "rate": first.rate,
        "side": side,
        "memory": _MEMORY,
    }
    with _AT_ONCE, _started(order, source) as process, _Watch(process, _NAMES[first.kind], stop) as watch:
        for _ in stills:
            yield watch.next_picture(_SECONDS if seconds is None else seconds)


@contextlib.contextmanager
def _started(order: dict[str, Any], source: bytes | Path) -> Iterator[subprocess.Popen[bytes]]:
    """Give the process that draws; it is ended at the end."""
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
            yield process
        finally:
            process.kill()


class _Watch:
    """Reads the pictures of a process, and ends it where one of them takes too long."""

    def __init__(self, process: subprocess.Popen[bytes], name: str, stop: threading.Event | None) -> None:
        self._process = process
        self._name = name
        self._stop = stop or threading.Event()
        self._until = math.inf  # while a picture is waited for, the time when it is late
        self._over = threading.Event()
        self._reason = f"{name} that is damaged, or takes too much memory"
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def next_picture(self, seconds: float) -> tuple[bytes, str] | NotShownError:
        """Return the next pixmap and its note, or why there is none."""
        output = self._process.stdout
        assert output is not None  # noqa: S101 - it was asked for
        self._until = time.monotonic() + seconds
        line = output.readline()
        said = json.loads(line) if line.endswith(b"\n") else {}
        pixmap = output.read(said.get("bytes", 0))
        self._until = math.inf
        if "note" in said and len(pixmap) == said["bytes"]:
            return pixmap, said["note"]
        return NotShownError(said.get("reason", self._reason))

    def _look(self) -> None:
        while not self._over.wait(_GLANCE):
            if self._stop.is_set():
                self._reason = "it did not come in time"
            elif time.monotonic() > self._until:
                self._reason = f"{self._name} that takes too long to decode"
            else:
                continue
            self._process.kill()
            return


@contextlib.contextmanager
def _opened(source: bytes | Path) -> Iterator[IO[bytes]]:
    """Give the medium as an open file, in which decoders can go back."""
    with source.open("rb") if isinstance(source, Path) else tempfile.TemporaryFile() as file:
        if isinstance(source, bytes):
            file.write(source)
            file.seek(0)
        yield file
