"""One progress bar, shown where a person looks."""

from __future__ import annotations

import contextlib
import importlib.util
import sys
from typing import TYPE_CHECKING, Any

from pandas_kili.connection import progress_disabled, showing_waits
from pandas_kili.parallel import imported

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tqdm import tqdm

_PATIENCE = 0.5  # seconds; a notebook keeps what was shown, so shorter work leaves no trace in it


@contextlib.contextmanager
def progress_bar(description: str, *, total: int | None, unit: str, disable: bool | None) -> Iterator[tqdm[Any]]:
    """Show a bar: the argument decides, else the settings, else whether anyone would see it.

    It is shown in terminals, and in notebooks for what takes a while; not where the output goes to a file. It says when
    calls wait for the rate limit.
    """
    disable = progress_disabled() if disable is None else disable
    notebook = _in_notebook()
    if notebook and disable is None:
        disable = False
    if not notebook and sys.stderr is None:  # services, and programs without a console
        disable = True
    bar = _bar_class(notebook=notebook)(
        desc=description,
        total=total,
        unit=unit,
        unit_scale=unit == "B",
        disable=disable,  # None: off outside terminals
        leave=False,
        delay=_PATIENCE if notebook else 0,
    )
    with bar, showing_waits(bar.set_postfix_str):
        yield bar


def _bar_class(*, notebook: bool) -> type[tqdm[Any]]:
    """Return a widget where there can be one, else text, as `tqdm.auto` does, which warns of what is not installed."""
    has_widgets = notebook and importlib.util.find_spec("ipywidgets") is not None
    bar: type[tqdm[Any]] = imported(
        "tqdm.notebook" if has_widgets else "tqdm"
    ).tqdm  # importing this package loads none
    return bar


def _in_notebook() -> bool:
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    return shell is not None and "IPKernelApp" in getattr(shell, "config", {})
