"""Exports on disk: written under another name, and renamed when they are whole."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from pandas_kili.errors import KiliValidationError
from pandas_kili.formats.classes import Classes
from pandas_kili.formats.pictures import Pictures
from pandas_kili.formats.samples import Samples

MARK = "pandas_kili.json"
"""The file by which an export is known: the format, what was left out, and the external id of each file."""


@contextlib.contextmanager
def new_folder(
    path: str | os.PathLike[str], format_name: str, samples: Samples | Classes, *, overwrite: bool
) -> Iterator[Path]:
    """Give a folder to write an export to, which gets its name when everything is written.

    Raises
    ------
    KiliValidationError
        If something is there already: an export is replaced with `overwrite`, anything else never.
    """
    target = Path(path).expanduser().absolute()
    _check(target, overwrite=overwrite)
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = _draft(target)
    draft.mkdir()
    try:
        yield draft
        report = {
            "format": format_name,
            "left_out": samples.left_out.to_dict("records"),
            "external_ids": samples.pictures.external_ids(),
        }
        (draft / MARK).write_bytes(msgspec.json.encode(report))
        _check(target, overwrite=overwrite)
        _replace(draft, target)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise


def external_ids(folder: Path) -> dict[str, str]:
    """Return the external ids of pictures by the names of their files; nothing of a folder that others wrote."""
    try:
        return {str(file): str(name) for file, name in json.loads((folder / MARK).read_bytes())["external_ids"].items()}
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return {}


def write_file(path: str | os.PathLike[str], pieces: Iterable[bytes], *, overwrite: bool) -> None:
    """Write a file that gets its name when it is whole."""
    target = Path(path).expanduser().absolute()
    if target.is_dir() or (target.exists() and not overwrite):
        raise KiliValidationError(f"{target} is there already: choose another name, or give overwrite=True.")
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = _draft(target)
    try:
        with draft.open("wb") as file:
            file.writelines(pieces)
        os.replace(draft, target)  # noqa: PTH105 - the rename that replaces, named for it
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


def put_media(pictures: Pictures, paths: Iterable[Path], media: str) -> None:
    """Copy or link the files of pictures to their paths; pages of documents and frames of videos are drawn."""
    if media == "none":
        return
    places = list(paths)
    for source, drawing, path in zip(pictures.source, pictures.drawing, places, strict=True):
        if source is None or drawing is not None:
            continue
        if media == "copy":
            shutil.copyfile(source, path)
        else:
            try:
                path.hardlink_to(source)  # readers refuse symbolic links that lead out of their folder
            except OSError:  # on another disk
                path.symlink_to(source)
    pictures.draw(places)


def _draft(target: Path) -> Path:
    """Return a new path beside a target, which tells what it was if a process is killed and leaves it."""
    return target.parent / f".{target.name[:40]}.{secrets.token_hex(8)}.part"


def _check(target: Path, *, overwrite: bool) -> None:
    if not target.exists() and not target.is_symlink():
        return
    if target.is_dir() and not any(target.iterdir()):
        return
    if not overwrite:
        raise KiliValidationError(f"{target} is there already: choose another name, or give overwrite=True.")
    if target.is_symlink() or not target.is_dir() or not (target / MARK).is_file():
        raise KiliValidationError(f"{target} is not an export of pandas_kili, so it is not replaced: remove it first.")


def _replace(draft: Path, target: Path) -> None:
    if not target.exists():
        draft.rename(target)
        return
    old = _draft(target)
    target.rename(old)
    try:
        draft.rename(target)
    except BaseException:
        old.rename(target)
        raise
    shutil.rmtree(old)
