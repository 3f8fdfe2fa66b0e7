"""Assets as a gallery in one self-contained piece of HTML."""

from __future__ import annotations

import numbers
import os
import threading
from collections.abc import Collection, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pandas as pd

from pandas_kili.arrow import plain_cells
from pandas_kili.connection import Client
from pandas_kili.display.cards import Asset, card, panels
from pandas_kili.display.choice import LabelChoice, part_shown, shown_labels
from pandas_kili.display.escaping import name
from pandas_kili.display.known_classes import known_classes
from pandas_kili.display.media import MediaReader, ShownMedium, Wanted, rate_of
from pandas_kili.display.palette import Palette
from pandas_kili.display.style import fragment_style, page_style
from pandas_kili.display.summary import categories_in
from pandas_kili.errors import KiliValidationError
from pandas_kili.parallel import in_order
from pandas_kili.tidy import SUBMITTED, holds_assets

_WORKERS = 128  # media that are waited for at a time
_PATIENCE = 60.0  # seconds for all hosted media together
_ALL_PICTURES = 3_300_000  # bytes; encoded, and with the rest of the page, less than 5 MB
_ONE_PICTURE = 90_000
_COLUMNS = (
    *("id", "externalId", "status", "content", "jsonContent", "jsonMetadata", "isHoneypot", "skipped"),
    *("consensusMark", "honeypotMark", "inferenceMark", "disagreement", "resolution.width"),
    *("resolution.height", "pageResolutions"),
)
# No scripts, and nothing from other places, even if a hostile name became markup.
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"


class Preview:
    """A gallery of assets; a notebook shows it by itself.

    Attributes
    ----------
    shown, total : int
        How many assets it shows, and how many the frame has.

    Examples
    --------
    >>> import tempfile
    >>> preview = preview_frame(pd.DataFrame({"externalId": ["a"], "content": ["A short text."]}))
    >>> preview
    <Preview of 1 asset>
    >>> preview.save(tempfile.mkdtemp() + "/preview.html").name
    'preview.html'
    """

    def __init__(self, body: str, shown: int, total: int) -> None:
        self._body, self.shown, self.total = body, shown, total

    def __repr__(self) -> str:
        return f"<Preview of {_counted(self.shown, self.total)}>"

    def _repr_html_(self) -> str:
        return f"<style>{fragment_style()}</style>{self._body}"

    @property
    def html(self) -> str:
        """The gallery as a whole page: it needs no network and has no scripts."""
        return (
            '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
            f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
            '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
            '<meta name="color-scheme" content="light dark">\n'
            f"<title>{name(_counted(self.shown, self.total))}</title>\n"
            f"<style>{fragment_style()}{page_style()}</style>\n</head>\n<body>\n{self._body}\n</body>\n</html>\n"
        )

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the page to a file.

        Parameters
        ----------
        path : str or path
            The file; one that exists is replaced.

        Returns
        -------
        pathlib.Path
            The path of the file.
        """
        file = Path(path).expanduser()
        file.write_text(self.html, encoding="utf-8")
        return file


def preview_frame(
    frame: pd.DataFrame,
    n: int = 24,
    *,
    labels: LabelChoice | None = None,
    label_types: Collection[str] | None = None,
    job: str | Collection[str] | None = None,
    annotations: bool = True,
    client: Client | None = None,
) -> Preview:
    """Show assets with their annotations.

    Parameters
    ----------
    frame : pandas.DataFrame
        Assets, as `read_kili` gives them. ``content`` holds local paths, URLs or text. These are shown if they were
        read: ``externalId``, ``status``, marks, ``labels`` with ``jsonResponse``, ``labelType``, ``author.email``,
        ``createdAt`` and ``modelName``, and ``jsonContent`` for rich text and videos made of frames.
    n : int
        How many assets to show, the first ones.
    labels : {"latest", "all"}, optional
        The latest label of each asset; or side by side the latest label of each author, type and model: people by name,
        then models. By default ``"all"`` for what `disagreements` returns, and ``"latest"`` for other frames.
    label_types : collection of str, optional
        Labels of other types are not shown. By default ``"latest"`` shows what people submitted (``DEFAULT`` and
        ``REVIEW``), and ``"all"`` shows labels of every type, predictions with the name of their model.
    job : str or collection of str, optional
        Only answers to these jobs, and to those nested below them.
    annotations : bool
        Whether labels are shown at all.
    client : Client, optional
        Connection for hosted media; by default one made from the environment. Local files need none.

    Returns
    -------
    Preview

    Raises
    ------
    KiliFieldError
        If the labels were read without ``jsonResponse``, or without the ``labelType`` by which they are chosen.
    KiliValidationError
        For other values of `labels`, `label_types`, `job` or `n`.

    Notes
    -----
    Labels without shapes stand below one picture. A card says which of its shapes are outside the picture, or on
    another frame or page than the one shown: that with the most shapes, else the first. If a medium cannot be shown,
    the card says why; hosted ones have five seconds to come.

    Frames of videos are numbered at the video's own rate, or at the rate under ``processingParameters`` in
    ``jsonMetadata``, if that was read. Thumbnails, pages and frames need ``pip install 'pandas-kili[preview]'``
    (Pillow, pypdfium2, PyAV); without it, small pictures are shown as they are. Each page and frame is decoded in its
    own process, limited to 20 seconds, and to 1 GiB where the system has such limits (Windows has none, macOS hardly).

    Examples
    --------
    >>> import pandas as pd
    >>> preview_frame(pd.DataFrame({"externalId": ["a", "b"], "content": ["One text.", "Another."]}), n=1)
    <Preview of 1 of 2 assets>
    """
    if labels is None:
        labels = "all" if "disagreement" in frame else "latest"
    if labels not in ("latest", "all"):
        raise KiliValidationError(f"labels is 'latest' or 'all'; got {labels!r}.")
    if not isinstance(n, numbers.Integral) or n < 0:
        raise KiliValidationError(f"n is a number of assets; got {n!r}.")
    few = frame.iloc[:n]
    types = SUBMITTED if label_types is None and labels == "latest" else label_types
    shown = shown_labels(few, labels, types, job) if annotations and holds_assets(few) else None
    parts = [part_shown((shown or {}).get(row, ())) for row in range(len(few))]
    cells = _cells(few)
    media = _media(cells, parts, client)
    assets = [
        Asset(row, cells[row], medium, None if shown is None else shown.get(row, []), *parts[row])
        for row, medium in enumerate(media)
    ]
    categories = [category for each in (shown or {}).values() for category in categories_in(each)]
    palette = Palette(categories, known_classes(frame, client) if categories else ())
    choice = {"latest": "the latest label of each", "all": "the latest label of each labeler"}[labels]
    if types == SUBMITTED:
        choice = "the latest submitted label of each"
    return Preview(_body(assets, palette, len(frame), choice if shown is not None else ""), len(few), len(frame))


def _cells(frame: pd.DataFrame) -> list[dict[str, Any]]:
    names = [name for name in _COLUMNS if name in frame]
    columns = [plain_cells(frame[name]) for name in names]
    return [dict(zip(names, values, strict=True)) for values in zip(*columns, strict=True)] or [{}] * len(frame)


def _media(
    cells: Sequence[dict[str, Any]], parts: Sequence[tuple[int | None, int | None]], client: Client | None
) -> list[ShownMedium]:
    wanted = [
        Wanted(
            _text(each.get("content")), _text(each.get("jsonContent")), *part, rate_of(_text(each.get("jsonMetadata")))
        )
        for each, part in zip(cells, parts, strict=True)
    ]
    budget = min(_ONE_PICTURE, _ALL_PICTURES // max(1, len(wanted)))
    with _patience() as stop:
        reader = MediaReader(client, budget, stop)
        with closing(in_order(reader.read, wanted, workers=min(_WORKERS, len(wanted) or 1))) as results:
            return [medium for _, medium in results]


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


@contextmanager
def _patience() -> Iterator[threading.Event]:
    """Stop waiting after a while: a host that does not respond must not hold up the gallery."""
    stop = threading.Event()
    timer = threading.Timer(_PATIENCE, stop.set)
    timer.daemon = True
    timer.start()
    try:
        yield stop
    finally:
        timer.cancel()
        stop.set()


def _body(assets: Sequence[Asset], palette: Palette, total: int, labels: str) -> str:
    cards = "".join(card(asset, palette) for asset in assets) or '<p class="kp-note">no assets</p>'
    widest = max((panels(asset) for asset in assets), default=1)
    return (
        '<section class="kili-preview" aria-label="Assets"><div class="kp-top">'
        f'<h1>{_counted(len(assets), total)}</h1><p class="kp-sub">{labels}</p></div>'
        f'{_legend(palette)}<div class="kp-grid" data-panels="{widest}">{cards}</div></section>'
    )


def _legend(palette: Palette) -> str:
    several = len({job for job, _ in palette.tones}) > 1
    items = "".join(
        f'<li><i class="kp-swatch {tone.classes}"></i>'
        f"<bdi>{name(f'{job} / {category}' if several and job != category else category)}</bdi>"
        f"<small>{palette.counts[job, category]:,}</small></li>"
        for (job, category), tone in palette.tones.items()
    )
    return f'<ul class="kp-legend" aria-label="Categories and their colors">{items}</ul>' if items else ""


def _counted(shown: int, total: int) -> str:
    noun = "asset" if total == 1 else "assets"
    return f"{total:,} {noun}" if shown == total else f"{shown:,} of {total:,} {noun}"
