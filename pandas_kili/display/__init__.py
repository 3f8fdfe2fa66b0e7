"""Pictures of assets with their annotations, as self-contained HTML."""

from pandas_kili.display.choice import LabelChoice
from pandas_kili.display.gallery import Preview, preview_frame
from pandas_kili.display.plot import KiliPlot

__all__ = [
    "KiliPlot",
    "LabelChoice",
    "Preview",
    "preview_frame",
]
