"""Pages of documents and frames of videos, which are drawn."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.util
import io
import itertools
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pandas_kili.errors import KiliValidationError
from pandas_kili.media import EXTENSIONS
from pandas_kili.messages import listed, plural
from pandas_kili.parallel import chunked

_LARGEST_SIDE = 2**16  # pixels: frames are never drawn larger than they are
_SECONDS = 120.0  # for one picture: key frames may be far apart
_QUALITY = 95  # of JPEG
_IN_ONE_GO = 1000  # frames of one process: their numbers are an argument of it
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


def draw(
    drawings: Sequence[Drawing | None],
    sizes: Sequence[tuple[int, int]],
    names: Sequence[str],
    targets: Sequence[str | Path],
) -> None:
    """Draw pictures into files; one process draws the pages or frames of a medium.

    Parameters
    ----------
    drawings : sequence of Drawing or None
        None is passed over. The frames of a video stand together, and their numbers ascend.
    sizes : sequence of tuple of int
        Width and height of each picture; 0 for its own.
    names : sequence of str
        External ids, for errors.
    targets : sequence of str or Path
        The file of each picture.

    Raises
    ------
    KiliValidationError
        Once the others are drawn, if some cannot be; it names them all.
    """
    from pandas_kili.display import NotShownError, Still, drawn_each  # noqa: PLC0415 - what draws costs time to import

    missing = []
    wanted = [(at, each, max(sizes[at]) or _LARGEST_SIDE) for at, each in enumerate(drawings) if each is not None]
    for (source, side), own in itertools.groupby(wanted, key=lambda row: (row[1].source, row[2])):
        for some in chunked(list(own), _IN_ONE_GO):
            stills = [Still(each.kind, each.number, each.rate) for _, each, _ in some]
            with contextlib.closing(drawn_each(source, stills, side, seconds=_SECONDS)) as pictures:
                for (at, each, _), told in zip(some, pictures, strict=True):
                    if isinstance(told, NotShownError):
                        missing.append(f"{each.kind} {each.number} of {names[at]!r} ({source}): {told}")
                    else:
                        _save(told[0], sizes[at], targets[at])
    if missing:
        raise KiliValidationError(f"{plural(len(missing), 'picture is', 'pictures are')} not drawn: {listed(missing)}.")


def _save(pixmap: bytes, size: tuple[int, int], target: str | Path) -> None:
    """Save a pixmap in a size, or in its own if that is 0."""
    from PIL import Image  # noqa: PLC0415 - an optional dependency

    with Image.open(io.BytesIO(pixmap)) as image:
        (image.resize(size) if min(size) > 0 else image).save(target, quality=_QUALITY)


def is_video(source: Path | None) -> bool:
    """Return whether a file is a video, by its extension."""
    return source is not None and EXTENSIONS.get(source.suffix.lower(), "").startswith("video/")


def played_rate(json_metadata: Any) -> float | None:
    """Return the frames a second at which Kili plays a video, out of its metadata; None for the video's own."""
    from pandas_kili.display import rate_of  # noqa: PLC0415 - as above

    return rate_of(json_metadata if isinstance(json_metadata, str) else None)
