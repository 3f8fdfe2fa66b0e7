"""`DataFrame.kili`: a documented method per verb."""

from __future__ import annotations

import os
from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, Unpack

import pandas as pd
import pyarrow as pa

from pandas_kili.connection import Client
from pandas_kili.frames import KiliFrame, typed
from pandas_kili.tidy import (
    SUBMITTED,
    agreement,
    annotations_table,
    disagreements,
    label_errors,
    labels_table,
    metadata_table,
)
from pandas_kili.writing import (
    AWAY,
    TO_QUEUE,
    TO_REVIEW,
    AnswerCheck,
    LabelKind,
    MutationOptions,
    NewAssetColumns,
    Options,
    Plan,
    PropertyColumns,
    Work,
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

if TYPE_CHECKING:
    from datasets import Dataset, DatasetDict

    from pandas_kili.display import KiliPlot, LabelChoice, Preview
    from pandas_kili.formats import ExportOptions


_NEW_ASSET, _PROPERTIES = NewAssetColumns.__optional_keys__, PropertyColumns.__optional_keys__


@pd.api.extensions.register_dataframe_accessor("kili")
class KiliAccessor:
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
            What to do with external ids that the project has, or that stand twice in the frame: refuse all rows, or
            leave those rows ``unchanged``. With ``"skip"``, every row needs an external id or an id.
        **columns
            See `NewAssetColumns`: the column of each property, beside the `MutationOptions`. By default a property
            takes the column that bears its Kili name (``content``, ``externalId``, ``id``, ``jsonContent``,
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
            Columns that bear Kili field names: ``priority``, ``jsonMetadata``, ``consensusMark``, ``honeypotMark``,
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
            project is known: names of jobs and categories, tasks, tools, what hangs on what, and for labels of people
            the required answers; as well as to what every answer must be: shares within the picture, confidences from
            0 to 100, ends after beginnings. ``"shape"``, for keys that may not read the interface, leaves the names
            unchecked; False checks only that answers are JSON objects.

        Returns
        -------
        pandas.DataFrame
            The rows as they were. An asset may stand in several rows, and gets a label from each.

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

        The metadata are read, merged and written by the id of each asset, so rows may stand in any order.

        Parameters
        ----------
        *columns : str
            Columns named after the keys, such as `metadata` gives them. Cells hold what JSON can: text, numbers, flags,
            lists, dicts; a null cell leaves the key of that asset as it is, `pandas_kili.REMOVE` removes it. Where the
            key holds a list or an object, JSON text of one is read as such, so that the columns of `metadata` can be
            given back.

        Returns
        -------
        pandas.DataFrame
            With ``jsonMetadata``, where it has that column, as it is now on the server.

        Notes
        -----
        Kili takes metadata as a whole. They are read, merged and written batch by batch, so that a key which somebody
        else writes is lost only between the reading and the writing of one batch. Whole numbers that missing values
        made floats are written as whole numbers.
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
            Columns to compare; by default all that bear the name of a property that can be set: ``externalId`` (where
            rows have an ``id``), ``jsonMetadata``, ``priority``, ``isHoneypot``, ``toBeLabeledBy`` and so on.
            ``content`` and ``jsonContent`` are for new assets only, unless named. A null cell leaves the property as it
            is.
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
            False where nothing is to be done. Its ``apply()`` sends the changes.

        Raises
        ------
        KiliValidationError
            For cells that do not fit, assets that are ambiguous or named twice, names that are taken: all at once.

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

    def download_media(
        self,
        local_media_dir: str | os.PathLike[str] | None = None,
        *,
        project_id: str | None = None,
        client: Client | None = None,
        disable_tqdm: bool | None = None,
    ) -> KiliFrame:
        """Store the media of the assets in a folder, and put their paths in the place of the URLs.

        Parameters
        ----------
        local_media_dir : str or path, optional
            The folder; by default ``~/.cache/kili/projects/<project_id>/assets``.
        project_id : str, optional
            Project of the assets; by default the one that the frame was read from.
        client : Client, optional
            Connection to use; by default one that the environment describes.
        disable_tqdm : bool, optional
            Switch the progress bar off or on; by default it is shown in notebooks and terminals.

        Returns
        -------
        pandas.DataFrame
            With paths in ``content``, and in ``jsonContent`` of rich text and of videos made of frames.

        Raises
        ------
        KiliDownloadError
            Once all else is on disk, where something could not be fetched; its ``failures`` name the assets, its
            ``frame`` is what would have been returned.

        Examples
        --------
        >>> df = pd.read_kili(project_id, fields=["id", "externalId", "content"], first=1)
        >>> df.assign(content="no URL, so left as it is").kili.download_media()["content"].tolist()
        ['no URL, so left as it is']
        """
        source = Work(self._frame, Options(project_id), "download_media").need_project_id("to say whose media they are")
        from pandas_kili.media import download_media  # noqa: PLC0415 - what handles files costs a tenth of the import

        return typed(
            download_media(
                self._frame, source, local_media_dir=local_media_dir, client=client, disable_tqdm=disable_tqdm
            )
        )

    def to_coco(self, path: str | os.PathLike[str] | None = None, **options: Unpack[ExportOptions]) -> dict[str, Any]:
        """Return labels as a COCO data set of objects, and write it where a path is given.

        Parameters
        ----------
        path : str or path, optional
            A new file that ends with ``.json``; or a new folder, which gets ``labels.json`` and the pictures under
            ``data``, below a folder per split.
        **options
            See `pandas_kili.ExportOptions`: ``labels``, ``label_types``, ``job``, ``json_interface``, ``split``,
            ``media`` and ``overwrite``.

        Returns
        -------
        dict
            The data set; with ``split``, one by the name of each split. ``info["left_out"]`` lists what is not in it,
            and a warning counts it.

        Raises
        ------
        KiliFieldError
            If the frame lacks labels, answers, types of labels, or names of assets.
        KiliValidationError
            For options that are not possible, pictures without a size or file that is needed, and paths that exist.

        Notes
        -----
        Boxes, polygons, semantic shapes and poses are objects, in pixels of the picture as it is stored. Shapes with
        holes become masks, which need ``pip install 'pandas-kili[formats]'``.

        Examples
        --------
        >>> labels = [{"labelType": "DEFAULT", "jsonResponse": "{}"}]
        >>> size = {"resolution.width": [100], "resolution.height": [80]}
        >>> df = pd.DataFrame({"externalId": ["a.jpg"], "labels": [labels], **size})
        >>> sorted(df.kili.to_coco())
        ['annotations', 'categories', 'images', 'info', 'licenses']
        """
        from pandas_kili.formats import to_coco  # noqa: PLC0415 - what handles files costs a tenth of the import

        return to_coco(self._frame, path, **options)

    def to_yolo(
        self,
        folder: str | os.PathLike[str],
        *,
        task: Literal["detect", "segment", "classify"] = "detect",
        **options: Unpack[ExportOptions],
    ) -> pd.DataFrame:
        """Write labels as a YOLO data set: ``images``, ``labels`` and ``data.yaml``.

        Parameters
        ----------
        folder : str or path
            A new folder.
        task : {"detect", "segment", "classify"}
            Boxes around objects; their outlines; or the class of each picture, in a folder per class.
        **options
            See `pandas_kili.ExportOptions`: ``labels``, ``label_types``, ``job``, ``json_interface``, ``split``,
            ``media`` and ``overwrite``.

        Returns
        -------
        pandas.DataFrame
            What was left out, which a warning counts too: ``externalId``, ``job``, ``reason`` and ``count``.

        Raises
        ------
        KiliFieldError
            If the frame lacks labels, answers, types of labels, or names of assets.
        KiliValidationError
            For options that are not possible, pictures without a size or file that is needed, and paths that exist.
        ImportError
            Without PyYAML: ``pip install 'pandas-kili[formats]'``.

        Examples
        --------
        >>> import tempfile
        >>> df = pd.DataFrame({"externalId": ["a.jpg"], "labels": [[{"labelType": "DEFAULT", "jsonResponse": "{}"}]]})
        >>> df.kili.to_yolo(tempfile.mkdtemp() + "/yolo").columns.tolist()
        ['externalId', 'job', 'reason', 'count']
        """
        from pandas_kili.formats import to_yolo  # noqa: PLC0415 - what handles files costs a tenth of the import

        return to_yolo(self._frame, folder, task=task, **options)

    def to_voc(self, folder: str | os.PathLike[str], **options: Unpack[ExportOptions]) -> pd.DataFrame:
        """Write labels as a Pascal VOC data set: ``Annotations``, ``JPEGImages`` and ``ImageSets/Main``.

        Parameters
        ----------
        folder : str or path
            A new folder.
        **options
            See `pandas_kili.ExportOptions`: ``labels``, ``label_types``, ``job``, ``json_interface``, ``split``,
            ``media`` and ``overwrite``.

        Returns
        -------
        pandas.DataFrame
            What was left out, which a warning counts too: ``externalId``, ``job``, ``reason`` and ``count``.

        Raises
        ------
        KiliFieldError
            If the frame lacks labels, answers, types of labels, or names of assets.
        KiliValidationError
            For options that are not possible, pictures without a size or file that is needed, and paths that exist.

        Examples
        --------
        >>> import tempfile
        >>> labels = [{"labelType": "DEFAULT", "jsonResponse": "{}"}]
        >>> size = {"resolution.width": [100], "resolution.height": [80]}
        >>> df = pd.DataFrame({"externalId": ["a.jpg"], "labels": [labels], **size})
        >>> len(df.kili.to_voc(tempfile.mkdtemp() + "/voc"))
        0
        """
        from pandas_kili.formats import to_voc  # noqa: PLC0415 - what handles files costs a tenth of the import

        return to_voc(self._frame, folder, **options)

    def to_hf(
        self, *, task: Literal["objects", "classes", "tokens"] = "objects", **options: Unpack[ExportOptions]
    ) -> Dataset | DatasetDict:
        """Return labels as a Hugging Face data set.

        Parameters
        ----------
        task : {"objects", "classes", "tokens"}
            Objects on pictures; the class of each picture or text; or the tokens of texts with tags.
        **options
            See `pandas_kili.ExportOptions`; ``media`` and ``overwrite`` have no effect.

        Returns
        -------
        datasets.Dataset or datasets.DatasetDict
            With ``split``, one data set by the name of each split. Classes are `datasets.ClassLabel`, in the order of
            the project.

        Raises
        ------
        KiliFieldError
            If the frame lacks labels, answers, types of labels, or names of assets.
        KiliValidationError
            For options that are not possible, and pictures without a size.
        ImportError
            Without ``datasets``: ``pip install 'pandas-kili[hf]'``.

        Examples
        --------
        >>> labels = [[{"labelType": "DEFAULT", "jsonResponse": '{"KIND": {"categories": [{"name": "CAT"}]}}'}]]
        >>> df = pd.DataFrame({"externalId": ["a"], "content": ["It purrs."], "labels": labels})
        >>> df.kili.to_hf(task="classes").to_list()
        [{'text': 'It purrs.', 'external_id': 'a', 'label': 0}]
        """
        from pandas_kili.formats import to_hf  # noqa: PLC0415 - what handles files costs a tenth of the import

        return to_hf(self._frame, task=task, **options)

    def labels(self, fields: Iterable[str] | None = None) -> KiliFrame:
        """Lay the labels of the assets out, one row per label.

        Parameters
        ----------
        fields : iterable of str, optional
            Dotted fields of the label to keep, in this order, such as ``author.email``; by default all that were read.

        Returns
        -------
        pandas.DataFrame
            ``assetId`` and ``externalId``, then the fields of the label, all `pandas.ArrowDtype`. The index repeats
            that of the asset, so that ``df.join(...)`` works; assets without labels give no row.

        Raises
        ------
        KiliFieldError
            Where the frame holds no labels, or they lack a field that is asked for.

        Examples
        --------
        >>> df = pd.read_kili(project_id, status_in=["LABELED"], first=2)
        >>> df.kili.labels(["author.email"]).columns.tolist()
        ['assetId', 'externalId', 'author.email']
        """
        return typed(labels_table(self._frame, fields))

    def annotations(
        self,
        json_interface: str | Mapping[str, Any] | pd.DataFrame | None = None,
        *,
        job: str | Collection[str] | None = None,
        latest: bool = False,
        label_types: Collection[str] | None = None,
        categorical: bool = False,
        wide: bool = False,
    ) -> KiliFrame:
        """Lay the answers of labels out: one row per annotation, or per class chosen, text, comparison or rank given.

        Parameters
        ----------
        json_interface : str, mapping or pandas.DataFrame, optional
            The project's questions: its id, its ``jsonInterface``, or what `pandas_kili.read_jobs` gives. It names the
            ML task of each job, which otherwise the structure of the answer tells; jobs that it does not know are said
            in ``problem``.
        job : str or collection of str, optional
            Only these jobs, and what hangs on them.
        latest : bool
            Only the latest label of each asset and labeler, by ``labels.createdAt``.
        label_types : collection of str, optional
            Only labels of these types: ``["DEFAULT", "REVIEW"]`` is what people submitted, ``["PREDICTION"]`` what
            models say. Needs ``labels.labelType``.
        categorical : bool
            ``job``, ``tool`` and ``category`` as Arrow dictionaries: smaller, and grouped faster.
        wide : bool
            Instead, one row per label and one column per job: the text, the class, or the list of classes of jobs that
            take several or are drawn. ``pd.get_dummies(wide["KIND"])`` makes a column per class of it, and
            ``wide["KINDS"].explode()`` a row per class.

        Returns
        -------
        pandas.DataFrame
            The columns of `pandas_kili.ANNOTATION_SCHEMA`, whatever the project; what does not apply is null. The index
            repeats the asset's index, rows are in the order of assets, labels and answers.

        ================  ======================  ==================================================================
        column            type                    meaning
        ================  ======================  ==================================================================
        assetId           string                  the asset's ``id``
        externalId        string                  the asset's ``externalId``
        labelId           string                  the label's ``id``
        labelType         string                  DEFAULT, REVIEW, PREDICTION, …
        author            string                  email of the label's author, else id
        modelName         string                  the model that a prediction is of
        createdAt         timestamp[ms, UTC]      when the label was made
        stepName          string                  the step of the workflow in which it was made
        row               int64                   number of the row within its label, from 0
        parentRow         int64                   ``row`` of what this is a child of
        parentPoint       int64                   position, from 0, of the pose's point that this is a child of
        kind              string                  what the row is, see below
        mid               string                  Kili's name of the object; shared by its parts and its frames
        parentMid         string                  ``mid`` of the annotation above
        job               string                  name of the job
        parentJob         string                  name of the job above
        level             string                  ``assetLevel`` for what is said of a video as a whole
        mlTask            string                  CLASSIFICATION, OBJECT_DETECTION, NAMED_ENTITIES_RECOGNITION, …
        tool              string                  rectangle, polygon, polyline, marker, vector, semantic, pose, range
        category          string                  class chosen, or verdict of a comparison
        parentCategories  list<string>            classes above, the outermost first
        confidence        double                  of the class, in percent, 0 to 100
        score             double                  of the object, as models give it
        text              string                  transcription
        beginOffset       int64                   where a span of text begins, in UTF-16 units from 0
        endOffset         int64                   where it ends, in UTF-16 units: one more for each emoji
        beginId           string                  block of rich text in which it begins
        endId             string                  block in which it ends
        content           string                  the text of the span
        startMids         list<string>            ``mid`` of the entities or objects where a relation starts
        endMids           list<string>            where it ends
        firstId           string                  the chat item that a comparison places first
        secondId          string                  the other one
        rank              int64                   place in a ranking
        elements          list<string>            what has this place
        page              int64                   page of a PDF, from 1; of the first area where there are several
        frame             int64                   frame of a video, from 0
        isKeyFrame        bool                    whether the frame was drawn, and not interpolated
        xmin, ymin        double                  box around ``rings``, as shares of width and height, from the top left
        xmax, ymax        double
        rotation          double                  degrees by which a rectangle is turned in pixels, -45 to 45; 0 where
                                                  it is upright, null where it is not and the resolution is unknown
        assetRotation     int64                   degrees, clockwise, by which the picture was turned when people drew
                                                  on it: shares are those of the turned picture; null for none
        pixelXmin, …      double                  the box in pixels of the picture as it is stored (not turned), where
                                                  the resolution of asset or page is known
        x, y              double                  point of a marker, as shares of width and height
        rings             list<list<struct>>      vertices ``{x, y}``, shares: the outline, then its holes
        polyline          list<struct>            vertices of a polyline or vector
        points            list<struct>            ``{code, name, mid, jobName, x, y}`` of a pose
        rangeStart        double                  where a range begins; where speech does, in seconds
        rangeEnd          double                  where it ends
        hasChildren       bool                    whether jobs hang on it; false for none, null where nothing is said
        extra             string                  what has no column, or more than its columns hold: JSON text
        problem           string                  what could not be understood, and why
        ================  ======================  ==================================================================

        ``kind`` is ``annotation``, ``category``, ``text``, ``choice`` or ``rank`` for what was answered. ``job`` stands
        for what a job holds besides (nested jobs hang on it, where they hang on the job), ``label`` for a label without
        any job and for frames without any, ``unreadable`` for an answer that could not be read.

        Raises
        ------
        KiliFieldError
            Where the frame holds no labels with their ``jsonResponse``, or lacks what `latest` and `label_types` need.
        KiliValidationError
            For an interface that is none, and for unknown jobs or types of labels.

        See Also
        --------
        pandas_kili.to_json_response : The way back.
        pandas_kili.to_code_points : Offsets for Python's strings.

        Examples
        --------
        >>> df = pd.read_kili(project_id, status_in=["LABELED"], first=2)
        >>> df.kili.annotations()[["job", "category"]].drop_duplicates().shape[1]
        2
        """
        return typed(
            annotations_table(
                self._frame,
                json_interface,
                job=job,
                latest=latest,
                label_types=label_types,
                categorical=categorical,
                wide=wide,
            )
        )

    def metadata(self, schema: Mapping[str, pa.DataType] | None = None) -> KiliFrame:
        """Lay the keys of ``jsonMetadata`` out as typed columns, row by row.

        Parameters
        ----------
        schema : mapping of str to pyarrow.DataType, optional
            Types of keys whose values do not tell them, such as ``{"taken": pa.timestamp("ms")}``.

        Returns
        -------
        pandas.DataFrame
            On the same index, a `pandas.ArrowDtype` column per key. Keys of several types hold JSON text.

        Raises
        ------
        KiliFieldError
            Where the frame has no ``jsonMetadata``.
        KiliValidationError
            For metadata that is not a JSON object, or a value that does not fit the schema, naming rows.

        Examples
        --------
        >>> pd.DataFrame({"jsonMetadata": ['{"site": "Lyon", "floor": 3}', None]}).kili.metadata()["floor"].tolist()
        [3, <NA>]
        """
        return typed(metadata_table(self._frame, schema))

    def agreement(
        self,
        *,
        job: str | Collection[str] | None = None,
        label_types: Collection[str] | None = SUBMITTED,
        against: str | None = None,
        by: Literal["day", "week", "month"] | None = None,
        among: Literal["pairs", "all"] = "pairs",
        iou_threshold: float = 0.5,
    ) -> pd.DataFrame:
        """Measure how far labelers agree, job by job: two by two, or all of them at once.

        Parameters
        ----------
        job : str or collection of str, optional
            Only these jobs, and what hangs on them.
        label_types : collection of str or None
            Labels of other types are left out; by default only what people submitted counts. With ``PREDICTION``
            among them, models are compared too, each under its name (``labels.modelName``). None takes all labels.
            Of each labeler the latest label of an asset counts.
        against : str, optional
            Only pairs with this labeler or model; the labels of a model count then, whatever `label_types` says.
        by : {"day", "week", "month"}, optional
            A row per period too, of the later of both labels (``labels.createdAt``, UTC; weeks begin on Monday).
        among : {"pairs", "all"}
            A row per pair of labelers and job, or a row per job for all labelers.
        iou_threshold : float
            Overlap, from 0 to 1, from which two matched boxes count as the same object in ``f1``.

        Returns
        -------
        pandas.DataFrame
            Ordered by period, labelers and job. Columns are `pandas.ArrowDtype`; a measure that a job does not have is
            null.

            ==========  ======  =======================================================================================
            column      type    meaning
            ==========  ======  =======================================================================================
            labeler_a   string  the one whose name comes first
            labeler_b   string  the other
            job         string  name of the job
            mlTask      string  its task
            measure     string  what is compared: classes, texts, ranks, boxes or spans; none for shapes without a box
                                (markers, polylines, poses), ranges and relations, which have no measure
            n           int64   assets (frames of videos, pages of PDFs) that both labeled and at least one answered
            percent     double  share of them with equal answers, in percent, 0 to 100: classes, texts, ranks
            kappa       double  Cohen's kappa of the classes, at most 1 (of a comparison: the verdicts); no answer is a
                                class of its own, a set of several classes too; null where chance would always agree
            iou         double  mean overlap (intersection over union) of matched boxes, 0 to 1
            f1          double  share of what was found by both, ``2 * both / (a + b)``, 0 to 1: boxes that overlap by
                                the threshold, spans with the same ends and category
            ==========  ======  =======================================================================================

            With ``among="all"`` there are no labelers, kappa, iou and f1, but

            ==========  ======  =======================================================================================
            column      type    meaning
            ==========  ======  =======================================================================================
            labelers    int64   how many people answered
            alpha       double  Krippendorff's alpha, at most 1: any number of labelers, not all of them everywhere
            fleiss      double  Fleiss' kappa, at most 1; null where assets have different numbers of labelers
            ==========  ======  =======================================================================================

        Raises
        ------
        KiliFieldError
            Where the frame lacks labels, answers, authors or types of labels.
        KiliValidationError
            For jobs, labelers or types of labels that there are not.

        Warns
        -----
        UserWarning
            Where labels are left out because their answers cannot be read.

        Notes
        -----
        Boxes are matched within asset, frame, page, job and category, such that the sum of overlaps is the greatest
        possible; polygons and semantic shapes count by the box around them. What hangs on an annotation (its own
        children) is not compared.

        Examples
        --------
        >>> fields = ["id", "labels.author.email", "labels.labelType", "labels.jsonResponse"]
        >>> df = pd.read_kili(project_id, fields=fields, first=10)
        >>> "labeler_a" in df.kili.agreement()
        True
        """
        return agreement(
            self._frame,
            job=job,
            label_types=label_types,
            against=against,
            by=by,
            among=among,
            iou_threshold=iou_threshold,
        )

    def disagreements(
        self,
        *,
        job: str | Collection[str] | None = None,
        label_types: Collection[str] | None = SUBMITTED,
        against: str | None = None,
        iou_threshold: float = 0.5,
    ) -> KiliFrame:
        """Return the assets whose labelers disagree, those that disagree most first.

        Parameters
        ----------
        job, label_types, iou_threshold
            As for `agreement`.
        against : str, optional
            A labeler or a model: assets are ranked by where the others differ from it, with both answers beside each
            other.

        Returns
        -------
        pandas.DataFrame
            Rows of the frame with their index, and ``disagreement`` (``double``, above 0, at most 1): one minus the
            mean agreement over pairs of labelers and jobs. An agreement is 1 or 0 for classes, texts and ranks (their
            mean over frames or pages), ``f1`` for spans, and for boxes the sum of overlaps of matched ones by the
            number that the labeler with more boxes drew. Equal ones keep their order. With `against` there are
            ``against`` and ``others`` too (``list<string>``): what either side says, in words.

        Raises
        ------
        KiliFieldError
            Where the frame lacks labels, answers, authors or types of labels.
        KiliValidationError
            For jobs, labelers or types of labels that there are not.

        Examples
        --------
        >>> fields = ["id", "labels.author.email", "labels.labelType", "labels.jsonResponse"]
        >>> df = pd.read_kili(project_id, fields=fields, first=10)
        >>> "disagreement" in df.kili.disagreements()
        True
        """
        return typed(
            disagreements(self._frame, job=job, label_types=label_types, against=against, iou_threshold=iou_threshold)
        )

    def label_errors(self, *, model: str, job: str, label_types: Collection[str] | None = SUBMITTED) -> KiliFrame:
        """Return the assets whose label is likely wrong, by what a model says of them, the likeliest first.

        Parameters
        ----------
        model : str
            Name of the model (``labels.modelName``) whose predictions are used. Predictions of a class with its
            confidence, or of several classes each with its own, on assets that the model was not trained on: those of
            cross-validation, or of a model trained on other data.
        job : str
            A job that is answered by one class.
        label_types : collection of str or None
            The labels that are looked at; by default what people submitted. Of each labeler the latest counts.

        Returns
        -------
        pandas.DataFrame
            Rows of the frame with their index, one an asset, with ``labeler``, ``given`` (the class of the label),
            ``suggested`` (the class that the model finds likeliest) and ``quality`` (``double``, 0 to 1: how likely the
            given class is). Ready for ``.kili.send_back_to_queue()``.

        Raises
        ------
        ImportError
            Where cleanlab is not installed: ``pip install 'pandas-kili[quality]'``.
        KiliFieldError
            Where the frame lacks labels, answers, authors, types of labels or names of models.
        KiliValidationError
            For a model that made no predictions, or a job that is not answered by one class.

        Warns
        -----
        UserWarning
            Where labels are left out: those of several classes, and those of assets without a prediction.

        Notes
        -----
        Confident learning (C. Northcutt, L. Jiang, I. Chuang, 2021), as cleanlab does it: a label is likely wrong where
        the model is more confident of another class than it usually is of that class. What a model leaves of 100
        percent is shared by the classes that it does not name.

        Examples
        --------
        >>> def label(kind, name, model=None):
        ...     answer = '{"KIND": {"categories": [{"name": "%s", "confidence": 90}]}}' % name
        ...     return {"author": {"id": "ada"}, "labelType": kind, "modelName": model, "jsonResponse": answer}
        >>> truth = ["CAT", "DOG"] * 20
        >>> given = ["DOG", *truth[1:]]  # the first label is wrong
        >>> rows = [[label("DEFAULT", g), label("PREDICTION", t, "net")] for g, t in zip(given, truth)]
        >>> suspects = pd.DataFrame({"labels": rows}).kili.label_errors(model="net", job="KIND")
        >>> suspects[["given", "suggested"]].to_dict("index")
        {0: {'given': 'DOG', 'suggested': 'CAT'}}
        """
        return typed(label_errors(self._frame, model=model, job=job, label_types=label_types))

    def preview(
        self,
        n: int = 24,
        *,
        labels: LabelChoice | None = None,
        label_types: Collection[str] | None = None,
        annotations: bool = True,
        client: Client | None = None,
    ) -> Preview:
        """Show assets with their annotations: a gallery that notebooks display.

        Parameters
        ----------
        n : int
            How many assets to show, the first ones.
        labels : {"latest", "all"}, optional
            The latest label of each asset; or side by side the latest label of each author, type and model: people by
            name, then models. By default ``"all"`` for what `disagreements` returns, else ``"latest"``.
        label_types : collection of str, optional
            Labels of other types are not shown. By default ``"latest"`` shows what people submitted, and ``"all"``
            shows labels of every type, predictions with the name of their model (``labels.modelName``).
        annotations : bool
            Whether labels are shown at all.
        client : Client, optional
            Connection for hosted media; by default one made from the environment. Local files need none.

        Returns
        -------
        Preview
            Its ``html`` is a whole page, which ``save(path)`` writes: it needs no network and has no scripts.

        Raises
        ------
        KiliFieldError
            If the labels were read without ``jsonResponse``, or without the ``labelType`` by which they are chosen.

        Notes
        -----
        Labels without shapes stand below one picture. A card says which shapes are outside the picture, or on another
        frame or page than the one shown, and why a medium cannot be shown; hosted ones have five seconds to come.
        Thumbnails, pages and frames need ``pip install 'pandas-kili[preview]'`` (Pillow, pypdfium2, PyAV); without it,
        small pictures are shown as they are.

        Examples
        --------
        >>> df = pd.read_kili(project_id, status_in=["LABELED"], first=10)
        >>> df.kili.preview(n=2, labels="all")
        <Preview of 2 of 10 assets>
        """
        from pandas_kili.display import preview_frame  # noqa: PLC0415 - with all of media/, a tenth of the import

        return preview_frame(
            self._frame, n, labels=labels, label_types=label_types, annotations=annotations, client=client
        )

    @property
    def plot(self) -> KiliPlot:
        """Charts of the project, drawn with matplotlib as pandas does; each returns its axes.

        Returns
        -------
        KiliPlot
            With ``progress()``, ``labels_over_time()``, ``time_to_label()``, ``marks()``, ``class_balance(job)`` and
            ``confusion(labeler_a, labeler_b, job)``.

        Examples
        --------
        >>> df = pd.read_kili(project_id, first=10)
        >>> df.kili.plot.progress().get_ylabel()
        'assets'
        """
        from pandas_kili.display import KiliPlot  # noqa: PLC0415 - whoever draws waits for matplotlib anyway

        return KiliPlot(self._frame)


def kili(frame: pd.DataFrame) -> KiliAccessor:
    """Return ``frame.kili``, spelled so that type checkers know what it is.

    Parameters
    ----------
    frame : pandas.DataFrame

    Returns
    -------
    KiliAccessor

    Examples
    --------
    >>> import pandas_kili as pk
    >>> df = pk.read_kili(project_id, fields=["id"], first=1)
    >>> pk.kili(df).delete_many_from_dataset(dry_run=True).kili.report["outcome"].tolist()
    ['not_sent']
    """
    return KiliAccessor(frame)
