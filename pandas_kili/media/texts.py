"""What the content of a TEXT project is: the text itself, the URL of one, or a file that holds one."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Literal

from pandas_kili.media.inspection import UnfitError, is_url, local_path
from pandas_kili.media.kinds import KINDS

ContentIs = Literal["text", "url", "path"]

_LONGEST_PATH = 4096
_EXPLICIT = re.compile(r"[/\\~]|\.{1,2}[/\\]|[A-Za-z]:[/\\]")  # how a path begins that is not a name alone


def content_of_text(content: Any) -> ContentIs:
    """Return what a content is, as far as it tells itself.

    A URL holds no white space. The name of a ``.txt`` or ``.csv`` file that is there is a file.

    Raises
    ------
    UnfitError
        Where it could be the name of a file as well as text.
    """
    if not isinstance(content, str) or content[:7].lower() == "file://":
        return "path"
    is_one_word = len(content.split()) == 1
    if is_url(content) and is_one_word:
        return "url"
    if _is_file(content):
        if not is_one_word and not _EXPLICIT.match(content):
            raise UnfitError("is the name of a file, and could be text: say content_is='path' or content_is='text'")
        return "path"
    if is_one_word and content.lower().endswith(tuple(KINDS["TEXT"].types)):
        raise UnfitError("no such file; content_is='text' says that text looks like the name of one")
    return "text"


def _is_file(content: str) -> bool:
    if len(content) > _LONGEST_PATH or "\n" in content or "\0" in content:
        return False
    if Path(content).suffix.lower() not in KINDS["TEXT"].types:
        return False
    try:
        return local_path(content).is_file()
    except (UnfitError, OSError):
        return False
