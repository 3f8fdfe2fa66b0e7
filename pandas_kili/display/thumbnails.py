"""Pictures small enough for a page: thumbnails with Pillow, small originals without it."""

from __future__ import annotations

import base64
import importlib.util
import io
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import imagesize
import numpy as np

if TYPE_CHECKING:
    from PIL.Image import Image

# The first bytes of files that browsers show.
_MARKS = ((b"\x89PNG\r\n", "image/png"), (b"\xff\xd8\xff", "image/jpeg"), (b"GIF8", "image/gif"))
_LARGEST_ORIGINAL = 200_000  # bytes; without Pillow, pictures cannot be made smaller
_STEPS = ((960, 82), (800, 78), (640, 75), (512, 72), (416, 68), (320, 62), (256, 55), (192, 45), (128, 35))
LARGEST_SIDE = _STEPS[0][0]
"""Pixels of the longer side of the largest thumbnails."""

_ORIENTATION = 0x0112
_DEEP_MODES = ("I", "F")
_PIXELS_A_BYTE = 12  # of photographs; larger sizes take time and rarely fit


class NotShownError(Exception):
    """A medium cannot be shown; the text says why."""


@dataclass(frozen=True)
class Picture:
    """A picture for a page.

    Attributes
    ----------
    uri : str
        The bytes, as a ``data:`` URI.
    width, height : int
        Size of the original in pixels, in the orientation that is shown.
    """

    uri: str
    width: int
    height: int


def picture(data: bytes, budget: int) -> Picture:
    """Return a picture of at most about `budget` bytes.

    Raises
    ------
    NotShownError
        If it cannot be shown.
    """
    if importlib.util.find_spec("PIL") is not None:
        return _thumbnail(data, budget)
    type_ = _type_of(data)
    if type_ is None:
        raise NotShownError("browsers do not show this type of file; pip install 'pandas-kili[preview]' does")
    if len(data) > _LARGEST_ORIGINAL:
        raise NotShownError("it is large; pip install 'pandas-kili[preview]' makes thumbnails")
    width, height = imagesize.get(io.BytesIO(data))
    if min(width, height) <= 0:
        raise NotShownError("the file is damaged")
    return Picture(_uri(data, type_), width, height)


def _thumbnail(data: bytes, budget: int) -> Picture:
    from PIL import Image, ImageOps, UnidentifiedImageError  # noqa: PLC0415 - an optional dependency

    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        try:
            opened = Image.open(io.BytesIO(data))
        except UnidentifiedImageError:
            raise NotShownError("it is not a picture that can be read") from None
        except (Image.DecompressionBombError, Image.DecompressionBombWarning):
            raise NotShownError("it has too many pixels") from None
    with opened:
        size, orientation, type_ = opened.size, opened.getexif().get(_ORIENTATION, 1), _type_of(data)
        upright = size if orientation < 5 else size[::-1]  # noqa: PLR2004 - from 5 on, turned by a quarter
        if type_ and orientation == 1 and len(data) <= budget:
            opened.load()  # raises now if the file is damaged
            return Picture(_uri(data, type_), *upright)
        steps = [step for step in _STEPS if step[0] ** 2 <= _PIXELS_A_BYTE * budget] or _STEPS[-1:]
        longest = steps[0][0]
        opened.draft(None, (2 * longest, 2 * longest))  # halves the work for large JPEG files
        shrunk = ImageOps.exif_transpose(_displayable(opened, longest))
        return Picture(_encoded(shrunk, budget, steps), *upright)


def _displayable(image: Image, side: int) -> Image:
    """Return a picture of eight bits a channel, no larger than needed."""
    if image.mode.startswith(_DEEP_MODES):
        image = _in_eight_bits(image)
    elif image.mode not in {"L", "RGB", "RGBA"}:
        image = image.convert("RGBA" if image.mode in {"P", "PA", "LA", "La", "RGBa"} else "RGB")
    image.thumbnail((side, side))
    return image


def _in_eight_bits(image: Image) -> Image:
    """Stretch the values of scans and measurements to 0 to 255."""
    from PIL import Image as images  # noqa: N813, PLC0415 - the module beside its class

    values = np.nan_to_num(np.asarray(image, np.float64), posinf=0.0, neginf=0.0)
    span = np.ptp(values) or 1.0
    gray = images.fromarray(((values - values.min()) / span * 255).round().astype(np.uint8))
    gray.getexif()[_ORIENTATION] = image.getexif().get(_ORIENTATION, 1)
    return gray


def _encoded(image: Image, budget: int, steps: Sequence[tuple[int, int]]) -> str:
    """Return the largest of some sizes that fits the budget, else the smallest."""
    for side, quality in steps:
        image.thumbnail((side, side))
        file = io.BytesIO()
        image.save(file, "WEBP", quality=quality, method=3)
        if file.tell() <= budget:
            break
    return _uri(file.getvalue(), "image/webp")


def _type_of(data: bytes) -> str | None:
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    return next((type_ for mark, type_ in _MARKS if data.startswith(mark)), None)


def is_displayable(data: bytes) -> bool:
    """Return whether bytes begin like a picture that every browser shows."""
    return _type_of(data) is not None


def _uri(data: bytes, type_: str) -> str:
    return f"data:{type_};base64,{base64.b64encode(data).decode()}"
