"""Count the annotations that become a table, per second.

Compares `df.kili.annotations()` with a plain Python loop that makes the same columns of boxes, with a loop that makes
only eight of them, and with the parsed labels of the official SDK (which parses, and makes no table), where an
interpreter that has it is given::

    python benchmarks/annotations.py --annotations 200000 --sdk-python ../sdk-venv/bin/python
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

_PER_LABEL = 10
_INTERFACE = {
    "jobs": {
        "JOB_0": {
            "mlTask": "OBJECT_DETECTION",
            "tools": ["rectangle"],
            "required": 1,
            "isChild": False,
            "content": {"input": "radio", "categories": {name: {"children": [], "name": name} for name in "ABC"}},
        }
    }
}


def answers(kind: str, annotations: int) -> list[str]:
    """Make answers of one kind, as JSON text."""
    make = {"boxes": _boxes, "polygons": _polygons, "classes": _classes, "video": _video}[kind]
    return [json.dumps(make(random.Random(number))) for number in range(annotations // _PER_LABEL)]


def _shape(rng: random.Random, tool: str, vertices: list[dict[str, float]]) -> dict[str, Any]:
    return {
        "boundingPoly": [{"normalizedVertices": vertices}],
        "categories": [{"name": rng.choice("ABC"), "confidence": 100}],
        "children": {},
        "mid": f"2023071817{rng.randrange(10**7)}-{rng.randrange(10**5)}",
        "type": tool,
    }


def _box(rng: random.Random) -> dict[str, Any]:
    x, y, right, bottom = rng.random() / 2, rng.random() / 2, 0.5 + rng.random() / 2, 0.5 + rng.random() / 2
    corners = [(x, bottom), (x, y), (right, y), (right, bottom)]
    return _shape(rng, "rectangle", [{"x": a, "y": b} for a, b in corners])


def _boxes(rng: random.Random) -> dict[str, Any]:
    return {"JOB_0": {"annotations": [_box(rng) for _ in range(_PER_LABEL)]}}


def _polygons(rng: random.Random) -> dict[str, Any]:
    shapes = [[{"x": rng.random(), "y": rng.random()} for _ in range(20)] for _ in range(_PER_LABEL)]
    return {"JOB_0": {"annotations": [_shape(rng, "polygon", shape) for shape in shapes]}}


def _classes(rng: random.Random) -> dict[str, Any]:
    return {f"JOB_{job}": {"categories": [{"name": rng.choice("ABC"), "confidence": 100}]} for job in range(_PER_LABEL)}


def _video(rng: random.Random) -> dict[str, Any]:
    frames = {str(frame): {"JOB_0": {"annotations": [_box(rng) | {"isKeyFrame": True}]}} for frame in range(_PER_LABEL)}
    return frames | {str(frame): {} for frame in range(_PER_LABEL, 2 * _PER_LABEL)}


def loop(texts: list[str], columns: int) -> Any:
    """Make a frame of boxes in plain Python: of eight columns, or of those that the table has for boxes."""
    import pandas as pd  # noqa: PLC0415 - the environment of the SDK may have none

    rows = []
    for label, text in enumerate(texts):
        for job, body in json.loads(text).items():
            for number, item in enumerate(body["annotations"]):
                vertices = item["boundingPoly"][0]["normalizedVertices"]
                xs, ys = [vertex["x"] for vertex in vertices], [vertex["y"] for vertex in vertices]
                row = {"labelId": label, "job": job, "mid": item["mid"], "category": item["categories"][0]["name"]}
                row |= {"xmin": min(xs), "ymin": min(ys), "xmax": max(xs), "ymax": max(ys)}
                if columns > len(row):
                    row |= {"row": number, "kind": "annotation", "tool": item["type"], "mlTask": "OBJECT_DETECTION"}
                    row |= {"confidence": item["categories"][0].get("confidence"), "rings": [vertices]}
                    row |= {"hasChildren": bool(item["children"]), "score": item.get("score"), "rotation": 0.0}
                rows.append(row)
    return pd.DataFrame(rows)


def frame_of(texts: list[str]) -> Any:
    """Make a frame of labels, as they are after reading."""
    import pandas as pd  # noqa: PLC0415 - as in `loop`
    import pyarrow as pa  # noqa: PLC0415

    labels = {"id": [str(number) for number in range(len(texts))], "jsonResponse": texts}
    return pd.DataFrame(labels, dtype=pd.ArrowDtype(pa.string()))


def table(frame: Any) -> Any:
    """Make the table of annotations."""
    from pandas_kili.tidy import annotations_table  # noqa: PLC0415 - as in `loop`

    return annotations_table(frame)


def parsed_labels(texts: list[str]) -> Any:
    """Parse with the official SDK."""
    from kili.utils.labels.parsing import ParsedLabel  # noqa: PLC0415

    return [ParsedLabel({"jsonResponse": json.loads(text)}, _INTERFACE, "IMAGE") for text in texts]


def seconds(function: Callable[[], Any], repeat: int = 3) -> float:
    """Return the median time of a few runs."""
    times = []
    for _ in range(repeat):
        begin = time.perf_counter()
        result = function()
        times.append(time.perf_counter() - begin)
        del result
    return statistics.median(times)


def in_sdk(python: str, texts: list[str]) -> float | None:
    """Return how long the official SDK takes, run by an interpreter that has it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "answers.json")
        path.write_text(json.dumps(texts), encoding="utf-8")
        done = subprocess.run([python, __file__, "--only-sdk", str(path)], capture_output=True, text=True, check=False)
    if done.returncode:
        print(f"the SDK could not be measured: {done.stderr.strip().splitlines()[-1:]}", file=sys.stderr)
        return None
    return float(done.stdout)


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--annotations", type=int, default=200_000)
    parser.add_argument("--sdk-python")
    parser.add_argument("--only-sdk", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.only_sdk:
        texts = json.loads(Path(options.only_sdk).read_text(encoding="utf-8"))
        print(seconds(lambda: parsed_labels(texts), repeat=1))
        return
    print("| answers | by | annotations a second | seconds for a million | times the table |")
    print("|---|---|--:|--:|--:|")
    for kind in ("boxes", "polygons", "classes", "video"):
        texts = answers(kind, options.annotations)
        frame = frame_of(texts)
        measured: dict[str, float | None] = {"pandas_kili": seconds(lambda frame=frame: table(frame))}
        if kind in {"boxes", "polygons"}:
            measured["loop, the same columns"] = seconds(lambda texts=texts: loop(texts, 17))
            measured["loop, 8 columns"] = seconds(lambda texts=texts: loop(texts, 8))
        if kind == "boxes" and options.sdk_python:
            part = texts[: max(1, len(texts) // 20)]
            took = in_sdk(options.sdk_python, part)
            measured["kili, parsed labels"] = took and took * len(texts) / len(part)
        base = measured["pandas_kili"] or 1.0
        for name, took in measured.items():
            if took:
                count = options.annotations
                print(f"| {kind} | {name} | {count / took:,.0f} | {took * 1e6 / count:.2f} | {took / base:.2f} |")


if __name__ == "__main__":
    main()
