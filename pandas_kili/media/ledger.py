"""The record of a folder of media: which asset each file belongs to, its source, and its size when whole."""

from __future__ import annotations

import hashlib
import itertools
import json
import re
import secrets
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Self
from urllib.parse import parse_qsl, urlencode, urlsplit

from pandas_kili.errors import KiliDownloadError
from pandas_kili.media.names import folded, marked, safe_stem, with_extension

LEDGER_NAME = ".pandas_kili.jsonl"
_PARTIAL = re.compile(r"\.[0-9a-f]{16}\.part")
_ABANDONED = 86_400.0  # seconds without a byte

# Each read signs links again. Without these parameters, a link names its file.
_OF_A_SIGNATURE = ("x-amz-", "x-goog-", "x-ms-")
_SIGNATURE = frozenset(
    {"awsaccesskeyid", "googleaccessid", "expires", "key-pair-id", "policy", "sig", "signature", "token"}
    | {"se", "si", "ske", "skoid", "sks", "skt", "sktid", "skv", "sp", "spr", "sr", "st", "sv"}  # Azure's
)


@dataclass(frozen=True)
class AssetFile:
    """One file of an asset, and the name that it should have.

    Attributes
    ----------
    asset
        Id of the asset.
    name
        ``content``, ``jsonContent``, ``frame/3``.
    stem
        The name of the asset, unchecked; for a frame with its number.
    shared
        Whether another asset wants the same name.
    """

    asset: str
    name: str
    stem: str
    shared: bool = False

    @property
    def key(self) -> tuple[str, str]:
        """What no other file has."""
        return self.asset, self.name

    def names(self, extension: str) -> Iterable[str]:
        """Yield possible names, the best first; those with a mark are never another file's."""
        stem = safe_stem(self.stem)
        whole = with_extension(stem, extension)
        identity = "\0".join((*self.key, self.stem))
        if stem == self.stem and not self.shared:
            yield whole
        yield marked(whole, identity)
        yield marked(whole, identity, 16)


@dataclass(frozen=True)
class _LedgerLine:
    asset: str
    part: str
    file: str
    source: str = ""
    size: int = -1  # of the whole file; negative until it is whole


class Ledger:
    """The record of a folder, kept beside the files.

    A name is claimed in the record before the file is written, so that two assets never share one, in this run or a
    later one. A file counts as whole while its source and size are those of the record. Lines are only added.

    Parameters
    ----------
    folder : Path
        Where the files are; it is created if needed.

    Raises
    ------
    KiliDownloadError
        If files cannot be written to the folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lock = threading.Lock()  # not held while writing: the system appends each line as a whole
        self._token, self._numbers = secrets.token_hex(5), itertools.count()
        self._lines: dict[tuple[str, str], _LedgerLine] = {}
        self._owners: dict[str, tuple[str, str] | None] = {}

    def __enter__(self) -> Self:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            _sweep(self.folder)
            self._owners = {folded(each.name): None for each in self.folder.iterdir()}
            self._file, lines = _opened(self.folder / LEDGER_NAME)
        except OSError as error:
            reason = error.strerror or str(error)
            raise KiliDownloadError(f"Media cannot be stored in {self.folder}: {reason}.") from error
        self._owners[folded(LEDGER_NAME)] = None
        for line in lines:
            self._lines[line.asset, line.part] = line
            self._owners[folded(line.file)] = line.asset, line.part
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def _write(self, line: _LedgerLine) -> None:
        # The line break comes first: a killed process may have left half a line.
        self._file.write(f"\n{json.dumps(vars(line))}".encode())

    def partial(self) -> Path:
        """Return where to write a file until it is whole."""
        return self.folder / f".{self._token}{next(self._numbers):06x}.part"

    def whole(self, part: AssetFile, url: str) -> Path | None:
        """Return the path of a file that is there and whole; None if it must be fetched."""
        line = self._lines.get(part.key)
        if line is None or line.size < 0 or line.source != _source(url):
            return None
        path = self.folder / line.file
        return path if path.is_file() and path.stat().st_size == line.size else None

    def claim(self, part: AssetFile, extension: str) -> Path:
        """Return a path for a file that no other file has."""
        for name in part.names(extension):
            line, place = _LedgerLine(*part.key, name), folded(name)
            with self._lock:
                is_free = self._owners.get(place, part.key) == part.key
                if is_free:
                    self._lines[part.key], self._owners[place] = line, part.key
            if is_free:
                self._write(line)
                return self.folder / name
        raise FileExistsError(f"all names for {part.stem!r} are taken in {self.folder}")

    def record(self, part: AssetFile, path: Path, url: str, size: int) -> None:
        """Record that a file is whole."""
        line = _LedgerLine(*part.key, path.name, _source(url), size)
        self._write(line)
        self._lines[part.key] = line


def _sweep(folder: Path) -> None:
    """Remove what killed processes left; no process writes one file for so long."""
    for path in folder.iterdir():
        if _PARTIAL.fullmatch(path.name) and path.is_file() and time.time() - path.stat().st_mtime > _ABANDONED:
            path.unlink(missing_ok=True)


def _opened(path: Path) -> tuple[IO[bytes], list[_LedgerLine]]:
    """Open the record to add lines, and return the lines that it has."""
    data = path.read_bytes() if path.is_file() else b""
    if path.is_symlink():  # a folder from elsewhere could make us write outside of it: continue in a copy
        path.unlink()
        path.write_bytes(data)
    elif path.exists() and not path.is_file():  # opening a named pipe would wait for ever
        raise FileExistsError(f"{path.name} is not a regular file; move it away")
    return path.open("ab", buffering=0), list(_lines(data))


def _lines(data: bytes) -> Iterator[_LedgerLine]:
    """Yield the lines that can be used: the folder may come from elsewhere, or a process may have been killed."""
    for text in data.splitlines():
        try:
            line = _LedgerLine(**json.loads(text))
        except (ValueError, TypeError, RecursionError):
            continue
        texts = (line.asset, line.part, line.file, line.source)
        if all(isinstance(each, str) for each in texts) and isinstance(line.size, int) and _is_plain(line.file):
            yield line


def _is_plain(name: str) -> bool:
    """Return whether a name stays within its folder."""
    return name not in {"", ".", ".."} and Path(name).name == name and "\\" not in name and "\0" not in name


def _source(url: str) -> str:
    """Return a digest of a URL without its signature: the URL may hold secrets."""
    parts = urlsplit(url)
    kept = sorted(
        (name, value)
        for name, value in parse_qsl(parts.query, keep_blank_values=True)
        if name.lower() not in _SIGNATURE and not name.lower().startswith(_OF_A_SIGNATURE)
    )
    text = f"{parts.scheme}://{parts.netloc}{parts.path}?{urlencode(kept)}"
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:32]
