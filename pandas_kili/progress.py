"""One progress bar, shown where somebody looks."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from pandas_kili.settings import progress_disabled

if TYPE_CHECKING:
    from tqdm import tqdm


def progress_bar(description: str, *, total: int | None, unit: str, disable: bool | None) -> tqdm[Any]:
    """Return a bar: the argument decides, else the settings, else whether it would be seen.

    It is shown in notebooks, and in terminals; not where the output goes to a file.
    """
    from tqdm.auto import tqdm  # noqa: PLC0415 - its notebook part costs time to import

    disable = progress_disabled() if disable is None else disable
    if disable is None and _in_notebook():
        disable = False
    return tqdm(
        desc=description,
        total=total,
        unit=unit,
        unit_scale=unit == "B",
        disable=disable,  # None: off outside terminals
        leave=False,
    )


def _in_notebook() -> bool:
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    return shell is not None and "IPKernelApp" in getattr(shell, "config", {})
