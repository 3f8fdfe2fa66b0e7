"""Charts of a project, drawn with pandas: the body of ``df.kili.plot``."""

from __future__ import annotations

from collections.abc import Collection, Hashable
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from pandas_kili.catalog import STATUSES
from pandas_kili.display.axes import (
    NONE,
    ONE_COLOR,
    draw,
    draw_boxes,
    empty_chart,
    fill_gaps,
    first_colors,
    legend_beside,
    lump_least_busy,
    size_for,
    write_days,
    write_note,
    written_literally,
)
from pandas_kili.display.choice import PER_ASSET, chosen_labels, labelers
from pandas_kili.display.known_classes import known_classes
from pandas_kili.display.matrices import agreement_matrix, check_known, confusion_matrix, place_of_class
from pandas_kili.display.palette import COLORS, HATCHES, Palette, outline
from pandas_kili.errors import KiliFieldError
from pandas_kili.tidy import ANNOTATION, CATEGORY, CHOICE, SUBMITTED, annotations_table, labels_table, lacking, of_types

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MARKS = ("consensusMark", "honeypotMark")
_CLASSES = (CATEGORY, CHOICE, ANNOTATION)
_MOST_DAYS = pd.Timedelta(days=60)  # beyond, weeks are counted
_STEPS = {"D": (1, "day"), "W": (7, "week")}


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

    def progress(self, ax: Axes | None = None, *, by: Hashable | None = None, **kwargs: Any) -> Axes:
        """Draw how many assets there are of each status, in the order of the work.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, optional
            Where to draw; by default new axes.
        by : label, optional
            A column of the frame: one bar per value of it, made of the statuses, such as ``by="currentStep.name"``.
        **kwargs
            For `pandas.Series.plot`, or with `by` for `pandas.DataFrame.plot`.

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
        statuses = self._column("status").astype(object)
        known = [*STATUSES, *sorted(set(statuses.dropna()) - set(STATUSES))]
        if by is not None:
            return self._progress_by(by, statuses, known, ax, kwargs)
        counts = statuses.value_counts().reindex(known, fill_value=0).astype("int64")
        options = {
            "kind": "bar",
            "title": "Progress",
            "rot": 0,
            "ylabel": "assets",
            "xlabel": "",
            **ONE_COLOR,
            **kwargs,
        }
        return draw(counts, ax, options)

    def _progress_by(
        self, by: Hashable, statuses: pd.Series[Any], known: list[str], ax: Axes | None, kwargs: dict[str, Any]
    ) -> Axes:
        values = self._column(by).astype(object).where(lambda column: column.notna(), NONE).astype(str)
        counts = pd.crosstab(values.array, statuses.array).reindex(columns=known, fill_value=0)
        counts.columns.name = "status"
        counts = counts.loc[sorted(counts.index, key=place_of_class, reverse=True), counts.any()]
        options = {"kind": "barh", "stacked": True, "title": "Progress", "xlabel": "assets", "ylabel": str(by)}
        # A status keeps its color, whatever others there are.
        colors = dict(zip(known, first_colors(len(known)), strict=True))
        options |= {"color": [colors[str(name)] for name in counts], "figsize": size_for(counts.index)}
        axes = draw(counts, ax, {**options, **kwargs})
        return written_literally(axes if ax is not None else legend_beside(axes), [*counts.index, str(by)])

    def labels_over_time(
        self,
        ax: Axes | None = None,
        *,
        label_types: Collection[str] | None = SUBMITTED,
        freq: Literal["D", "W"] | None = None,
        **kwargs: Any,
    ) -> Axes:
        """Draw how many labels each labeler made each day or week (UTC), one on top of the other.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, optional
            Where to draw; by default new axes.
        label_types : collection of str or None
            Labels of other types are left out; by default only what people submitted counts. None takes all labels;
            those of models go under the name of the model.
        freq : {"D", "W"}, optional
            Count by day, or by week from Monday on. By default days, and weeks for more than 60 days.
        **kwargs
            For `pandas.DataFrame.plot`, such as ``kind="line"``.

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
        if freq is None:
            freq = "W" if len(days) and days.max() - days.min() > _MOST_DAYS else "D"
        if freq == "W":
            days -= pd.to_timedelta(days.dt.day_of_week, unit="D")
        counts = pd.crosstab(days.array, pd.Index(labelers(labels))).rename_axis(columns="labeler")
        counts = fill_gaps(_STEPS[freq], lump_least_busy(counts)) if len(counts) else empty_chart("labels")
        options: dict[str, Any] = {
            "kind": "area",
            "title": f"Labels a {_STEPS[freq][1]}",
            "xlabel": "",
            "ylabel": "labels",
        }
        options |= {"xlabel": "", "ylim": (0, None), "color": first_colors(counts.shape[1]), "linewidth": 0, **kwargs}
        if options["kind"] == "line":
            options = {"marker": "o", "clip_on": False, **options, "linewidth": kwargs.get("linewidth", 1.5)}
        has_dates = len(labels) > 0 and options["kind"] in {"line", "area"}  # bars have names, not dates
        axes = draw(counts, ax, {**options, **({"x_compat": True} if has_dates else {})})
        if has_dates:
            axes.set_xlim(counts.index.min(), counts.index.max())
            write_days(axes, len(counts))
        return written_literally(axes if ax is not None else legend_beside(axes), counts.columns)

    def time_to_label(
        self, ax: Axes | None = None, *, label_types: Collection[str] | None = SUBMITTED, **kwargs: Any
    ) -> Axes:
        """Draw how long each labeler takes for a label: median, quartiles and outliers.

        Labelers without any time are left out.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, optional
            Where to draw; by default new axes.
        label_types : collection of str or None
            Labels of other types are left out; by default only what people submitted counts. None takes all labels;
            those of models go under the name of the model.
        **kwargs
            For `matplotlib.axes.Axes.boxplot`, such as ``showfliers=False``; and ``title``, ``xlabel``, ``figsize``.

        Returns
        -------
        matplotlib.axes.Axes

        Examples
        --------
        >>> fields = ["labels.secondsToLabel", "labels.author.email", "labels.labelType"]
        >>> df = pd.read_kili(project_id, fields=fields, first=10)
        >>> KiliPlot(df).time_to_label().get_xlabel()
        'seconds'
        """
        labels = self._labels("secondsToLabel", label_types)
        seconds = labels["secondsToLabel"].astype("Float64").to_numpy(np.float64, na_value=np.nan)
        groups = pd.Series(seconds).groupby(pd.Series(labelers(labels), dtype=object))
        times = {str(labeler): each.dropna().to_numpy() for labeler, each in groups if each.notna().any()}
        return written_literally(
            draw_boxes(times, ax, {"title": "Time to label", "xlabel": "seconds", **kwargs}), times
        )

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
        options |= {"ylabel": "assets", "xlabel": "mark", "color": first_colors(len(known))}
        axes = draw(marks, ax, {**options, **kwargs})
        if not marks.notna().any(axis=None):
            write_note(axes, "no marks yet")
        return axes

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
            Count only the categories of this job; by default those of all jobs.
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
        >>> KiliPlot(df).class_balance("KIND").get_ylabel()
        'KIND'
        """
        self._labels("jsonResponse", label_types)
        rows = annotations_table(chosen_labels(self._frame, PER_ASSET, label_types))
        rows = rows[rows["kind"].isin(_CLASSES) & rows["category"].notna()]
        if job is not None:
            check_known(job, rows["job"].dropna().tolist(), "job")
            rows = rows[rows["job"].isin([job])]
        classes = pd.Series(list(zip(rows["job"], rows["category"], strict=True)), dtype=object)
        counts = classes.value_counts().sort_values(kind="stable").astype("int64")
        several = len({each[0] for each in counts.index}) > 1
        palette = Palette(counts.index, known_classes(self._frame))
        names = [": ".join(each) if several else each[1] for each in counts.index]
        bars = pd.Series(counts.to_numpy(), names) if names else pd.Series([0], [NONE])
        options = {"kind": "barh", "title": "Classes", "xlabel": "times", "ylabel": job or "", "legend": False}
        options |= {"color": [COLORS[palette[each].color] for each in counts.index] or COLORS[0], "width": 0.8}
        options |= {"figsize": size_for(bars.index), **kwargs}
        axes = draw(bars, ax, dict(options))
        if options["kind"] == "barh":
            for bar, each in zip(axes.containers[-1], counts.index, strict=False):  # an empty chart has a bar too
                if palette[each].dash:
                    bar.set(hatch=HATCHES[palette[each].dash], edgecolor=outline(COLORS[palette[each].color]), lw=0)
            axes.bar_label(axes.containers[-1], fmt="{:,.0f}", padding=3)  # type: ignore[arg-type]  # text for `str.format` is taken too
            axes.margins(x=0.1)
        return written_literally(axes, [*names, job or ""])

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
            E-mail addresses (ids if addresses were not read), or names of models; for these, give `label_types`.
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
            check_known(labeler, known, "labeler")
        return confusion_matrix(self._frame, (labeler_a, labeler_b), job, ax, label_types, kwargs)

    def agreement(
        self,
        job: str | None = None,
        ax: Axes | None = None,
        *,
        measure: Literal["percent", "kappa", "iou", "f1"] | None = None,
        label_types: Collection[str] | None = SUBMITTED,
        **kwargs: Any,
    ) -> Axes:
        """Draw how far each two labelers agree: a matrix, darker where they agree more.

        Cells of up to eight labelers say in brackets how many assets (frames, pages) both labeled. Those who share none
        have an empty cell.

        Parameters
        ----------
        job : str, optional
            The job that is compared; needed where labelers share several.
        ax : matplotlib.axes.Axes, optional
            Where to draw; by default new axes.
        measure : {"percent", "kappa", "iou", "f1"}, optional
            The column of ``df.kili.agreement()`` that is drawn; by default ``percent``, or ``f1`` for jobs of
            boxes and spans.
        label_types : collection of str or None
            Labels of other types are left out; by default only what people submitted counts. None takes all labels;
            those of models go under the name of the model.
        **kwargs
            For `matplotlib.axes.Axes.imshow`, such as ``cmap="viridis"``; and ``figsize``.

        Returns
        -------
        matplotlib.axes.Axes

        Raises
        ------
        KiliValidationError
            If the job or the measure is not there, or if labelers share several jobs and none is named.

        Examples
        --------
        >>> df = pd.read_kili(project_id, status_in=["LABELED"], first=10)
        >>> KiliPlot(df).agreement().get_title()
        'KIND: equal answers, percent'
        """
        return agreement_matrix(self._frame, job, measure, ax, label_types, kwargs)

    def _column(self, name: Hashable) -> pd.Series[Any]:
        if name not in self._frame:
            raise _unread(name)
        return self._frame[name]

    def _labels(self, field: str, label_types: Collection[str] | None) -> pd.DataFrame:
        labels = of_types(labels_table(self._frame), label_types)
        if field not in labels:
            raise lacking(field, labels.columns)
        return labels


def _unread(name: Hashable) -> KiliFieldError:
    return KiliFieldError(f"The frame has no column {name!r}: read it among the fields.", field=str(name))
