"""`DataFrame.kili`: methods that lay out what cells hold, and that compare labelers."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any, Literal

import pandas as pd
import pyarrow as pa

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


class Tables:
    """Methods that lay out what cells hold (labels, answers, metadata), and that compare labelers."""

    _frame: pd.DataFrame

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
            ML task of each job, which otherwise the structure of the answer tells; ``problem`` names the jobs that it
            does not know.
        job : str or collection of str, optional
            Only these jobs, and those nested below them.
        latest : bool
            Only the latest label of each asset and labeler, by ``labels.createdAt``.
        label_types : collection of str, optional
            Only labels of these types: ``["DEFAULT", "REVIEW"]`` is what people submitted, ``["PREDICTION"]`` what
            models say. Needs ``labels.labelType``.
        categorical : bool
            ``job``, ``tool`` and ``category`` as Arrow dictionaries: smaller, and grouped faster.
        wide : bool
            Instead, one row per label and one column per job: the text, the class, or the list of classes of jobs that
            take several or are drawn. The examples show how to make a column per class of it.

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

        ``kind`` is ``annotation``, ``category``, ``text``, ``choice`` or ``rank`` for what was answered. A row of kind
        ``job`` is what a job holds besides, and the parent of jobs that are nested below the job itself. ``label`` is a
        label without any job, and frames without any. ``unreadable`` is an answer that could not be read.

        Raises
        ------
        KiliFieldError
            Where the frame holds no labels with their ``jsonResponse``, or lacks what `latest` and `label_types` need.
        KiliValidationError
            For an invalid interface, and for unknown jobs or types of labels.

        See Also
        --------
        pandas_kili.to_json_response : The way back.
        pandas_kili.to_code_points : Offsets for Python's strings.

        Examples
        --------
        >>> df = pd.read_kili(project_id, status_in=["LABELED"], first=2)
        >>> df.kili.annotations()[["job", "category"]].drop_duplicates().shape[1]
        2

        A column per class (one-hot). Labels of one asset share its index, so the rows are numbered first:

        >>> import json
        >>> cat, dog = {"name": "CAT"}, {"name": "DOG"}
        >>> answers = [{"KIND": {"categories": classes}} for classes in ([cat, dog], [cat])]
        >>> labels = pd.DataFrame({"externalId": "a", "author.email": ["ada", "bob"]}, index=[7, 7])
        >>> labels["jsonResponse"] = list(map(json.dumps, answers))
        >>> wide = labels.kili.annotations(wide=True).reset_index(drop=True)
        >>> classes = pd.get_dummies(wide["KIND"].explode()).groupby(level=0).max()
        >>> wide[["externalId", "author"]].join(classes).values.tolist()
        [['a', 'ada', True, True], ['a', 'bob', True, False]]

        Of a job that takes one class, ``pd.get_dummies(wide["KIND"])`` is enough.
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
            Types of keys that the values do not show, such as ``{"taken": pa.timestamp("ms")}``.

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
            Only these jobs, and those nested below them.
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
            labeler_a   string  the first of both by name
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
            For unknown jobs, labelers or types of labels.

        Warns
        -----
        UserWarning
            Where labels are left out because their answers cannot be read.

        Notes
        -----
        Boxes are matched within asset, frame, page, job and category, so that the sum of overlaps is the greatest
        possible; polygons and semantic shapes count by the box around them. Answers nested below an annotation are
        not compared.

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
        """Return the assets on which labelers disagree, the largest disagreement first.

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
            mean over frames or pages), and ``f1`` for spans. For boxes it is the sum of overlaps of matched ones,
            divided by the number that the labeler with more boxes drew. Equal ones keep their order. With `against`
            there are ``against`` and ``others`` too (``list<string>``): what either side says, in words.

        Raises
        ------
        KiliFieldError
            Where the frame lacks labels, answers, authors or types of labels.
        KiliValidationError
            For unknown jobs, labelers or types of labels.

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
        """Return the assets with a label that a model finds likely wrong, the likeliest first.

        Parameters
        ----------
        model : str
            Name of the model (``labels.modelName``). Its predictions are used: of a class with its
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
