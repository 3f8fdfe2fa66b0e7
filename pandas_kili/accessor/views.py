"""`DataFrame.kili`: methods that show the frame: galleries and charts."""

from __future__ import annotations

import functools
from collections.abc import Collection
from typing import TYPE_CHECKING

import pandas as pd

from pandas_kili.connection import Client
from pandas_kili.writing import report_of

if TYPE_CHECKING:
    from pandas_kili.display import KiliPlot, LabelChoice, Preview


class Views:
    """Methods that show the frame: galleries and charts."""

    _frame: pd.DataFrame

    def __repr__(self) -> str:
        from pandas_kili.display import as_text, overview  # noqa: PLC0415 - with all of media/, a tenth of the import

        return as_text(overview(self._frame, self._last_report()))

    def _repr_html_(self) -> str:
        from pandas_kili.display import as_html, overview  # noqa: PLC0415 - with all of media/, a tenth of the import

        return as_html(overview(self._frame, self._last_report()))

    def _last_report(self) -> pd.DataFrame | None:
        try:
            return report_of(self._frame)
        except AttributeError:  # no mutation returned this frame
            return None

    def preview(
        self,
        n: int = 24,
        *,
        labels: LabelChoice | None = None,
        label_types: Collection[str] | None = None,
        job: str | Collection[str] | None = None,
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
        job : str or collection of str, optional
            Only answers to these jobs, and to those nested below them.
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
            self._frame,
            n,
            labels=labels,
            label_types=label_types,
            job=job,
            annotations=annotations,
            client=client,
        )

    @functools.cached_property  # IPython looks into such values for TAB, not into those of a property
    def plot(self) -> KiliPlot:
        """Charts of the project, drawn with matplotlib as pandas does; each returns its axes.

        Returns
        -------
        KiliPlot
            With ``progress()``, ``labels_over_time()``, ``time_to_label()``, ``marks()``, ``class_balance(job)``,
            ``agreement(job)`` and ``confusion(labeler_a, labeler_b, job)``.

        Examples
        --------
        >>> df = pd.read_kili(project_id, first=10)
        >>> df.kili.plot.progress().get_ylabel()
        'assets'
        """
        from pandas_kili.display import KiliPlot  # noqa: PLC0415 - whoever draws waits for matplotlib anyway

        return KiliPlot(self._frame)
