"""`DataFrame.kili`: methods that write files: media, and training data."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Literal, Unpack

import pandas as pd

from pandas_kili.connection import Client
from pandas_kili.frames import KiliFrame, typed
from pandas_kili.writing import Options, Work

if TYPE_CHECKING:
    from datasets import Dataset, DatasetDict

    from pandas_kili.formats import ExportOptions


class Exports:
    """Methods that write files: media, and training data."""

    _frame: pd.DataFrame

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
        source = Work(self._frame, Options(project_id), "download_media").need_project_id(
            "to find the media of the rows"
        )
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
        holes become masks, which need ``pip install 'pandas-kili[formats]'``. A frame of a video (``frame``, from 0)
        and a page of a document (``page``, from 1) is an image of its own.

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

    def to_geojson(
        self, path: str | os.PathLike[str] | None = None, **options: Unpack[ExportOptions]
    ) -> dict[str, Any]:
        """Return the labels of a GEOSPATIAL project as GeoJSON features, and write them where a path is given.

        Parameters
        ----------
        path : str or path, optional
            A new file, such as ``labels.geojson``.
        **options
            See `pandas_kili.ExportOptions`: ``labels``, ``label_types``, ``job``, ``json_interface`` and ``overwrite``.

        Returns
        -------
        dict
            A ``FeatureCollection`` in longitudes and latitudes (WGS 84), one feature per object. Its properties are
            ``class``, ``job``, ``tool``, ``confidence`` (percent), ``mid``, ``labeler``, ``labelType``, ``labelId``,
            ``createdAt``, ``externalId`` and ``assetId``, and what was answered about the object, by the names of those
            jobs. ``left_out`` lists what is not in it, and a warning counts it.

        Raises
        ------
        KiliFieldError
            If the frame lacks labels, answers, types of labels, or names of assets.
        KiliValidationError
            For options that are not possible, and a file that is there already.

        Notes
        -----
        ``geopandas.read_file(path)`` reads the file, ``geopandas.GeoDataFrame.from_features(dict, crs=4326)`` the dict.

        Examples
        --------
        >>> tree = '{"type": "marker", "categories": [{"name": "TREE"}], "point": {"x": 2.35, "y": 48.85}}'
        >>> labels = [{"labelType": "DEFAULT", "jsonResponse": '{"J": {"annotations": [%s]}}' % tree}]
        >>> df = pd.DataFrame({"externalId": ["paris"], "labels": [labels]})
        >>> df.kili.to_geojson()["features"][0]["geometry"]
        {'type': 'Point', 'coordinates': [2.35, 48.85]}
        """
        from pandas_kili.formats import to_geojson  # noqa: PLC0415 - what handles files costs a tenth of the import

        return to_geojson(self._frame, path, **options)

    def to_hf(
        self, *, task: Literal["objects", "classes", "tokens"] = "objects", **options: Unpack[ExportOptions]
    ) -> Dataset | DatasetDict:
        """Return labels as a Hugging Face data set.

        Parameters
        ----------
        task : {"objects", "classes", "tokens"}
            Objects on pictures; the class of each picture or text; or the tokens of texts with tags.
        **options
            See `pandas_kili.ExportOptions`; ``split`` takes shares or a column, whatever the task. Nothing is written
            here, so ``media`` and ``overwrite`` have no effect: ``to_hf(...).save_to_disk(folder)`` writes.

        Returns
        -------
        datasets.Dataset or datasets.DatasetDict
            With ``split``, one data set by the name of each split that has rows. Classes are `datasets.ClassLabel`, in
            the order of the project. ``image`` is there if all pictures are local files; ``part`` is the frame of a
            video, from 0, or the page of a document, from 1. These are drawn into a temporary folder that lasts until
            Python ends. Texts are those of ``content``, or of the local files that it names.

        Raises
        ------
        KiliFieldError
            If the frame lacks labels, answers, types of labels, or names of assets.
        KiliValidationError
            For options that are not possible, pictures without a size, and hosted texts.
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
