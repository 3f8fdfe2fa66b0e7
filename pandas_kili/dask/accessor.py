"""``ddf.kili``: the rows of each partition become mutations."""

from __future__ import annotations

import functools
import hashlib
import uuid
from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import dask.dataframe as dd
import pandas as pd
import pyarrow as pa

from pandas_kili.accessor import KiliAccessor
from pandas_kili.connection import client_or_default
from pandas_kili.dask.cluster import Connection
from pandas_kili.errors import KiliValidationError
from pandas_kili.query import asset_query
from pandas_kili.writing import report_of, require_column


@dd.extensions.register_dataframe_accessor("kili")
class DaskKiliAccessor:
    """Rows become mutations of a Kili project, each partition by itself; what comes back are the reports.

    Every method takes what the method of `pandas_kili.KiliAccessor` takes, but ``project_id`` must be given, and
    ``errors`` is ``"report"`` unless ``"raise"`` is asked for. It returns the reports: a lazy dask frame of ``id``,
    ``externalId``, ``outcome`` and ``message``, on the index of the rows. Rows are checked partition by partition.

    Nothing is sent before a report is computed, and everything is sent again where it is computed again. So compute it
    once, whole.

    Where a worker is lost, Dask computes its partition again, and its rows are sent again. Nothing is applied twice by
    that: rows to rename or delete need ids. Rows to append need external ids, as their ids are made of these.
    """

    def __init__(self, frame: dd.DataFrame) -> None:
        self._frame = frame

    def append_many_to_dataset(
        self,
        project_id: str,
        *,
        external_id: Hashable = "externalId",
        id: Hashable | None = None,  # noqa: A002 - Kili's name
        **named: Any,
    ) -> dd.DataFrame:
        """Make a new asset of each row.

        Parameters
        ----------
        project_id : str
            Where the assets go.
        external_id : label
            Column of the external ids: none may be missing, or be in two partitions.
        id : label, optional
            Column of the ids; by default ``id``, where there is one. Without, they are made of the rows when this is
            called, so that a partition which is given again finds the assets that it has made.
        **named
            Other columns, ``if_exists`` and `MutationOptions`, as for `KiliAccessor.append_many_to_dataset`.

        Returns
        -------
        dask.dataframe.DataFrame
            The reports. Within a partition the project's order is that of the rows.

        Examples
        --------
        >>> import pandas as pd, dask.dataframe, pandas_kili.dask
        >>> texts = pd.DataFrame({"externalId": ["a1", "b1"], "content": ["First text.", "Second text."]})
        >>> ddf = dask.dataframe.from_pandas(texts, npartitions=2)
        >>> ddf.kili.append_many_to_dataset(project_id).compute()["outcome"].tolist()
        ['applied', 'applied']
        """
        meta = self._frame._meta  # noqa: SLF001 - dask's own word for it
        require_column(meta, external_id)
        label = "id" if id is None and "id" in meta.columns else id
        prepare = functools.partial(_with_ids, label=label, names=external_id, token=uuid.uuid4().hex)
        named |= {"external_id": external_id, "id": "id" if label is None else id}
        return self._reports("append_many_to_dataset", project_id, named, prepare=prepare)

    def update_properties_in_assets(self, *columns: Hashable, project_id: str, **named: Any) -> dd.DataFrame:
        """Set properties of assets to the cells of columns.

        Parameters
        ----------
        *columns : label
            Columns with the names of Kili fields.
        project_id : str
            Project of the assets.
        **named
            Columns by property, and `MutationOptions`, as for `KiliAccessor.update_properties_in_assets`.

        Returns
        -------
        dask.dataframe.DataFrame
            The reports.

        Examples
        --------
        >>> import pandas_kili.dask
        >>> ddf = pandas_kili.dask.read_kili(project_id, fields=["id", "priority"], rows_per_partition=100)
        >>> reports = ddf.assign(priority=3).kili.update_properties_in_assets("priority", project_id=project_id)
        >>> reports["outcome"].value_counts().compute().to_dict()
        {'applied': 250}
        """
        return self._reports("update_properties_in_assets", project_id, named, columns, by={"id", "externalId"})

    def change_asset_external_ids(self, new_external_ids: Hashable, *, project_id: str, **named: Any) -> dd.DataFrame:
        """Give assets new external ids.

        Parameters
        ----------
        new_external_ids : label
            Column of the new external ids; a name that another asset keeps is refused, also where a later partition
            would free it.
        project_id : str
            Project of the assets.
        **named
            `MutationOptions`.

        Returns
        -------
        dask.dataframe.DataFrame
            The reports.
        """
        require_column(self._frame._meta, new_external_ids)  # noqa: SLF001 - as above
        return self._reports("change_asset_external_ids", project_id, named, [new_external_ids], by={"id"})

    def delete_many_from_dataset(self, *, project_id: str, **named: Any) -> dd.DataFrame:
        """Delete assets; one that is already gone is ``unchanged``."""
        return self._reports("delete_many_from_dataset", project_id, named, by={"id"})

    def add_to_review(self, *, project_id: str, **named: Any) -> dd.DataFrame:
        """Send labeled assets to review; assets without a label are declined."""
        return self._reports("add_to_review", project_id, named, by={"id", "externalId"})

    def send_back_to_queue(self, *, project_id: str, **named: Any) -> dd.DataFrame:
        """Send assets back to the queue of those to be labeled; assets that were never labeled are in it already."""
        return self._reports("send_back_to_queue", project_id, named, by={"id", "externalId"})

    def upsert(self, *, project_id: str, **named: Any) -> dd.DataFrame:
        """Make the assets of a project what the rows say: append those that it lacks, and update those that differ.

        Each partition is compared and applied by itself, so nothing is deleted, and no name moves between partitions.

        Parameters
        ----------
        project_id : str
            Project that the rows describe.
        **named
            ``properties``, ``metadata``, ``new``, ``force`` and `MutationOptions`, as for `KiliAccessor.upsert`.

        Returns
        -------
        dask.dataframe.DataFrame
            The reports.

        Examples
        --------
        >>> import pandas as pd, dask.dataframe, pandas_kili.dask
        >>> texts = pd.DataFrame({"externalId": ["u1", "u2"], "content": ["First text.", "Second text."]})
        >>> ddf = dask.dataframe.from_pandas(texts, npartitions=2)
        >>> ddf.kili.upsert(project_id=project_id).compute()["outcome"].tolist()
        ['applied', 'applied']
        >>> ddf.kili.upsert(project_id=project_id).compute()["outcome"].tolist()
        ['unchanged', 'unchanged']
        """
        for name in {"missing", "within", "delete"} & named.keys():
            raise KiliValidationError(f"{name}= is for whole frames: a partition does not know what others name.")
        return self._reports("upsert", project_id, named, by={"id", "externalId"})

    def _reports(
        self,
        verb: str,
        project_id: str,
        named: dict[str, Any],
        columns: Sequence[Hashable] = (),
        *,
        by: frozenset[str] | set[str] = frozenset(),
        prepare: Callable[[pd.DataFrame], pd.DataFrame] | None = None,
    ) -> dd.DataFrame:
        """Check what needs no rows, and return the lazy reports of all partitions."""
        asset_query(project_id, {})
        meta = self._frame._meta  # noqa: SLF001 - as above
        if by and not by & set(meta.columns):
            raise KiliValidationError(f"The frame needs a column {' or '.join(map(repr, sorted(by, reverse=True)))}.")
        client = client_or_default(named.pop("client", None))
        options = {"errors": "report", **named, "project_id": project_id, "disable_tqdm": True}
        mutation = _MutatePartition(
            Connection(client), verb, tuple(columns), options, prepare, must_have_id=by == {"id"}
        )
        reports: dd.DataFrame = self._frame.map_partitions(mutation, meta=mutation(meta.iloc[:0]))
        return reports


@dataclass(frozen=True)
class _MutatePartition:
    """What is done to each partition: a frame in, its report out. Without rows, nothing is sent."""

    connection: Connection
    verb: str
    columns: tuple[Hashable, ...]
    options: Mapping[str, Any]
    prepare: Callable[[pd.DataFrame], pd.DataFrame] | None
    must_have_id: bool

    def __call__(self, frame: pd.DataFrame) -> pd.DataFrame:
        if self.must_have_id and frame["id"].isna().any():
            # By its external id, an asset that was renamed or deleted would not be found when given again.
            raise KiliValidationError(f"{self.verb} needs an id in every row.")
        rows = frame if self.prepare is None else self.prepare(frame)
        client = self.connection.open() if len(frame) else None
        mutate = getattr(KiliAccessor(rows), self.verb)
        return report_of(mutate(*self.columns, client=client, **self.options))


def _with_ids(frame: pd.DataFrame, *, label: Hashable | None, names: Hashable, token: str) -> pd.DataFrame:
    """Give rows the ids of new assets: the same when they are given again, others when they are others."""
    if frame[names].isna().any():
        raise KiliValidationError(f"Every row needs an external id, in the column {names!r}.")
    seen: Counter[str] = Counter()
    ids = []
    for row in map(repr, frame.itertuples(index=False, name=None)):
        digest = hashlib.sha256(f"{token}/{seen[row]}/{row}".encode()).hexdigest()
        seen[row] += 1
        ids.append(f"c{digest[:24]}")
    made = pd.Series(pa.array(ids, pa.string()), frame.index, dtype=pd.ArrowDtype(pa.string()))
    out = frame.copy()
    out["id" if label is None else label] = made if label is None else frame[label].fillna(made)
    return out
