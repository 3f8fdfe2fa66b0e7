"""`DataFrame.kili`: a documented method per verb."""

from __future__ import annotations

import pandas as pd

from pandas_kili.accessor.exports import Exports
from pandas_kili.accessor.mutations import Mutations
from pandas_kili.accessor.tables import Tables
from pandas_kili.accessor.views import Views

__all__ = ["KiliAccessor"]


class KiliAccessor(Mutations, Tables, Exports, Views):
    """Rows become mutations of a Kili project; the frame comes back, so that calls chain.

    Every method maps each row to one asset, checks all rows before anything is sent, and returns a new frame: same
    index, same order, the columns that are known to have changed brought up to date. Rows are identified by the column
    ``id``, else by ``externalId`` within a project.

    All methods that write take a ``project_id``, by default that of the project which the frame was read from
    (``attrs["kili"]``), and the keywords of `MutationOptions`: ``client``, ``disable_tqdm``, ``dry_run``, ``errors``.
    Rows are held to that project, and to the server that they were read from.

    Raises
    ------
    KiliValidationError
        For columns that do not exist, cells that do not fit, assets that are unknown, ambiguous, given twice or of
        another project, and frames of another server: all failures at once, before anything is sent.
    KiliMutationError
        With ``errors="raise"``, where rows ``failed`` or were ``not_sent``; its ``.report`` and ``.frame`` tell which.
        ``err.frame[err.report.outcome != "applied"]`` is what is left to do, and calling again with it is safe: it
        names all its assets by ``id``. Whatever else ends a call, such as Ctrl-C, carries both attributes too.

    Warns
    -----
    KiliDeclinedWarning
        Where the server declined rows, such as a review of assets without labels. It carries ``.report`` and ``.frame``
        as well, for callers that turn warnings into errors.
    """

    def __init__(self, frame: pd.DataFrame) -> None:
        self._frame = frame  # pandas builds an accessor at every access: it holds no more than this
