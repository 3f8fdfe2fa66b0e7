"""The class of each picture, or text, out of classification jobs."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pyarrow as pa

from pandas_kili.arrow import arrow_array
from pandas_kili.errors import KiliValidationError
from pandas_kili.formats.pictures import Pictures, find_pictures
from pandas_kili.formats.samples import ExportOptions, Report, categories_of, chosen_labels, questions, readable_assets
from pandas_kili.formats.shapes import numbers_of
from pandas_kili.messages import listed
from pandas_kili.tidy import CATEGORY, annotations_table


@dataclasses.dataclass(frozen=True)
class Classes:
    """Assets with one class each.

    Attributes
    ----------
    pictures : Pictures
    names : list of str
        All classes, in the order of the project, then of their names.
    category : list of int
        Of each picture: position in `names`.
    left_out : DataFrame
    """

    pictures: Pictures
    names: list[str]
    category: list[int]
    left_out: pd.DataFrame


def collect_classes(frame: pd.DataFrame, format_name: str, options: ExportOptions) -> Classes:
    """Return the assets that have one class in a job, and warn of the others.

    Raises
    ------
    KiliValidationError
        If several jobs choose classes and none is named, or for options that are not possible.
    """
    report = Report(format_name)
    chosen = chosen_labels(frame, options, report)
    asked = questions(options)
    rows = annotations_table(chosen.set_axis(pd.RangeIndex(len(chosen)), axis=0), asked)
    kinds, jobs = (np.array(arrow_array(rows[name]).to_pylist(), object) for name in ("kind", "job"))
    is_class = (kinds == CATEGORY) & np.isnan(numbers_of(rows, "parentRow")) & np.isnan(numbers_of(rows, "frame"))
    job = options.get("job")
    known = sorted(set(jobs[is_class].tolist()))
    if job is None and len(known) > 1:
        raise KiliValidationError(f"which job? Those that choose classes: {listed(known)}.")
    wanted = is_class & (jobs == (job if isinstance(job, str) else job[0] if job else (known or [None])[0]))
    asset = chosen.index.to_numpy(np.int64)[rows.index.to_numpy()]
    categories = arrow_array(rows["category"]).filter(pa.array(wanted)).to_pylist()
    table = pd.DataFrame({"asset": asset[wanted], "category": pd.Series(categories, dtype=object)}).drop_duplicates()
    several = table["asset"].duplicated(keep=False)
    report.add(np.unique(table["asset"][several].to_numpy(np.int64)), "several classes")
    readable = readable_assets(chosen, rows)
    report.add(np.setdiff1d(chosen.index.to_numpy(np.int64), readable), "the answer cannot be read")
    report.add(np.setdiff1d(readable, table["asset"]), "no class")
    table = table[~several].sort_values("asset", kind="stable")
    of_job = {job} if isinstance(job, str) else set(known)
    order = [name for of, name in categories_of(asked, "CLASSIFICATION") if of in of_job]
    names = [*order, *sorted(set(table["category"]).difference(order))]
    assets = table["asset"].to_numpy(np.int64)
    pictures = find_pictures(
        frame,
        assets,
        np.full(len(assets), -1),
        np.zeros(len(assets), bool),
        split=options.get("split"),
        needs_sizes=False,
        needs_files=options.get("media", "none") != "none",
    )
    report.warn()
    numbers = {name: number for number, name in enumerate(names)}
    return Classes(pictures, names, [numbers[name] for name in table["category"]], report.table(frame))
