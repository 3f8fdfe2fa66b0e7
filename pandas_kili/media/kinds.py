"""What projects take: one row per input type, and how imports are asked for that end after their response."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

Generation = Literal["legacy", "current"]
"""Of the API: the one with ``appendManyToDataset``, or the one with ``appendManyAssets``."""

JPEG, PNG, TIFF, JP2, NITF = "image/jpeg", "image/png", "image/tiff", "image/jp2", "application/vnd.nitf"
JSON, TEXT, MP4 = "application/json", "text/plain", "video/mp4"

# The extensions are those that 26.2.4 of the official SDK lets through (services/asset_import/constants.py); it takes
# the content types from `mimetypes`, which differ from machine to machine.
_IMAGES = {
    ".jpg": JPEG,
    ".jpeg": JPEG,
    ".png": PNG,
    ".bmp": "image/bmp",
    ".gif": "image/gif",
    ".webp": "image/webp",
    ".ico": "image/vnd.microsoft.icon",
    ".tif": TIFF,
    ".tiff": TIFF,
    ".jp2": JP2,
    ".ntf": NITF,
    ".nitf": NITF,
}
_MAPS = {".tif": TIFF, ".tiff": TIFF, ".jp2": JP2, ".ntf": NITF, ".nitf": NITF, ".r0": NITF}
_VIDEOS = {
    ".mp4": MP4,
    ".mkv": "video/x-matroska",
    ".3gp": "video/3gpp",
    ".avi": "video/x-msvideo",
    ".m4v": "video/x-m4v",
    ".mov": "video/quicktime",
    ".webm": "video/webm",
}
_SOUNDS = {".flac": "audio/x-flac", ".mp3": "audio/mpeg", ".mp4": MP4, ".wav": "audio/x-wav"}


@dataclass(frozen=True)
class Kind:
    """What the files of one type of project may be.

    Attributes
    ----------
    types
        Content type by extension.
    families
        What bytes may turn out to be: beginnings of content types.
    slot
        Where the content goes below the path of its asset.
    """

    types: Mapping[str, str] = field(default_factory=dict)
    families: tuple[str, ...] = ()
    slot: str = "content"


_VIDEO = Kind(_VIDEOS, ("video/", "audio/mp4"))
_IMAGE_FAMILIES = ("image/", NITF)

KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        "AUDIO": Kind(_SOUNDS, ("audio/", "video/")),
        "GEOSPATIAL": Kind(_MAPS, _IMAGE_FAMILIES, slot="content.tif"),
        "IMAGE": Kind(_IMAGES, _IMAGE_FAMILIES),
        "LLM_RLHF": Kind({".json": JSON}, (JSON, "text/")),
        "PDF": Kind({".pdf": "application/pdf"}, ("application/pdf",)),
        "TEXT": Kind({".txt": TEXT, ".csv": "text/csv"}, ("text/",)),
        "TIME_SERIES": Kind({".csv": "text/csv"}, ("text/",)),
        "VIDEO": _VIDEO,
        "VIDEO_LEGACY": _VIDEO,
    }
)
"""By input type; the others take no files, only URLs."""

EXTENSIONS: Mapping[str, str] = MappingProxyType(
    {extension: type_ for kind in KINDS.values() for extension, type_ in kind.types.items()}
)

# These begin in a way that cannot be mistaken; a file that does not begin so is not what its name says.
UNMISTAKABLE = frozenset({JPEG, PNG, TIFF, "image/bmp", "image/gif", "image/webp", "application/pdf"})

# Images from here on are cut into tiles: services/asset_import/constants.py and core/constants.py of the official
# SDK, 26.2.4. Of the last generation, 2.130.0 knows the size in bytes and TIFF only.
LARGE_IMAGE_BYTES = 30 * 2**20
LARGE_IMAGE_SIDE = 10_000
TILED_TYPES: Mapping[Generation, frozenset[str]] = MappingProxyType(
    {"legacy": frozenset({TIFF}), "current": frozenset({TIFF, JP2, NITF})}
)
TILED_UPLOAD: Mapping[Generation, str] = MappingProxyType({"legacy": "GEO_SATELLITE", "current": "TILED_IMAGE"})
MAP_UPLOAD = "GEO_SATELLITE"

# services/asset_import/video.py of 2.130.0; 26.2.4 sends what the user gave and no more.
VIDEO_PARAMETERS = MappingProxyType(
    {"shouldKeepNativeFrameRate": True, "framesPlayedPerSecond": 30, "shouldUseNativeVideo": True}
)
FRAMES_PARAMETERS = MappingProxyType(
    {"shouldKeepNativeFrameRate": False, "framesPlayedPerSecond": 30, "shouldUseNativeVideo": False}
)


def video_upload(generation: Generation, *, native: bool) -> str | None:
    """Return the upload type of a video that is kept as it is, or cut into frames; None for an import at once."""
    if generation == "legacy":
        return None if native else "VIDEO"
    return "NATIVE_VIDEO" if native else "FRAME_VIDEO"
