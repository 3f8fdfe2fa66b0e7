"""The type of the frames that this package gives out, for type checkers: `DataFrame.kili` is known to them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

if TYPE_CHECKING:
    # Frames have the accessor, and its methods return frames: of all rooms only this one looks up, and only for types.
    from pandas_kili.accessor import KiliAccessor

    class KiliFrame(pd.DataFrame):
        """A frame with a `kili` that type checkers know."""

        @property
        def kili(self) -> KiliAccessor:
            """Rows become mutations."""

else:
    KiliFrame = pd.DataFrame


def typed(frame: pd.DataFrame) -> KiliFrame:
    """Return the frame, which type checkers know as a `KiliFrame` from here on."""
    return frame  # type: ignore[return-value]  # the class exists for type checkers only
