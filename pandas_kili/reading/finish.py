"""What is done to a frame before it is handed over: its media are downloaded, and it is held to its schema."""

from __future__ import annotations

import functools
import os
from collections.abc import Mapping
from typing import Literal

import pandas as pd

from pandas_kili.connection import Client
from pandas_kili.errors import KiliFieldError
from pandas_kili.parallel import Workers, result_of
from pandas_kili.query import Fields
from pandas_kili.reading.validation import asset_schema, validate_frame


class Finish:
    """What is done to every frame before it is handed over: it is held to its schema."""

    def __init__(self, mode: bool | Literal["warn"], fields: Fields) -> None:
        self.mode, self.fields = mode, fields
        # The first schema of a process imports pandera, which takes as long as a page: while the first pages come.
        self.schema = Workers(1).submit(asset_schema, fields) if mode else None

    def __call__(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Return the frame, once it was held to the schema."""
        if self.schema is not None:
            validate_frame(frame, result_of(self.schema), self.mode)
        return frame


class Download(Finish):
    """The same, after the media are on disk."""

    def __init__(
        self,
        mode: bool | Literal["warn"],
        fields: Fields,
        client: Client,
        project_id: str,
        folder: str | os.PathLike[str] | None,
        disable_tqdm: bool | None,
    ) -> None:
        from pandas_kili.media import download_media  # noqa: PLC0415 - what handles files costs a tenth of the import

        super().__init__(mode, fields)
        if "content" not in fields:
            raise KiliFieldError("download_media=True needs 'content' among the fields.", field="content")
        self.download = functools.partial(
            download_media, project_id=project_id, local_media_dir=folder, client=client, disable_tqdm=disable_tqdm
        )
        self.unwanted = [name for name in ("id", "externalId") if name not in fields]  # files are named by them
        types = fields if isinstance(fields, Mapping) else dict.fromkeys(fields)
        self.fields = {**types, **dict.fromkeys(self.unwanted)}

    def __call__(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Return the frame with the paths of the media."""
        return super().__call__(self.download(frame).drop(columns=self.unwanted))
