"""One card per asset: its medium with the annotations, once for each label that is shown."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pandas_kili.display.choice import Row, ShownLabel, in_part, is_drawn, is_marked
from pandas_kili.display.escaping import name, plain_name
from pandas_kili.display.maps import are_on_map, on_sheet
from pandas_kili.display.media import ShownMedium
from pandas_kili.display.overlay import category_of, outside, overlay
from pandas_kili.display.palette import Palette
from pandas_kili.display.spans import marked_text, unmarked
from pandas_kili.display.summary import chips, problems, sentence, statements
from pandas_kili.display.thumbnails import Picture

_SMALL = 128  # pixels; such pictures are enlarged, and each pixel stays sharp
_MOST_PARTS = 5  # names or numbers in a note
_MOST_PANELS = 4  # side by side
_BLANK = (4.0, 3.0)
_FOLIO = (210.0, 297.0)
_STATUSES = ("TODO", "ONGOING", "LABELED", "TO_REVIEW", "REVIEWED")
_MARKS = {
    "disagreement": "disagreement",
    "consensusMark": "consensus",
    "honeypotMark": "honeypot",
    "inferenceMark": "inference",
}
_FLAGS = {"isHoneypot": "honeypot", "skipped": "skipped"}


@dataclass(frozen=True)
class Asset:
    """All that a card shows.

    Attributes
    ----------
    number : int
        Position of the card in the gallery.
    cells : dict
        The row of the frame.
    medium : ShownMedium
    labels : sequence of ShownLabel, optional
        None if labels are not shown at all.
    frame, page : int, optional
        The part that is shown.
    """

    number: int
    cells: dict[str, Any]
    medium: ShownMedium
    labels: Sequence[ShownLabel] | None
    frame: int | None = None
    page: int | None = None

    @property
    def called(self) -> str:
        """Return the name of the asset."""
        named = self.cells.get("externalId") or self.cells.get("id")
        return plain_name(named or f"asset {self.number + 1}")


def card(asset: Asset, palette: Palette) -> str:
    """Return the card of an asset as HTML."""
    figures = _figures(asset)
    drawn = "".join(_figure(asset, labels, palette, first=not number) for number, labels in enumerate(figures))
    facts, called = _facts(asset.cells), name(asset.called)
    return (
        f'<article class="kp-card" tabindex="0" aria-label="{called}" data-panels="{panels(asset)}">'
        f'<header><h2 title="{called}"><bdi>{called}</bdi></h2>{_status(asset.cells.get("status"))}</header>'
        f'<div class="kp-panels">{drawn}</div>{facts}</article>'
    )


def panels(asset: Asset) -> int:
    """Return how many figures a card has side by side."""
    return min(len(_figures(asset)), _MOST_PANELS)


def _figures(asset: Asset) -> list[Sequence[ShownLabel]]:
    """Return the labels of each figure: each its own, but all together below one picture if none of them marks it."""
    labels = asset.labels or ()
    if len(labels) > 1 and any(is_marked(row) for label in labels for row in label.rows):
        return [[label] for label in labels]
    return [labels]


def _figure(asset: Asset, labels: Sequence[ShownLabel], palette: Palette, *, first: bool) -> str:
    rows = [row for label in labels for row in label.rows if in_part(row, asset.frame, asset.page)]
    words = [asset.called, "; ".join(_words(asset, label) for label in labels)]
    drawn = _medium(asset, rows, palette, ": ".join(filter(None, words)), first=first)
    said = "".join(f'<div class="kp-said">{_said(asset, label, palette)}</div>' for label in labels)
    if not labels and asset.labels is not None:
        said = '<p class="kp-note">no label</p>'
    if asset.medium.picture and asset.medium.note:
        said += f'<p class="kp-note">{name(asset.medium.note)}</p>'
    return f"<figure>{drawn}<figcaption>{said}</figcaption></figure>"


def _words(asset: Asset, label: ShownLabel) -> str:
    """Return what a label says of the part that is shown, for screen readers."""
    words = sentence(statements([row for row in label.rows if in_part(row, asset.frame, asset.page)]))
    by = label.model or label.author
    return f"{words} (by {plain_name(by)})" if by else words


def _said(asset: Asset, label: ShownLabel, palette: Palette) -> str:
    rows = [row for row in label.rows if in_part(row, asset.frame, asset.page)]
    elsewhere = [row for row in label.rows if not in_part(row, asset.frame, asset.page)]
    notes = [f"{len(elsewhere):,} more on {_parts(elsewhere)}"] if elsewhere else []
    notes += _unseen(asset.medium, rows)
    note = "".join(f'<p class="kp-note">{name(text)}</p>' for text in notes)
    kind = f' <span class="kp-type">{name(label.type)}</span>' if label.type not in {"", "DEFAULT"} else ""
    when = f" <time>{name(label.created)}</time>" if label.created else ""
    said = chips(statements(rows), palette)
    return f'<p class="kp-by">{_who(label)}{kind}{when}</p>{said}{problems(label.rows)}{note}'


def _unseen(medium: ShownMedium, rows: list[Row]) -> list[str]:
    """Return in words which shapes and spans of the part that is shown cannot be seen on it."""
    if medium.text is not None:
        hidden = unmarked(medium.text, medium.starts, rows) + [row for row in rows if is_drawn(row)]
        where = "not in the text shown"
    else:
        hidden = [] if are_on_map(rows) else outside(rows)
        where = "outside the picture"
    classes = list(dict.fromkeys(category_of(row)[1] for row in hidden))
    named = ", ".join(classes[:_MOST_PARTS]) + (", …" if len(classes) > _MOST_PARTS else "")
    return [f"{len(hidden):,} {where}: {named}"] if hidden else []


def _who(label: ShownLabel) -> str:
    """Return the author of a label: the model if it is named, and the person who uploaded it."""
    names = [each for each in (label.model, label.author) if each]
    spans = [f"<b><bdi>{name(each)}</bdi></b>" for each in names[:1]]
    return " ".join([*spans, *(f'<span class="kp-note"><bdi>{name(each)}</bdi></span>' for each in names[1:])])


def _parts(rows: list[Row]) -> str:
    """Return in words which pages or frames rows are about."""
    kind = "page" if rows[0]["frame"] is None else "frame"
    numbers = sorted({row[kind] for row in rows})
    named = ", ".join(map(str, numbers[:_MOST_PARTS])) + (", …" if len(numbers) > _MOST_PARTS else "")
    return f"{kind}{'' if len(numbers) == 1 else 's'} {named}"


def _medium(asset: Asset, rows: list[Row], palette: Palette, words: str, *, first: bool) -> str:
    medium = asset.medium
    if are_on_map(rows):
        return _map(rows, palette, words)
    if medium.picture is not None:
        picture = medium.picture
        turn = next((row["assetRotation"] for row in rows if row["assetRotation"]), 0) % 360
        image = _turned(_image(asset, first=first), turn, picture)
        width, height = (picture.height, picture.width) if turn in {90, 270} else (picture.width, picture.height)
        kind = "kp-brief" if _is_small(picture) else ""
        return _svg(image + overlay(rows, palette, width, height), width, height, words, kind)
    if medium.text is not None:
        text = marked_text(medium.text, medium.starts, rows, palette)
        return f'<div class="kp-text" dir="auto" tabindex="0" role="group" aria-label="{name(words)}">{text}</div>'
    return _placeholder(asset, rows, palette, words)


def _map(rows: list[Row], palette: Palette, words: str) -> str:
    """Return the shapes of a map on their own bounds: the gallery does not know where on the picture they are."""
    placed, width, height = on_sheet(rows)
    sheet = f'<rect class="kp-sheet" width="{width:g}" height="{height:g}"/>'
    note = '<p class="kp-reason">longitudes and latitudes, drawn without the map</p>'
    drawn = _svg(sheet + overlay(placed, palette, width, height), width, height, words)
    return f'<div class="kp-missing">{drawn}{note}</div>'


def _turned(image: str, degrees: int, picture: Picture) -> str:
    """Turn a picture clockwise: labelers can turn it before they draw, and shapes are shares of what they saw."""
    width, height = picture.width, picture.height
    move = {90: f"{height} 0", 180: f"{width} {height}", 270: f"0 {width}"}.get(degrees)
    return image if move is None else f'<g transform="translate({move}) rotate({degrees})">{image}</g>'


def _svg(inner: str, width: float, height: float, words: str, kind: str = "") -> str:
    return (
        f'<svg class="kp-view {kind}" viewBox="0 0 {width:g} {height:g}" role="img" '
        f'aria-label="{name(words)}">{inner}</svg>'
    )


def _image(asset: Asset, *, first: bool) -> str:
    """Return the picture; side by side, it is embedded only once."""
    picture = asset.medium.picture
    if picture is None:
        return ""
    # Made from the content: galleries in one notebook must not show each other's pictures.
    mark = f"kp-{hashlib.sha256(picture.uri.encode()).hexdigest()[:12]}-{asset.number}"
    if not first:
        return f'<use href="#{mark}"/>'
    small = ' class="kp-small"' if _is_small(picture) else ""
    return (
        f'<image id="{mark}"{small} width="{picture.width}" height="{picture.height}" '
        f'preserveAspectRatio="none" href="{picture.uri}"/>'
    )


def _is_small(picture: Picture) -> bool:
    return max(picture.width, picture.height) <= _SMALL


def _placeholder(asset: Asset, rows: list[Row], palette: Palette, words: str) -> str:
    """Return an empty sheet with the shapes, and the reason why there is no picture."""
    width, height = _sheet(asset)
    drawn = overlay(rows, palette, width, height)
    words = f"{words}. Not shown: {plain_name(asset.medium.note)}"
    sheet = _svg(f'<rect class="kp-sheet" width="{width:g}" height="{height:g}"/>{drawn}', width, height, words)
    reason = f'<p class="kp-reason"><b>Not shown</b> {name(asset.medium.note)}</p>'
    return f'<div class="kp-missing">{sheet if drawn else ""}{reason}</div>'


def _sheet(asset: Asset) -> tuple[float, float]:
    pages = asset.cells.get("pageResolutions")
    sizes = [page for page in pages or () if page.get("pageNumber") == asset.page and asset.page is not None]
    known = sizes[0] if sizes else {side: asset.cells.get(f"resolution.{side}") for side in ("width", "height")}
    width, height = known.get("width"), known.get("height")
    if width and height:
        return float(width), float(height)
    return _BLANK if asset.page is None else _FOLIO


def _status(status: Any) -> str:
    if not status:
        return ""
    step = _STATUSES.index(status) if status in _STATUSES else 0
    return f'<span class="kp-status" data-step="{step}">{name(str(status).replace("_", " "))}</span>'


def _facts(cells: dict[str, Any]) -> str:
    marks = [
        f"<span>{words} <b>{cells[column]:.2f}</b></span>"
        for column, words in _MARKS.items()
        if isinstance(cells.get(column), float)
    ]
    flags = [f"<span>{words}</span>" for column, words in _FLAGS.items() if cells.get(column) is True]
    return f"<footer>{''.join(marks + flags)}</footer>" if marks or flags else ""
