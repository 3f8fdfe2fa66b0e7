"""Pages of PDF documents as pictures."""

from __future__ import annotations

import contextlib
import importlib.util
import io
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pandas_kili.errors import KiliValidationError

_EXTRA = "pip install 'pandas-kili[preview]'"
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


def draw_page(document: Path, page: int, size: tuple[int, int], target: Path) -> None:
    """Write a page as a picture of a size.

    Raises
    ------
    KiliValidationError
        If it cannot be drawn.
    """
    from pandas_kili.display import NotShownError, Still, drawn  # noqa: PLC0415 - what draws costs time to import

    try:
        pixmap, _ = drawn(document, Still("page", page), max(size))
    except NotShownError as error:
        raise KiliValidationError(f"page {page} of {document} is not drawn: {error}.") from None
    from PIL import Image  # noqa: PLC0415 - an optional dependency

    with Image.open(io.BytesIO(pixmap)) as image:
        image.resize(size).save(target)
