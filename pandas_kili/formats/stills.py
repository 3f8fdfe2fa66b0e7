"""Pages of documents and frames of videos, which are drawn."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.util
import io
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pandas_kili.errors import KiliValidationError
from pandas_kili.media import EXTENSIONS

if TYPE_CHECKING:
    from PIL import Image

_LARGEST_SIDE = 2**16  # pixels: frames are never drawn larger than they are
_QUALITY = 95  # of JPEG
_PIXELS_PER_POINT = 2  # 144 pixels an inch, where the server does not say how large a page is


def page_sizes(document: Path | None, resolutions: Iterable[Mapping[str, Any]]) -> dict[int, tuple[int, int]]:
    """Return width and height in pixels of pages, which count from 1: as the server says, else measured."""
    said = {
        int(each["pageNumber"]): (round(each["width"]), round(each["height"]))
        for each in resolutions
        if None not in (each.get("pageNumber"), each.get("width"), each.get("height"))
    }
    if said or document is None or importlib.util.find_spec("pypdfium2") is None:
        return said
    import pypdfium2  # noqa: PLC0415 - an optional dependency

    with contextlib.suppress(pypdfium2.PdfiumError), contextlib.closing(pypdfium2.PdfDocument(document)) as opened:
        sizes = (opened.get_page_size(number) for number in range(len(opened)))
        return {
            number: (round(width * _PIXELS_PER_POINT), round(height * _PIXELS_PER_POINT))
            for number, (width, height) in enumerate(sizes, 1)
        }
    return {}


@dataclasses.dataclass(frozen=True)
class Drawing:
    """A picture that is no file, but drawn: the page of a document, or the frame of a video.

    Attributes
    ----------
    source : Path
    kind : {"page", "frame"}
    number : int
        Pages count from 1, frames from 0.
    rate : float, optional
        Frames a second by which frames are numbered; by default the video's own.
    """

    source: Path
    kind: Literal["page", "frame"]
    number: int
    rate: float | None = None

    def image(self, size: tuple[int, int]) -> Image.Image:
        """Return the picture in a size, or in its own if that is 0.

        Raises
        ------
        KiliValidationError
            If it cannot be drawn.
        """
        from pandas_kili.display import NotShownError, Still, drawn  # noqa: PLC0415 - what draws costs time to import

        try:
            pixmap, _ = drawn(self.source, Still(self.kind, self.number, self.rate), max(size) or _LARGEST_SIDE)
        except NotShownError as error:
            raise KiliValidationError(f"{self.kind} {self.number} of {self.source} is not drawn: {error}.") from None
        from PIL import Image  # noqa: PLC0415 - an optional dependency

        with Image.open(io.BytesIO(pixmap)) as image:
            return image.resize(size) if min(size) > 0 else image.copy()

    def write(self, size: tuple[int, int], target: Path) -> None:
        """Write the picture in a size to a file."""
        self.image(size).save(target, quality=_QUALITY)


def is_video(source: Path | None) -> bool:
    """Return whether a file is a video, by its extension."""
    return source is not None and EXTENSIONS.get(source.suffix.lower(), "").startswith("video/")


def played_rate(json_metadata: Any) -> float | None:
    """Return the frames a second at which Kili plays a video, out of its metadata; None for the video's own."""
    from pandas_kili.display import rate_of  # noqa: PLC0415 - as above

    return rate_of(json_metadata if isinstance(json_metadata, str) else None)
