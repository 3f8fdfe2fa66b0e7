"""A folder of images becomes a project, and comes back as it was, with a Kili that runs on this machine.

1. The images below DIR, or 1,797 handwritten digits where no DIR is given, become a frame with a column of paths.
2. `frame.kili.append_many_to_dataset` checks all files, stores them, and makes an asset of each.
3. The project is read, and its media are downloaded beside it; running that again fetches nothing.
4. Each file that came back is compared with the one that went in, byte for byte.

Neither account nor network is needed: ``python examples/upload_folder.py [DIR]``
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path

import pandas as pd
from digits import write_pictures

import pandas_kili as pk
from pandas_kili.sandbox import Sandbox

SUFFIXES = {".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"}


def main() -> None:
    """Run the example from end to end."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", nargs="?", type=Path, metavar="DIR", help="images of your own; default: the digits")
    parser.add_argument("--out", type=Path, metavar="DIR", help="where to download to; default: a temporary folder")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch, Sandbox(max_calls_per_minute=None) as sandbox:
        folder = chosen.folder or drawn(Path(scratch) / "digits")
        out = chosen.out or Path(scratch) / "out"
        images = images_in(folder)
        os.environ.update(sandbox.environ)
        project_id = pk.create_project(folder.name, "IMAGE")

        with timed(f"{len(images):,} images of {folder} became assets"):
            images.kili.append_many_to_dataset(project_id, content="path", external_id="name")
        assets = pk.read_kili(project_id, fields=["id", "externalId", "content"])
        with timed("they came back"):
            local = assets.kili.download_media(local_media_dir=out)
        with timed("and again, which fetches nothing"):
            assets.kili.download_media(local_media_dir=out)
        compare(images, local)


def drawn(folder: Path) -> Path:
    """Write the digits as pictures."""
    write_pictures(folder)
    return folder


def images_in(folder: Path) -> pd.DataFrame:
    """Return the images below a folder: their paths, and their names within it."""
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
    if not paths:
        raise SystemExit(f"There are no images in {folder}.")
    names = [path.relative_to(folder).as_posix() for path in paths]
    return pd.DataFrame({"path": [str(path) for path in paths], "name": names})


def compare(sent: pd.DataFrame, received: pd.DataFrame) -> None:
    """Compare what went in with what came back."""
    both = sent.merge(received, left_on="name", right_on="externalId", validate="one_to_one")
    same = [Path(row.path).read_bytes() == Path(row.content).read_bytes() for row in both.itertuples()]
    print(f"{sum(same):,} of {len(sent):,} are the same, byte for byte.")
    if sum(same) < len(sent):
        raise SystemExit(1)


class timed:  # noqa: N801 - reads as a statement
    """Say how long something took."""

    def __init__(self, what: str) -> None:
        self.what = what

    def __enter__(self) -> None:
        self.start = time.perf_counter()

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None:
            print(f"{self.what} ({time.perf_counter() - self.start:.1f} s)")


if __name__ == "__main__":
    main()
