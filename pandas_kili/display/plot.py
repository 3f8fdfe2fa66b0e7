"""Charts of a project, drawn with pandas: the body of ``df.kili.plot``."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pandas as pd

from pandas_kili.catalog import STATUSES
from pandas_kili.display.choice import PER_ASSET, PER_LABELER, chosen_labels, labelers
from pandas_kili.display.palette import COLORS
from pandas_kili.errors import KiliFieldError, KiliValidationError
from pandas_kili.tidy import ANNOTATION, CATEGORY, CHOICE, SUBMITTED, annotations_table, labels_table, lacking, of_types

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MARKS = ("consensusMark", "honeypotMark")
_CLASSES = (CATEGORY, CHOICE, ANNOTATION)
_CHOSEN = (CATEGORY, CHOICE)
_NONE = "(none)"
_FEWEST_DATES = 4
_ONE_LINE = 50  # characters that stand side by side below a chart


class KiliPlot:
    """Charts of assets and their labels; each method draws one and returns its axes, as in pandas.

    All take ``ax``, the axes to draw on (new ones by default), and pass other keywords on to pandas.

    Parameters
    ----------
    frame : pandas.DataFrame
        Assets, as `read_kili` gives them.

    Raises
    ------
    ImportError
        If matplotlib is not installed: ``pip install 'pandas-kili[plot]'``.
    KiliFieldError
        If the frame lacks a field that a chart needs, such as ``labels.labelType``.

    Examples
    --------
    >>> import pandas as pd
    >>> KiliPlot(pd.DataFrame({"status": ["TODO", "LABELED", "TODO"]})).progress().get_title()
    'Progress'
    """

    def __init__(self, frame: pd.DataFrame) -> None:
        self._frame = frame

    def progress(self, ax: Axes | None = None, **kwargs: Any) -> Axes:
        """Draw how many assets there are of each status, in the order of the work.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, optional
            Where to draw; by default new axes.
        **kwargs
            For `pandas.Series.plot`.

        Returns
        -------
        matplotlib.axes.Axes

        Examples
        --------
        >>> import pandas as pd
        >>> axes = KiliPlot(pd.DataFrame({"status": ["TODO", "LABELED", "TODO"]})).progress()
        >>> [int(bar.get_height()) for bar in axes.patches]
        [2, 0, 1, 0, 0]
        """
        counts = self._column("status").value_counts()
        others = [status for status in counts.index if status not in STATUSES]
        counts = counts.reindex([*STATUSES, *others], fill_value=0).astype("int64")
        options = {"kind": "bar", "title": "Progress", "rot": 0, "ylabel": "assets", "xlabel": "", **_calm(), **kwargs}
        return _drawn(counts, ax, options)

    def labels_over_time(
        self, ax: Axes | None = None, *, label_types: Collection[str] | None = SUBMITTED, **kwargs: Any
    ) -> Axes:
        """Draw how many labels each labeler made each day (UTC).

        Parameters
        ----------
        ax : matplotlib.axes.Axes, optional
            Where to draw; by default new axes.
        label_types : collection of str or None
            Labels of other types are left out; by default only what people submitted counts. None takes all labels;
            those of models go under the name of the model.
        **kwargs
            For `pandas.DataFrame.plot`, such as ``kind="area"``.

        Returns
        -------
        matplotlib.axes.Axes

        Examples
        --------
        >>> df = pd.read_kili(project_id, status_in=["LABELED"], first=10)
        >>> KiliPlot(df).labels_over_time().get_ylabel()
        'labels'
        """
        labels = self._labels("createdAt", label_types)
        days = pd.to_datetime(labels["createdAt"], utc=True).dt.tz_localize(None).astype("datetime64[ns]").dt.floor("D")
        counts = pd.crosstab(days.array, pd.Index(labelers(labels))).rename_axis(columns="labeler")
        counts = _every_day(counts) if len(counts) else _nothing("labels")
        options = {"title": "Labels a day", "xlabel": "", "ylabel": "labels", "ylim": (0, None)}
        options["color"] = _colors(counts.shape[1])
        line = {} if "kind" in kwargs else {"marker": "o", "clip_on": False}  # for a single day, or the first
        has_dates = len(labels) > 0 and kwargs.get("kind", "line") in {"line", "area"}  # bars have names, not dates
        dates = {"x_compat": True} if has_dates else {}
        axes = _drawn(counts, ax, {**options, **line, **dates, **kwargs})
        if has_dates:
            _write_days(axes, len(counts))
        return _literal(axes if ax is not None else _legend_beside(axes), counts.columns)

    def time_to_label(
        self, ax: Axes | None = None, *, label_types: Collection[str] | None = SUBMITTED, **kwargs: Any
    ) -> Axes:
        """Draw how long each labeler takes for a label: median, quartiles and outliers.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, optional
            Where to draw; by default new axes.
        label_types : collection of str or None
            Labels of other types are left out; by default only what people submitted counts. None takes all labels;
            those of models go under the name of the model.
        **kwargs
            For `pandas.DataFrame.plot`, such as ``logy=True``.

        Returns
        -------
        matplotlib.axes.Axes

        Examples
        --------
        >>> fields = ["labels.secondsToLabel", "labels.author.email", "labels.labelType"]
        >>> df = pd.read_kili(project_id, fields=fields, first=10)
        >>> KiliPlot(df).time_to_label().get_ylabel()
        'seconds'
        """
        labels = self._labels("secondsToLabel", label_types)
        seconds = labels["secondsToLabel"].astype("Float64").to_numpy(np.float64, na_value=np.nan)
        groups = pd.Series(seconds).groupby(pd.Series(labelers(labels), dtype=object))
        wide = pd.DataFrame({author: times.dropna().reset_index(drop=True) for author, times in groups})
        options = {"kind": "box", "title": "Time to label", "ylabel": "seconds", "rot": _turn(wide.columns), **kwargs}
        return _literal(_drawn(wide if wide.size else _nothing("labels"), ax, options), wide.columns)

    def marks(self, ax: Axes | None = None, **kwargs: Any) -> Axes:
        """Draw how the consensus and honeypot marks of the assets are distributed.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, optional
            Where to draw; by default new axes.
        **kwargs
            For `pandas.DataFrame.plot`, such as ``bins=10``.

        Returns
        -------
        matplotlib.axes.Axes

        Examples
        --------
        >>> import pandas as pd
        >>> KiliPlot(pd.DataFrame({"consensusMark": [0.5, 0.9, None]})).marks().get_title()
        'Marks'
        """
        known = [name for name in _MARKS if name in self._frame]
        if not known:
            raise _unread(_MARKS[0])
        marks = pd.DataFrame(
            {name.removesuffix("Mark"): self._frame[name].to_numpy(np.float64, na_value=np.nan) for name in known}
        )
        options = {"kind": "hist", "title": "Marks", "bins": 20, "range": (0, 1), "alpha": 0.6, "xlim": (0, 1)}
        options |= {"ylabel": "assets", "xlabel": "mark", "color": _colors(len(known))}
        return _drawn(marks, ax, {**options, **kwargs})

    def class_balance(
        self,
        job: str | None = None,
        ax: Axes | None = None,
        *,
        label_types: Collection[str] | None = SUBMITTED,
        **kwargs: Any,
    ) -> Axes:
        """Draw how often each category was chosen or drawn, in the latest label of each asset.

        Parameters
        ----------
        job : str, optional
            The job whose categories are counted; by default all of them.
        ax : matplotlib.axes.Axes, optional
            Where to draw; by default new axes.
        label_types : collection of str or None
            Labels of other types are left out; by default only what people submitted counts. None takes all labels;
            those of models go under the name of the model.
        **kwargs
            For `pandas.Series.plot`.

        Returns
        -------
        matplotlib.axes.Axes

        Raises
        ------
        KiliValidationError
            If no label answers that job.

        Examples
        --------
        >>> df = pd.read_kili(project_id, status_in=["LABELED"], first=10)
        >>> KiliPlot(df).class_balance("KIND").get_xlabel()
        'KIND'
        """
        self._labels("jsonResponse", label_types)
        rows = annotations_table(chosen_labels(self._frame, PER_ASSET, label_types))
        rows = rows[rows["kind"].isin(_CLASSES) & rows["category"].notna()]
        names = rows["category"].astype(object)
        if job is not None:
            names = names[rows["job"].isin([_known(job, rows["job"])])]
        elif len(rows["job"].unique()) > 1:
            names = rows["job"].astype(object) + ": " + names
        counts = names.value_counts().astype("int64")
        options = {"kind": "bar", "title": "Classes", "xlabel": job or "", "ylabel": "times", **_calm()}
        options |= {"rot": _turn(counts.index), **kwargs}
        axes = _drawn(counts if len(counts) else pd.Series([0], [_NONE]), ax, options)
        return _literal(axes, [*counts.index, job or ""])

    def confusion(
        self,
        labeler_a: str,
        labeler_b: str,
        job: str | None = None,
        ax: Axes | None = None,
        *,
        label_types: Collection[str] | None = SUBMITTED,
        **kwargs: Any,
    ) -> Axes:
        """Draw which classes two labelers chose for the same assets: those on the diagonal are equal.

        Parameters
        ----------
        labeler_a, labeler_b : str
            E-mail addresses (ids if addresses were not read), or names of models, whose `label_types` must be given.
            The latest label of each counts for an asset.
        job : str, optional
            The job that is compared; needed where several of them choose classes.
        ax : matplotlib.axes.Axes, optional
            Where to draw; by default new axes.
        label_types : collection of str or None
            Labels of other types are left out; by default only what people submitted counts. None takes all labels;
            those of models go under the name of the model.
        **kwargs
            For `matplotlib.axes.Axes.imshow`.

        Returns
        -------
        matplotlib.axes.Axes

        Raises
        ------
        KiliValidationError
            If a labeler or the job is not there, or if several jobs choose classes and none is named.

        Examples
        --------
        >>> df = pd.read_kili(project_id, status_in=["LABELED"], first=10)
        >>> KiliPlot(df).confusion("ada@example.com", "bob@example.com").get_title()
        'KIND'
        """
        known = labelers(self._labels("jsonResponse", label_types))
        for labeler in (labeler_a, labeler_b):
            _check(labeler, known, "labeler")
        job, classes = self._classes(job, label_types)
        both = pd.DataFrame({"a": classes.get(labeler_a, {}), "b": classes.get(labeler_b, {})}, dtype=object).dropna()
        both = both[(both != _NONE).any(axis=1)]
        counts = pd.crosstab(both["a"], both["b"])
        names = sorted({*counts.index, *counts.columns}, key=_place_of_class)
        counts = counts.reindex(index=names, columns=names, fill_value=0)
        return _literal(_heat_map(counts, (labeler_a, labeler_b), job, ax, kwargs), [*names, labeler_a, labeler_b, job])

    def _classes(self, job: str | None, label_types: Collection[str] | None) -> tuple[str, dict[str, dict[int, str]]]:
        """Return the job, and by labeler and asset the classes chosen for it."""
        chosen = chosen_labels(self._frame, PER_LABELER, label_types)
        rows = annotations_table(chosen.set_axis(pd.RangeIndex(len(chosen)), axis=0))
        rows = rows[rows["kind"].isin(_CHOSEN) & rows["category"].notna() & rows["parentMid"].isna()]
        job = _known(job, rows["job"]) if job is not None else _only(rows["job"])
        rows = rows[rows["job"] == job]
        said = rows["category"].astype(object).groupby(rows.index).agg(lambda names: " + ".join(sorted(set(names))))
        found: dict[str, dict[int, str]] = {}
        for number, (labeler, asset) in enumerate(zip(labelers(chosen), chosen.index, strict=True)):
            found.setdefault(labeler, {})[asset] = said.get(number, _NONE)
        return job, found

    def _column(self, name: str) -> pd.Series[Any]:
        if name not in self._frame:
            raise _unread(name)
        return self._frame[name]

    def _labels(self, field: str, label_types: Collection[str] | None) -> pd.DataFrame:
        labels = of_types(labels_table(self._frame), label_types)
        if field not in labels:
            raise lacking(field, [str(name) for name in labels.columns])
        return labels


def _unread(name: str) -> KiliFieldError:
    return KiliFieldError(f"The frame has no column {name!r}: read it among the fields.", field=name)


def _known(job: str, jobs: pd.Series[Any]) -> str:
    _check(job, jobs.dropna().tolist(), "job")
    return job


def _check(name: str, known: list[Any], noun: str) -> None:
    if name not in known:
        raise KiliValidationError(f"No {noun} {name!r} in the labels; there are {_listed(known)}.")


def _only(jobs: pd.Series[Any]) -> str:
    known = jobs.dropna().unique().tolist()
    if len(known) != 1:
        raise KiliValidationError(f"Which job? Those that choose classes: {_listed(known)}.")
    return str(known[0])


def _listed(names: list[Any]) -> str:
    return ", ".join(map(repr, sorted(set(names)))) or "none"


def _place_of_class(name: str) -> tuple[bool, list[str | int]]:
    """Return the sort key of a class: the tenth comes after the second, and "(none)" last."""
    parts = re.split(r"(\d+)", name)
    return name == _NONE, [int(part) if number % 2 else part for number, part in enumerate(parts)]


def _turn(names: Iterable[str]) -> int:
    """Return by how many degrees names are turned so that they do not overlap."""
    return 0 if sum(map(len, names)) <= _ONE_LINE else 90


def _calm() -> dict[str, Any]:
    return {"color": COLORS[0], "legend": False}


def _colors(count: int) -> list[str]:
    return [COLORS[number % len(COLORS)] for number in range(count)]


def _every_day(counts: pd.DataFrame) -> pd.DataFrame:
    around = pd.Timedelta(days=1) if len(counts) == 1 else pd.Timedelta(0)  # a line needs more than one
    days = pd.date_range(counts.index.min() - around, counts.index.max() + around, freq="D")
    return counts.reindex(days, fill_value=0)


def _write_days(axes: Axes, days: int) -> None:
    """Write as many days, or months, as there is room for."""
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter  # noqa: PLC0415 - an optional dependency

    # With more ticks than days, hours would be written.
    locator = AutoDateLocator(minticks=min(_FEWEST_DATES, days - 1))  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]


def _nothing(name: str) -> pd.DataFrame:
    return pd.DataFrame({name: [0.0]}, index=pd.Index([_NONE]))


def _need_matplotlib() -> None:
    if importlib.util.find_spec("matplotlib") is None:
        raise ImportError("Charts need matplotlib: pip install 'pandas-kili[plot]'.", name="matplotlib")


def _drawn(data: pd.Series[Any] | pd.DataFrame, ax: Axes | None, options: dict[str, Any]) -> Axes:
    _need_matplotlib()
    if ax is None:
        ax = _new_axes(options)
    axes = cast("Axes", data.plot(ax=ax, **options))
    axes.spines[["top", "right"]].set_visible(False)
    return axes


def _new_axes(options: dict[str, Any]) -> Axes:
    import matplotlib.pyplot as plt  # noqa: PLC0415 - an optional dependency, heavy

    return plt.subplots(figsize=options.pop("figsize", None), layout="constrained")[1]


def _legend_beside(axes: Axes) -> Axes:
    """Move the legend beside the chart, where it hides no lines."""
    if (legend := axes.get_legend()) is not None:
        axes.legend(title=legend.get_title().get_text(), loc="upper left", bbox_to_anchor=(1, 1), frameon=False)
    return axes


def _literal(axes: Axes, names: Iterable[str]) -> Axes:
    """Write names as they are: matplotlib takes what stands between dollar signs for mathematics."""
    from matplotlib.text import Text  # noqa: PLC0415 - an optional dependency

    known = set(names)
    for text in axes.findobj(Text):
        if isinstance(text, Text) and text.get_text() in known:
            text.set_parse_math(False)
    return axes


def _heat_map(
    counts: pd.DataFrame, labelers: tuple[str, str], job: str, ax: Axes | None, options: dict[str, Any]
) -> Axes:
    _need_matplotlib()
    ax = _new_axes(options) if ax is None else ax
    values = counts.to_numpy()
    ax.imshow(values, **{"cmap": "Blues", "vmin": 0, **options})
    dark = values.max(initial=0) / 2
    for (row, column), count in np.ndenumerate(values):
        if count:
            color = "white" if count > dark else "black"
            ax.text(column, row, f"{count:,}", ha="center", va="center", color=color)
    ax.set_xticks(range(len(counts)), counts.columns, rotation=45, ha="right")
    ax.set_yticks(range(len(counts)), counts.index)
    ax.set(title=job, ylabel=labelers[0], xlabel=labelers[1])
    return ax
