"""What the content of an asset is made of: files to store, URLs to register."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple


@dataclass(frozen=True)
class File:
    """Bytes to store in the bucket.

    Attributes
    ----------
    slot
        Path below that of the asset: ``content``, ``jsonContent``, ``frame/3``, ``content/0.tif``.
    source
        The bytes, or where they are.
    content_type
        As Kili is to serve them.
    size
        In bytes.
    """

    slot: str
    source: bytes | Path
    content_type: str
    size: int


@dataclass(frozen=True)
class Layer:
    """One file of an asset of several: its name, and its URL or the slot that will be stored."""

    place: str
    name: str | None = None


class Medium(NamedTuple):  # there is one a row: a tuple is made in a third of the time of a frozen dataclass
    """What the content of one row becomes.

    Attributes
    ----------
    content
        URL to register, or an empty text; `Uploads` fills in that of a stored file.
    json_content
        URL or text to register, or an empty text.
    files
        To be stored first.
    upload_type
        For imports that end after their answer: Kili's ``uploadType``; None for an import at once.
    metadata
        Entries to be set in the metadata of the asset.
    layers
        Of an asset made of several files, from the lowest.
    frames
        Of a video made of pictures, in their order: a URL, or the slot that will be stored.
    """

    content: str = ""
    json_content: str = ""
    files: tuple[File, ...] = ()
    upload_type: str | None = None
    metadata: Mapping[str, Any] | None = None
    layers: tuple[Layer, ...] = ()
    frames: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        """Bytes to store."""
        return sum(file.size for file in self.files)

    @property
    def is_local(self) -> bool:
        """Whether the license must allow data of one's own: rich text does not count, as in the official SDK."""
        return any(file.slot != "jsonContent" for file in self.files)
