"""Beyond one machine: `read_kili` as a dask frame, and ``ddf.kili``, which writes its rows back.

Importing this module gives dask's frames the accessor ``.kili``.

The key is never sent along: a worker reads its own, from ``KILI_API_KEY`` or the configuration file. The workers of a
`distributed` cluster share one budget of calls: its scheduler counts for all of them.
"""

from __future__ import annotations

try:
    import dask.dataframe  # noqa: F401 - the first import tells what to install
except ImportError as error:
    raise ImportError("pandas_kili.dask needs dask: pip install 'pandas-kili[dask]'.") from error

from pandas_kili.dask.accessor import DaskKiliAccessor
from pandas_kili.dask.read import read_kili

__all__ = ["DaskKiliAccessor", "read_kili"]
