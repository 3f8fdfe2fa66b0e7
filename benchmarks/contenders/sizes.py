"""What all contenders are given."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.canned import Assets, picture

PAGE = 100
PICTURE = len(picture())


def bodies(pages: int) -> list[bytes]:
    """Return pages of assets with labels."""
    assets = Assets("labelled", PAGE * pages)
    return [assets.page(PAGE * number, PAGE) for number in range(pages)]


def appended(rows: int) -> dict[str, list[Any]]:
    """Return the columns of new assets."""
    return {
        "content": [f"https://example.com/images/{row}.jpg" for row in range(rows)],
        "externalId": [f"image-{row}" for row in range(rows)],
        "jsonMetadata": [{"camera": "a", "frame": row} for row in range(rows)],
    }


def pictures(folder: str, count: int) -> list[str]:
    """Write so many pictures, and return their paths."""
    paths = [Path(folder, f"{number}.jpg") for number in range(count)]
    content = picture()
    for path in paths:
        path.write_bytes(content)
    return list(map(str, paths))
