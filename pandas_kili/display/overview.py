"""What ``df.kili`` shows of itself: project, server, rows, labels, and what became of the last mutation."""

from __future__ import annotations

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from pandas_kili.arrow import arrow_array
from pandas_kili.display.escaping import name, plain_name
from pandas_kili.display.style import card_style
from pandas_kili.errors import KiliError

_UNKNOWN = "unknown: give project_id= where a method needs it"
_BAD = frozenset({"declined", "failed", "not_sent"})


def overview(frame: pd.DataFrame, report: pd.DataFrame | None) -> dict[str, str]:
    """Return in words what a frame is, by what the words are about."""
    home = frame.attrs.get("kili")
    told = home if isinstance(home, dict) else {}
    facts = {"project": _on_one_line(told.get("project_id") or _UNKNOWN)}
    if told.get("api_endpoint"):
        facts["endpoint"] = _on_one_line(told["api_endpoint"])
    facts["rows"] = f"{len(frame):,}"
    count = _labels_in(frame)
    if count is not None:
        facts["labels"] = f"{count:,}"
    if report is not None:
        counts = report["outcome"].value_counts()
        facts["last outcome"] = ", ".join(f"{count:,} {outcome}" for outcome, count in counts.items()) or "no rows"
    return facts


def _on_one_line(value: object) -> str:
    return plain_name(" ".join(str(value).split()))


def as_text(facts: dict[str, str]) -> str:
    """Return facts as lines of text."""
    width = max(map(len, facts))
    lines = (f"  {fact:<{width}}  {words}" for fact, words in facts.items())
    return "\n".join(["Kili frame; help(df.kili) lists the methods", *lines])


def as_html(facts: dict[str, str]) -> str:
    """Return facts as a small card for notebooks, light or dark as the page around."""
    rows = "".join(
        f"<dt>{name(fact)}</dt><dd{' class=bad' if any(word in words for word in _BAD) else ''}>{name(words)}</dd>"
        for fact, words in facts.items()
    )
    return f'<style>{card_style()}</style><section class="kili-card"><h2>Kili frame</h2><dl>{rows}</dl></section>'


def _labels_in(frame: pd.DataFrame) -> int | None:
    """Return how many labels a frame of assets holds; None where it holds none of their fields."""
    if "labels" not in frame:
        return None
    try:
        lists = arrow_array(frame["labels"])
    except (KiliError, pa.ArrowException):  # cells of users' own, which the methods refuse with reasons
        return None
    if not (pa.types.is_list(lists.type) or pa.types.is_large_list(lists.type)):
        return None
    return int(pc.sum(pc.list_value_length(lists)).as_py() or 0)
