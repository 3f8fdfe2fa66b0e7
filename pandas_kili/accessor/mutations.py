"""`DataFrame.kili`: methods that change the project: rows become mutations."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any, Literal, Unpack

import pandas as pd

from pandas_kili.connection import Client
from pandas_kili.frames import KiliFrame
from pandas_kili.writing import (
    AWAY,
    TO_QUEUE,
    TO_REVIEW,
    AnswerCheck,
    LabelKind,
    MutationOptions,
    NewAssetColumns,
    Plan,
    PropertyColumns,
    append_labels,
    change_external_ids,
    columns_and_options,
    make_plan,
    merge_metadata,
    move,
    options_of,
    report_of,
    update_properties,
)

_NEW_ASSET, _PROPERTIES = NewAssetColumns.__optional_keys__, PropertyColumns.__optional_keys__


class Mutations:
    """Methods that change the project: rows become mutations."""

    _frame: pd.DataFrame

    @property
    def report(self) -> pd.DataFrame:
        """What became of each row in the mutation that returned this very frame.

        Returns
        -------
        pandas.DataFrame
            On the index of the frame, all columns ``string``: ``id``, ``externalId``, ``message``, and ``outcome``:
            ``applied``, ``unchanged`` (nothing was to be done), ``declined`` (by the server, for a reason of the data),
            ``failed`` or ``not_sent``.

        Raises
        ------
        AttributeError
            Where this frame did not come from a mutation, or its rows were changed in place since: reports do not
            travel to derived frames.

        Examples
        --------
        >>> df = pd.read_kili(project_id, fields=["id", "priority"], first=2)
        >>> df.assign(priority=7).kili.update_properties_in_assets("priority").kili.report["outcome"].tolist()
        ['applied', 'applied']
        """
        return report_of(self._frame)

    def append_many_to_dataset(
        self,
        project_id: str | None = None,
        *,
        content_is: Literal["text", "url", "path"] | None = None,
        if_exists: Literal["fail", "skip"] = "fail",
        **columns: Unpack[NewAssetColumns],
    ) -> KiliFrame:
        """Make a new asset of each row; the project's order is that of the rows.

        Parameters
        ----------
        project_id : str, optional
            Where the assets go; by default the project that the frame was read from.
        content_is : {"text", "url", "path"}, optional
            What all of ``content`` is, for text that begins as a URL or equals the name of a file. By default each cell
            tells: a URL has no white space, ``.txt`` and ``.csv`` files of TEXT projects are named with their folder.
        if_exists : {"fail", "skip"}
            What to do with external ids that the project has, or that appear twice in the frame: refuse all rows, or
            leave those rows ``unchanged``. With ``"skip"``, every row needs an external id or an id.
        **columns
            See `NewAssetColumns`: the column of each property, beside the `MutationOptions`. By default a property
            takes the column with its Kili name (``content``, ``externalId``, ``id``, ``jsonContent``,
            ``jsonMetadata``, ``isHoneypot``, ``status``), where there is one. Null cells take Kili's defaults.

        Returns
        -------
        pandas.DataFrame
            With the columns ``id`` and ``externalId`` of the new assets; of skipped rows, the asset that is there.

        Notes
        -----
        Ids are made here and sent along, so an answer that is lost costs nothing: what exists is not sent again, also
        by a later call with the frame of a `KiliMutationError`. After a crash, ``if_exists="skip"`` completes the work.
        Two processes may append the same frame with ``if_exists="skip"``: each asset is made by one of them, and is
        ``unchanged`` for the other. On a server that does not hold external ids unique, assets may be made twice in
        the second between look and request; a `KiliConsistencyWarning` names those that were.

        Examples
        --------
        >>> texts = pd.DataFrame({"externalId": ["a", "b"], "content": ["First text.", "Second text."]})
        >>> texts.kili.append_many_to_dataset(project_id).kili.report["outcome"].tolist()
        ['applied', 'applied']
        """
        from pandas_kili.writing import append_rows  # noqa: PLC0415 - what handles files costs a tenth of the import

        named, options = columns_and_options("append_many_to_dataset", _NEW_ASSET, project_id, columns)
        return append_rows(self._frame, named, if_exists, options, content_is=content_is)

    def update_properties_in_assets(
        self, *columns: Hashable, project_id: str | None = None, **named: Unpack[PropertyColumns]
    ) -> KiliFrame:
        """Set properties of assets to the cells of columns; a null cell leaves that property as it is.

        Parameters
        ----------
        *columns : label
            Columns with the names of Kili fields: ``priority``, ``jsonMetadata``, ``consensusMark``, ``honeypotMark``,
            ``toBeLabeledBy``, ``content``, ``jsonContent``, ``status``, ``isUsedForConsensus``, ``isHoneypot``.
        **named
            See `PropertyColumns`: the column of a property, whatever its label, beside the `MutationOptions`.

        Returns
        -------
        pandas.DataFrame
            With the columns of these properties, where it has them, as they are now on the server.

        Examples
        --------
        >>> df = pd.read_kili(project_id, fields=["id", "jsonMetadata", "priority"], first=3)
        >>> df["meta"] = [{"batch": 1}, {"batch": 2}, None]
        >>> df.kili.update_properties_in_assets(json_metadata="meta")["jsonMetadata"].tolist()[:2]
        ['{"batch": 1}', '{"batch": 2}']
        """
        properties, options = columns_and_options("update_properties_in_assets", _PROPERTIES, project_id, named)
        return update_properties(self._frame, columns, properties, options)

    def append_labels(
        self,
        json_response: Hashable = "jsonResponse",
        label_type: Literal["DEFAULT", "PREDICTION", "REVIEW", "INFERENCE", "AUTOSAVE"] = "DEFAULT",
        model_name: str | None = None,
        *,
        seconds_to_label: Hashable | None = None,
        check: AnswerCheck = "interface",
        project_id: str | None = None,
        **options: Unpack[MutationOptions],
    ) -> KiliFrame:
        """Give the asset of each row a label: ground truth, a prediction, a review.

        Parameters
        ----------
        json_response : label
            Column of the answers: dicts or JSON text, such as `pandas_kili.to_json_response` makes; none missing.
        label_type : str
            Type of all these labels.
        model_name : str, optional
            The model behind them; predictions and inferences need one.
        seconds_to_label : label, optional
            Column of the seconds that each took.
        check : {"interface", "shape", False}
            What answers are held to before anything is sent. By default to the project's own questions, where the
            project is known: names of jobs and categories, tasks, tools, which jobs are nested in which, and for labels
            of people the required answers; as well as to what every answer must be: shares within the picture,
            confidences from 0 to 100, ends after beginnings. ``"shape"``, for keys that may not read the interface,
            leaves the names unchecked; False checks only that answers are JSON objects.

        Returns
        -------
        pandas.DataFrame
            The rows as they were. An asset may have several rows, and gets a label from each.

        Notes
        -----
        A label is known again by its asset, type, model, author and answer: where an asset has this very label, the row
        is ``unchanged``, so that a script can run twice. Servers may complete an answer, for instance with a confidence
        of 100; it is known again all the same. A request that timed out is looked for until it cannot be at work any
        more, about half a minute, and never sent again: where nothing shows by then, its rows have ``failed`` with
        "outcome unknown", and a second call finds what came through in the meantime.

        Examples
        --------
        >>> df = pd.read_kili(project_id, fields=["id"], skip=200, first=2)
        >>> df["guess"] = [{"KIND": {"categories": [{"name": "SPAM", "confidence": 80}]}}] * 2
        >>> df.kili.append_labels("guess", "PREDICTION", "cats-v1").kili.report["outcome"].tolist()
        ['applied', 'applied']
        """
        kind = LabelKind(label_type, model_name)
        told = options_of("append_labels", project_id, options)
        return append_labels(self._frame, json_response, seconds_to_label, kind, told, check)

    def merge_metadata(
        self, *columns: str, project_id: str | None = None, **options: Unpack[MutationOptions]
    ) -> KiliFrame:
        """Set single keys of each asset's metadata to the cells of columns; all other keys stay.

        The metadata are read, merged and written by the id of each asset, so rows may be in any order.

        Parameters
        ----------
        *columns : str
            Columns named after the keys, such as `metadata` gives them. Cells hold what JSON can: text, numbers, flags,
            lists, dicts; a null cell leaves the key of that asset as it is, `pandas_kili.REMOVE` removes it. Where the
            key holds a list or an object, JSON text of one is read as such: columns of `metadata` can be given back.

        Returns
        -------
        pandas.DataFrame
            With ``jsonMetadata``, where it has that column, as it is now on the server.

        Notes
        -----
        Kili takes metadata as a whole. They are read, merged and written batch by batch: a key that somebody else
        writes is lost only where it is written between the two. Whole numbers that missing values made floats are
        written as whole numbers.
        Where `metadata` warned that the numbers of a key mix with other types, their text is written as text.

        Examples
        --------
        >>> df = pd.read_kili(project_id, fields=["id", "jsonMetadata"], skip=5, first=1)
        >>> df.assign(site="Lyon").kili.merge_metadata("site").kili.metadata()["site"].tolist()
        ['Lyon']
        """
        return merge_metadata(self._frame, columns, options_of("merge_metadata", project_id, options))

    def plan(
        self,
        project_id: str | None = None,
        *,
        properties: Sequence[str] | None = None,
        metadata: Sequence[str] | None = None,
        new: Literal["append", "refuse", "skip"] = "append",
        missing: Literal["keep", "delete"] = "keep",
        within: Mapping[str, Any] | None = None,
        client: Client | None = None,
    ) -> Plan:
        """Compare the frame with its project, and return what would have to change; nothing is changed.

        Parameters
        ----------
        project_id : str, optional
            Project that the rows describe; by default the one that the frame was read from.
        properties : sequence of str, optional
            Columns to compare; by default all with the name of a property that can be set: ``externalId`` (where
            rows have an ``id``), ``jsonMetadata``, ``priority``, ``isHoneypot``, ``toBeLabeledBy`` and so on.
            ``content`` and ``jsonContent`` are for new assets only, unless named; then they are compared where they are
            addresses. A null cell leaves the property as it is.
        metadata : sequence of str, optional
            Columns that are merged into the metadata, key by key; only these keys are compared. `pandas_kili.REMOVE`
            removes a key.
        new : {"append", "refuse", "skip"}
            What to do with rows that the project does not have.
        missing : {"keep", "delete"}
            What to do with assets that no row names.
        within : mapping, optional
            Filters, as of `pandas_kili.read_kili`: only assets that match them are deleted.
        client : Client, optional
            Connection to use; by default one that the environment describes.

        Returns
        -------
        Plan
            False where the project needs no change. Its ``apply()`` sends the changes.

        Raises
        ------
        KiliValidationError
            For cells that do not fit, assets that are ambiguous or named twice, names that are taken: all at once.

        Warns
        -----
        UserWarning
            Where a column that is left out looks like a misspelled property.

        Examples
        --------
        >>> df = pd.read_kili(project_id, fields=["id", "externalId", "priority"], first=3)
        >>> df.kili.plan()
        Plan for project '...': nothing to do.
        >>> plan = df.assign(priority=[8, 9, None]).kili.plan()
        >>> plan.summary["update"]
        2
        >>> plan.apply().kili.report["outcome"].tolist()
        ['applied', 'applied', 'unchanged']
        """
        return make_plan(
            self._frame,
            project_id,
            properties=properties,
            metadata=metadata,
            new=new,
            missing=missing,
            within=within,
            client=client,
        )

    def upsert(
        self,
        project_id: str | None = None,
        *,
        properties: Sequence[str] | None = None,
        metadata: Sequence[str] | None = None,
        new: Literal["append", "refuse", "skip"] = "append",
        missing: Literal["keep", "delete"] = "keep",
        within: Mapping[str, Any] | None = None,
        delete: bool | int = False,
        force: bool = False,
        **options: Unpack[MutationOptions],
    ) -> KiliFrame:
        """Make the project what the frame says: `plan` it and apply the plan.

        Parameters
        ----------
        project_id, properties, metadata, new, missing, within
            As for `plan`.
        delete, force
            As for `Plan.apply`.
        **options
            See `MutationOptions`.

        Returns
        -------
        pandas.DataFrame
            With the ``id`` of new assets.

        Examples
        --------
        >>> table = pd.DataFrame({"externalId": ["day-1"], "content": ["First text."], "priority": [3]})
        >>> table.kili.upsert(project_id).kili.report["outcome"].tolist()
        ['applied']
        >>> table.kili.upsert(project_id).kili.report["outcome"].tolist()
        ['unchanged']
        """
        options_of("upsert", project_id, options)  # raises for wrong ones before the project is read
        plan = self.plan(
            project_id,
            properties=properties,
            metadata=metadata,
            new=new,
            missing=missing,
            within=within,
            client=options.get("client"),
        )
        return plan.apply(delete=delete, force=force, **options)

    def change_asset_external_ids(
        self, new_external_ids: Hashable, *, project_id: str | None = None, **options: Unpack[MutationOptions]
    ) -> KiliFrame:
        """Give assets new external ids.

        Parameters
        ----------
        new_external_ids : label
            Column of the new external ids: text, none missing, none twice, none that another asset keeps. An asset may
            take the name that another row gives up; a server that wants names unique refuses a ring of such rows.
        project_id : str, optional
            Project of the assets, in which the new external ids must be free; by default that of the frame.

        Returns
        -------
        pandas.DataFrame
            With ``externalId``, where it has that column, as it is now on the server.

        Examples
        --------
        >>> df = pd.read_kili(project_id, fields=["id", "externalId"], first=2)
        >>> df["new"] = "renamed-" + df["externalId"]
        >>> df.kili.change_asset_external_ids("new")["externalId"].str.startswith("renamed-").all()
        True
        """
        return change_external_ids(
            self._frame, new_external_ids, options_of("change_asset_external_ids", project_id, options)
        )

    def delete_many_from_dataset(
        self, *, project_id: str | None = None, **options: Unpack[MutationOptions]
    ) -> KiliFrame:
        """Delete assets; one that is already gone is ``unchanged``.

        Returns
        -------
        pandas.DataFrame
            The rows as they were.

        Examples
        --------
        >>> df = pd.read_kili(project_id, fields=["id"], skip=240, first=3)
        >>> df.kili.delete_many_from_dataset().kili.report["outcome"].unique().tolist()
        ['applied']
        """
        return move(self._frame, AWAY, options_of("delete_many_from_dataset", project_id, options))

    def add_to_review(self, *, project_id: str | None = None, **options: Unpack[MutationOptions]) -> KiliFrame:
        """Send labeled assets to review; assets without a label are declined.

        Returns
        -------
        pandas.DataFrame
            With ``status``, where it has that column, ``TO_REVIEW`` in the rows that were applied.

        Examples
        --------
        >>> df = pd.read_kili(project_id, fields=["id", "status"], status_in=["LABELED"], first=2)
        >>> df.kili.add_to_review()["status"].tolist()
        ['TO_REVIEW', 'TO_REVIEW']
        """
        return move(self._frame, TO_REVIEW, options_of("add_to_review", project_id, options))

    def send_back_to_queue(self, *, project_id: str | None = None, **options: Unpack[MutationOptions]) -> KiliFrame:
        """Send assets back to the queue of those to be labeled; assets that were never labeled are in it already.

        Returns
        -------
        pandas.DataFrame
            With ``status``, where it has that column, ``ONGOING`` in the rows that were applied.

        Examples
        --------
        >>> df = pd.read_kili(project_id, fields=["id", "status"], status_in=["LABELED"], first=2)
        >>> df.kili.send_back_to_queue()["status"].tolist()
        ['ONGOING', 'ONGOING']
        """
        return move(self._frame, TO_QUEUE, options_of("send_back_to_queue", project_id, options))
