"""A plan as people read it: a diff in a terminal, a table in a notebook."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from pandas_kili.json_text import NotJsonError, json_text
from pandas_kili.writing.edits import KEY, OPERATIONS, Edit, Operation

_SHOWN = 20  # changes
_LONGEST = 60  # characters of a value
_SIGNS: Mapping[Operation, str] = {"append": "+", "update": "~", "rename": "»", "delete": "-"}
# Colors that can be read on a light and on a dark page; the signs tell the operations without any.
_STYLE = """<style>
.kili-plan table {border-collapse: collapse; font-variant-numeric: tabular-nums}
.kili-plan td, .kili-plan th {text-align: left; padding: .15em .6em; border-bottom: 1px solid rgba(128, 128, 128, .3)}
.kili-plan .append {color: #1a7f37} .kili-plan .delete {color: #cf222e}
.kili-plan .update {color: #9a6700} .kili-plan .rename {color: #0969da}
@media (prefers-color-scheme: dark) {
.kili-plan .append {color: #3fb950} .kili-plan .delete {color: #ff7b72}
.kili-plan .update {color: #d29922} .kili-plan .rename {color: #58a6ff}}
[data-jp-theme-light="false"] .kili-plan .append {color: #3fb950}
[data-jp-theme-light="false"] .kili-plan .delete {color: #ff7b72}
[data-jp-theme-light="false"] .kili-plan .update {color: #d29922}
[data-jp-theme-light="false"] .kili-plan .rename {color: #58a6ff}
</style>"""


def counts_by_operation(edits: Sequence[Edit]) -> dict[Operation, int]:
    """Return how many changes there are of each operation."""
    return {name: sum(edit.operation == name for edit in edits) for name in OPERATIONS}


def headline(edits: Sequence[Edit], project_id: str) -> str:
    """Return what a plan does, in a line."""
    counts = [f"{count:,} to {name}" for name, count in counts_by_operation(edits).items() if count]
    assets = len({edit.asset_id for edit in edits})
    what = f"{', '.join(counts)} ({assets:,} {'asset' if assets == 1 else 'assets'})" if counts else "nothing to do"
    return f"Plan for project {project_id!r}: {what}."


def as_text(edits: Sequence[Edit], project_id: str, notes: Sequence[str]) -> str:
    """Return a plan as a diff reads: the first changes of each operation."""
    lines = [headline(edits, project_id)]
    lines += [f"{_SIGNS[edit.operation]} {_named(edit)}  {_told(edit)}".rstrip() for edit in _first(edits)]
    return "\n".join([*lines, *_rest(edits), *(f"! {note}" for note in notes)])


def as_html(edits: Sequence[Edit], project_id: str, notes: Sequence[str]) -> str:
    """Return a plan as a table; nothing in it runs."""
    from html import escape  # noqa: PLC0415 - its table of entities is large, and only notebooks need it

    rows = "".join(
        f'<tr class="{edit.operation}"><td>{_SIGNS[edit.operation]} {edit.operation}</td>'
        f"<td>{escape(_named(edit))}</td><td>{escape(_told(edit))}</td></tr>"
        for edit in _first(edits)
    )
    table = f"<table><tr><th>change</th><th>asset</th><th>what</th></tr>{rows}</table>" if rows else ""
    below = "".join(f"<p>{escape(text)}</p>" for text in [*_rest(edits), *notes])
    return f'{_STYLE}<div class="kili-plan"><p>{escape(headline(edits, project_id))}</p>{table}{below}</div>'


def _first(edits: Sequence[Edit]) -> list[Edit]:
    """Return the first changes, some of each operation."""
    by_operation = [[edit for edit in edits if edit.operation == name] for name in OPERATIONS]
    fair = itertools.chain.from_iterable(itertools.zip_longest(*by_operation))
    chosen = list(itertools.islice((edit for edit in fair if edit is not None), _SHOWN))
    return sorted(chosen, key=lambda edit: OPERATIONS.index(edit.operation))


def _rest(edits: Sequence[Edit]) -> list[str]:
    left = len(edits) - _SHOWN
    return [f"… and {left:,} more, all in .changes"] if left > 0 else []


def _named(edit: Edit) -> str:
    return edit.asset_id if edit.external_id is None else edit.external_id


def _told(edit: Edit) -> str:
    if edit.operation == "append":
        return ", ".join(f"{name}: {_short(value)}" for name, value in edit.after.items())
    if edit.operation == "delete":
        return "with its labels" if edit.before.get("latestLabel.id") else ""
    after = "removed" if edit.after is None and str(edit.property).startswith(KEY) else _short(edit.after)
    return f"{edit.property}: {'none' if edit.before is None else _short(edit.before)} → {after}"


def _short(value: Any) -> str:
    try:
        text = value if isinstance(value, str) else json_text(value)
    except NotJsonError:
        text = repr(value)
    text = " ".join(text.split())
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
