"""What a folder of media holds: whose each file is, where it came from, and how large it is when whole."""

from __future__ import annotations

import hashlib
import json
import re
import secrets
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qsl, urlencode, urlsplit

from pandas_kili.media.names import folded, marked, safe_stem, with_extension

LEDGER_NAME = ".pandas_kili.jsonl"
_PARTIAL = re.compile(r"\.[0-9a-f]{16}\.part")
_ABANDONED = 86_400.0  # seconds without a byte

# A link is signed anew at every read. What is left without these says which file it is.
_OF_A_SIGNATURE = ("x-amz-", "x-goog-", "x-ms-")
_SIGNATURE = frozenset(
    {"awsaccesskeyid", "googleaccessid", "expires", "key-pair-id", "policy", "sig", "signature", "token"}
    | {"se", "si", "ske", "skoid", "sks", "skt", "sktid", "skv", "sp", "spr", "sr", "st", "sv"}  # Azure's
)


@dataclass(frozen=True)
class AssetFile:
    """One file of an asset, and how it would like to be called.

    Attributes
    ----------
    asset
        Id of the asset.
    name
        ``content``, ``jsonContent``, ``frame/3``.
    stem
        The name of the asset, whatever it is; for a frame with its number.
    shared
        Whether another asset is known to want the same name.
    """

    asset: str
    name: str
    stem: str
    shared: bool = False

    @property
    def key(self) -> tuple[str, str]:
        """What tells it from all others."""
        return self.asset, self.name

    def names(self, extension: str) -> Iterable[str]:
        """Yield names in the order of preference; the marked ones are its own."""
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
    size: int = -1  # of the whole file; negative while it is on its way


class Ledger:
    """The record of a folder, kept beside the files.

    A name is claimed in it before the file is written, so that two assets never share one, in this run or a later one;
    and a file counts as whole where source and size are those that were recorded when it was. Lines are only added.

    Parameters
    ----------
    folder : Path
        Where the files are; made where it is not there.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        _sweep(folder)
        self.folder = folder
        self._lock = threading.Lock()
        self._entries: dict[tuple[str, str], _LedgerLine] = {}
        self._owners: dict[str, tuple[str, str] | None] = {folded(each.name): None for each in folder.iterdir()}
        self._owners[folded(LEDGER_NAME)] = None
        for entry in _read(folder / LEDGER_NAME):
            self._remember(entry)

    def __enter__(self) -> Self:
        path = self.folder / LEDGER_NAME
        if path.is_symlink():  # a folder from elsewhere could have us write outside of it: go on in a copy
            lines = path.read_bytes() if path.is_file() else b""
            path.unlink()
            path.write_bytes(lines)
        self._file = path.open("ab", buffering=0)
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def _remember(self, entry: _LedgerLine) -> None:
        key = entry.asset, entry.part
        self._entries[key] = entry
        self._owners[folded(entry.file)] = key

    def _write(self, entry: _LedgerLine) -> None:
        self._remember(entry)
        # Begun on a line of its own: the one before may have been cut by the end of a process.
        self._file.write(f"\n{json.dumps(vars(entry))}".encode())

    def partial(self) -> Path:
        """Return where to write a file until it is whole."""
        return self.folder / f".{secrets.token_hex(8)}.part"

    def whole(self, part: AssetFile, url: str) -> Path | None:
        """Return where a file is that need not be fetched again, None where it must be."""
        entry = self._entries.get(part.key)
        if entry is None or entry.size < 0 or entry.source != _source(url):
            return None
        path = self.folder / entry.file
        return path if path.is_file() and path.stat().st_size == entry.size else None

    def claim(self, part: AssetFile, extension: str) -> Path:
        """Return where a file is to go, which is no other's place."""
        with self._lock:
            for name in part.names(extension):
                if self._owners.get(folded(name), part.key) == part.key:
                    self._write(_LedgerLine(*part.key, name))
                    return self.folder / name
        raise FileExistsError(f"all names for {part.stem!r} are taken in {self.folder}")

    def record(self, part: AssetFile, path: Path, url: str, size: int) -> None:
        """Remember that a file is whole."""
        with self._lock:
            self._write(_LedgerLine(*part.key, path.name, _source(url), size))


def _sweep(folder: Path) -> None:
    """Remove what a process left that was killed; nobody writes at one file for so long."""
    for path in folder.iterdir():
        if _PARTIAL.fullmatch(path.name) and time.time() - path.stat().st_mtime > _ABANDONED:
            path.unlink(missing_ok=True)


def _read(path: Path) -> Iterable[_LedgerLine]:
    lines = path.read_bytes().splitlines() if path.is_file() else []
    for line in lines:
        try:
            entry = _LedgerLine(**json.loads(line))
        except (ValueError, TypeError):
            continue  # empty, or cut
        # The folder may come from elsewhere; what it says must not lead out of it.
        if _is_plain(entry.file):
            yield entry


def _is_plain(name: Any) -> bool:
    return isinstance(name, str) and name not in {"", ".", ".."} and Path(name).name == name and "\\" not in name


def _source(url: str) -> str:
    """Return what names the file that a URL leads to, without what signs it, as a digest: it may hold secrets."""
    parts = urlsplit(url)
    kept = sorted(
        (name, value)
        for name, value in parse_qsl(parts.query, keep_blank_values=True)
        if name.lower() not in _SIGNATURE and not name.lower().startswith(_OF_A_SIGNATURE)
    )
    text = f"{parts.scheme}://{parts.netloc}{parts.path}?{urlencode(kept)}"
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:32]
