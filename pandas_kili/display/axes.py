"""How a chart is drawn: sizes, colors, dates, legends and names, with matplotlib loaded at the first drawing."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable, Mapping
from inspect import signature
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from pandas_kili.display.palette import COLORS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

NONE = "(none)"
ONE_COLOR = {"color": COLORS[0], "legend": False}  # options of a chart
_FEWEST_DATES = 4
_CELL = 0.36  # inches; three digits fit
_CHARACTER = 0.075  # inches
_HALF_LIGHT = 1.5  # of red, green and blue
_FEW_NAMES = 12  # that stand below a table without lying upright
Place = tuple[int, int]
_LONGEST_NAME = 28  # characters in a legend; more would leave no room for the chart


def first_colors(count: int) -> list[str]:
    """Return so many colors of the palette, from its beginning again where it ends."""
    return [COLORS[number % len(COLORS)] for number in range(count)]


def fill_gaps(step: tuple[int, str], counts: pd.DataFrame) -> pd.DataFrame:
    """Fill in the days or weeks without labels; a single one gets neighbors, as an area needs more than one."""
    days = pd.Timedelta(days=step[0])
    around = days if len(counts) == 1 else pd.Timedelta(0)
    every = pd.date_range(counts.index.min() - around, counts.index.max() + around, freq=days)
    return counts.reindex(every, fill_value=0)


def lump_least_busy(counts: pd.DataFrame) -> pd.DataFrame:
    """Add up the columns beyond those that have colors of their own: the least busy ones."""
    if counts.shape[1] <= len(COLORS):
        return counts
    order = counts.sum().sort_values(ascending=False, kind="stable").index
    shown, others = order[: len(COLORS) - 1], order[len(COLORS) - 1 :]
    return counts[shown].assign(**{f"{len(others)} others": counts[others].sum(axis=1)})


def size_for(names: Iterable[object]) -> tuple[float, float]:
    """Return the size of a chart, in inches, that has room for horizontal bars with these names."""
    lengths = [len(str(name)) for name in names]
    return 6.4 + _CHARACTER * max(0, max(lengths, default=0) - _LONGEST_NAME), max(2.4, 1.2 + 0.26 * len(lengths))


def write_days(axes: Axes, days: int) -> None:
    """Write as many days, or months, as there is room for."""
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter  # noqa: PLC0415 - an optional dependency

    # With more ticks than days, hours would be written.
    locator = AutoDateLocator(minticks=min(_FEWEST_DATES, days - 1))  # type: ignore[no-untyped-call]  # matplotlib's
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]  # matplotlib's


def empty_chart(name: str) -> pd.DataFrame:
    """Return what an empty chart draws."""
    return pd.DataFrame({name: [0.0]}, index=pd.Index([NONE]))


def _need_matplotlib() -> None:
    if importlib.util.find_spec("matplotlib") is None:
        raise ImportError("Charts need matplotlib: pip install 'pandas-kili[plot]'.", name="matplotlib")


def draw(data: pd.Series[Any] | pd.DataFrame, ax: Axes | None, options: dict[str, Any]) -> Axes:
    """Draw with pandas, on new axes where none are given."""
    _need_matplotlib()
    if ax is None:
        ax = _new_axes(options)
    axes: Axes = data.plot(ax=ax, **options)
    axes.spines[["top", "right"]].set_visible(False)
    return axes


def _new_axes(options: dict[str, Any]) -> Axes:
    import matplotlib.pyplot as plt  # noqa: PLC0415 - an optional dependency, heavy

    return plt.subplots(figsize=options.pop("figsize", None), layout="constrained")[1]


def draw_boxes(values: dict[str, np.ndarray], ax: Axes | None, options: dict[str, Any]) -> Axes:
    """Draw a horizontal box per name, the first name at the top."""
    _need_matplotlib()
    title, xlabel = options.pop("title"), options.pop("xlabel")
    figsize = options.pop("figsize", size_for(values))
    ax = _new_axes({"figsize": figsize}) if ax is None else ax
    # matplotlib 3.10 brought `orientation`; 3.13 takes `vert` away.
    lies = {"orientation": "horizontal"} if "orientation" in signature(ax.boxplot).parameters else {"vert": False}
    lines = {f"{part}props": {"color": COLORS[0]} for part in ("box", "whisker", "cap")}
    lines |= {"medianprops": {"color": COLORS[1]}, "flierprops": {"markeredgecolor": COLORS[0]}}
    names = list(values)[::-1]
    if names:
        ax.boxplot([values[name] for name in names], **(lies | lines | options))
    ax.set_yticks(range(1, len(names) + 1), names)
    ax.set(title=title, xlabel=xlabel)
    ax.spines[["top", "right"]].set_visible(False)
    return ax


def legend_beside(axes: Axes) -> Axes:
    """Move the legend beside the chart, where it hides no lines."""
    if (legend := axes.get_legend()) is not None:
        lines, names = axes.get_legend_handles_labels()
        short = [_shortened(str(name)) for name in names]
        title = legend.get_title().get_text()
        axes.legend(lines, short, title=title, loc="upper left", bbox_to_anchor=(1, 1), frameon=False)
    return axes


def _shortened(name: str) -> str:
    """Cut a long name for a legend; of an address what tells people apart stays."""
    if len(name) <= _LONGEST_NAME:
        return name
    local, at, _ = name.partition("@")
    kept = f"{local}@" if at and len(local) < _LONGEST_NAME else name[:_LONGEST_NAME]
    return f"{kept}\N{HORIZONTAL ELLIPSIS}"


def written_literally(axes: Axes, names: Iterable[str]) -> Axes:
    """Write names as they are: matplotlib takes what stands between dollar signs for mathematics."""
    from matplotlib.text import Text  # noqa: PLC0415 - an optional dependency

    known = set(names)
    for text in axes.findobj(Text):
        if isinstance(text, Text) and text.get_text() in known:
            text.set_parse_math(False)
    return axes


def heat_map(values: pd.DataFrame, words: Mapping[Place, str], ax: Axes | None, options: dict[str, Any]) -> Axes:
    """Draw a square table, darker where a value is greater, with words in its cells."""
    _need_matplotlib()
    names, shades = [str(name) for name in values.columns], values.to_numpy(np.float64)
    side = _CELL * len(names) + _CHARACTER * max(map(len, names), default=0) + 0.6
    axes = _new_axes({"figsize": (max(4.8, side), max(4.0, side)), **options}) if ax is None else ax
    options = {name: value for name, value in options.items() if name != "figsize"}
    image = axes.imshow(shades if names else np.full((1, 1), np.nan), **{"cmap": "Blues", "vmin": 0, **options})
    points = 72 * min(axes.get_window_extent().size) / axes.figure.dpi / max(len(names), 1)
    for (row, column), text in words.items():
        shade = image.cmap(image.norm(shades[row, column]))[:3]
        color = "gray" if np.isnan(shades[row, column]) else "white" if sum(shade) < _HALF_LIGHT else "black"
        axes.text(column, row, text, ha="center", va="center", color=color, fontsize=min(10.0, points / 3))
    few = len(names) <= _FEW_NAMES
    axes.set_xticks(range(len(names)), names, rotation=45 if few else 90, ha="right" if few else "center")
    axes.set_yticks(range(len(names)), names)
    return axes


def write_note(axes: Axes, text: str) -> Axes:
    """Write on axes why they are empty."""
    axes.text(0.5, 0.5, text, ha="center", va="center", transform=axes.transAxes, alpha=0.6)
    return axes
