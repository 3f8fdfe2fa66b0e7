"""A local Kili to read from and write to, without account or network."""

from __future__ import annotations

try:
    import graphql as _graphql  # noqa: F401 - the first import tells what to install
except ImportError as error:
    raise ImportError("The sandbox needs graphql-core: pip install 'pandas-kili[sandbox]'") from error

from pandas_kili.sandbox.faults import Fault
from pandas_kili.sandbox.habits import Habits
from pandas_kili.sandbox.local import Sandbox
from pandas_kili.sandbox.routes import Request

__all__ = ["Fault", "Habits", "Request", "Sandbox"]
