"""What Kili computes of an uploaded file: resolutions of images, pages and videos, and the duration of videos."""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING, Any

import imagesize

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["measured"]


def measured(input_type: str, path: Path) -> dict[str, Any]:
    """Return the columns of an asset that follow from its file; none where the file cannot be read.

    Pages need pypdfium2 and videos PyAV, which ``pandas-kili[preview]`` installs. Pages are measured in points.
    """
    measure = {"IMAGE": _image, "PDF": _pages, "VIDEO": _video}.get(input_type)
    return measure(path) if measure else {}


def _image(path: Path) -> dict[str, Any]:
    width, height = imagesize.get(path)
    return _resolution(width, height) if width > 0 else {}


def _pages(path: Path) -> dict[str, Any]:
    try:
        import pypdfium2  # noqa: PLC0415 - an optional dependency

        with contextlib.closing(pypdfium2.PdfDocument(path)) as document:
            pages = [_page(number, page) for number, page in enumerate(document, start=1)]
    except (ImportError, RuntimeError, ValueError):  # pypdfium2's own error is a RuntimeError
        return {}
    return {"pageResolutions": json.dumps(pages)}


def _page(number: int, page: Any) -> dict[str, Any]:
    return {
        "pageNumber": number,
        "width": page.get_width(),
        "height": page.get_height(),
        "rotation": page.get_rotation(),
    }


def _video(path: Path) -> dict[str, Any]:
    try:
        import av  # noqa: PLC0415 - an optional dependency

        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            seconds = round(float(container.duration or 0) / av.time_base)
            return _resolution(stream.width, stream.height) | {"duration": seconds}
    except (ImportError, OSError, LookupError, ValueError):
        return {}


def _resolution(width: float, height: float) -> dict[str, Any]:
    return {"resolution": json.dumps({"width": width, "height": height})}
