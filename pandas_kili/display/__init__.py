"""Pictures of assets with their annotations, as self-contained HTML."""

from pandas_kili.display.choice import Labels
from pandas_kili.display.gallery import Preview, preview_frame

__all__ = ["Labels", "Preview", "preview_frame"]
