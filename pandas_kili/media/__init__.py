"""Files in and out: local files to the bucket of a project, and the content of assets to disk."""

from pandas_kili.media.download import download_media
from pandas_kili.media.imports import check_license, wait_for_import
from pandas_kili.media.inspection import image_size, is_url, local_path
from pandas_kili.media.kinds import EXTENSIONS, Generation
from pandas_kili.media.medium import Medium
from pandas_kili.media.names import extension_of, folded, known_extension, marked, safe_stem
from pandas_kili.media.rules import media_of_rows
from pandas_kili.media.texts import ContentIs
from pandas_kili.media.upload import Stored, Uploads

__all__ = [
    "EXTENSIONS",
    "ContentIs",
    "Generation",
    "Medium",
    "Stored",
    "Uploads",
    "check_license",
    "download_media",
    "extension_of",
    "folded",
    "image_size",
    "is_url",
    "known_extension",
    "local_path",
    "marked",
    "media_of_rows",
    "safe_stem",
    "wait_for_import",
]
