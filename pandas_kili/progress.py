"""One progress bar, shown where somebody looks."""

from __future__ import annotations

import importlib.util
import sys
from typing import TYPE_CHECKING, Any

from pandas_kili.connection import progress_disabled

if TYPE_CHECKING:
    from tqdm import tqdm

_PATIENCE = 0.5  # seconds; a notebook keeps what was shown, so what is over sooner leaves no trace in it


def progress_bar(description: str, *, total: int | None, unit: str, disable: bool | None) -> tqdm[Any]:
    """Return a bar: the argument decides, else the settings, else whether it would be seen.

    It is shown in notebooks, once it is worth while, and in terminals; not where the output goes to a file.
    """
    disable = progress_disabled() if disable is None else disable
    notebook = _in_notebook()
    if disable is None and notebook:
        disable = False
    return _bar_class(notebook=notebook)(
        desc=description,
        total=total,
        unit=unit,
        unit_scale=unit == "B",
        disable=disable,  # None: off outside terminals
        leave=False,
        delay=_PATIENCE if notebook else 0,
    )


def _bar_class(*, notebook: bool) -> type[tqdm[Any]]:
    """Return a widget where there can be one, else text, as `tqdm.auto` does, which warns of what is not installed."""
    if notebook and importlib.util.find_spec("ipywidgets") is not None:
        from tqdm.notebook import tqdm as widget  # noqa: PLC0415 - as below

        return widget
    from tqdm import tqdm as text  # noqa: PLC0415 - importing this package does not load it

    return text


def _in_notebook() -> bool:
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    return shell is not None and "IPKernelApp" in getattr(shell, "config", {})
