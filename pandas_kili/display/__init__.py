"""Galleries and charts of assets with their annotations, and what ``df.kili`` shows of itself."""

from pandas_kili.display.choice import LabelChoice
from pandas_kili.display.decoding import Still, drawn_each
from pandas_kili.display.gallery import Preview, preview_frame
from pandas_kili.display.media import rate_of
from pandas_kili.display.overview import as_html, as_text, overview
from pandas_kili.display.plot import KiliPlot
from pandas_kili.display.thumbnails import NotShownError

__all__ = [
    "KiliPlot",
    "LabelChoice",
    "NotShownError",
    "Preview",
    "Still",
    "as_html",
    "as_text",
    "drawn_each",
    "overview",
    "preview_frame",
    "rate_of",
]
