"""What tidy tables of answers cost: CPU, in times of `json.loads` of the same texts.

Reading (`annotations`), writing (`to_json_response`), comparing (`agreement`, `disagreements`) and checking
(`append_labels(check="interface")`) of answers of every kind, plain ones and those that mix classes, children, texts
and boxes. Beside them stand a plain Python loop that makes the same columns of boxes, one that makes only eight, the
vendor's `kili-formats` (boxes in pixels, no table), and the parsed labels of the official SDK (no table either), where
an interpreter that has it is given::

    python -m benchmarks.annotations                        # 10,000 answers of ten annotations each
    python -m benchmarks.annotations --kinds mixed --sdk-python ../sdk-venv/bin/python
    python -m benchmarks.annotations --growth               # 10,000, 100,000 and 1,000,000 rows

`json.loads` builds the list of all answers, as whoever works with them does; a second line says what it costs where
each answer is thrown away at once, which spares Python its garbage collector. "Checks on top" are µs a row, not times.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
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
    return [json.dumps(_KINDS[kind](random.Random(number))) for number in range(annotations // _PER_LABEL)]


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
    return {
        f"CLASS_{job}": {"categories": [{"name": rng.choice("ABC"), "confidence": 100}]} for job in range(_PER_LABEL)
    }


def _one_class(rng: random.Random) -> dict[str, Any]:
    return {"KIND": {"categories": [{"name": rng.choice("ABC"), "confidence": round(100 * rng.random(), 3)}]}}


def _video(rng: random.Random) -> dict[str, Any]:
    frames = {str(frame): {"JOB_0": {"annotations": [_box(rng) | {"isKeyFrame": True}]}} for frame in range(_PER_LABEL)}
    return frames | {str(frame): {} for frame in range(_PER_LABEL, 2 * _PER_LABEL)}


def _beside_a_class(rng: random.Random) -> dict[str, Any]:
    return {"KIND": {"categories": [{"name": rng.choice("ABC"), "confidence": 100}]}, **_boxes(rng)}


def _mixed(rng: random.Random) -> dict[str, Any]:
    answer = _beside_a_class(rng) | {"NOTE": {"text": f"note {rng.randrange(1000)}"}}
    for number, box in enumerate(answer["JOB_0"]["annotations"]):
        if number % 3 == 0:
            box["children"] = {"SPEED": {"categories": [{"name": "FAST", "confidence": 100}]}}
        if number % 3 == 1:
            box["children"] = {"PLATE": {"text": f"AB-{rng.randrange(1000)}"}}
    return answer


_KINDS = {
    "boxes": _boxes,
    "polygons": _polygons,
    "classes": _classes,
    "one class": _one_class,
    "video": _video,
    "boxes beside a class": _beside_a_class,
    "mixed": _mixed,
}


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
    import pyarrow as pa  # noqa: PLC0415 - as in `loop`

    labels = {"id": [str(number) for number in range(len(texts))], "jsonResponse": texts}
    return pd.DataFrame(labels, dtype=pd.ArrowDtype(pa.string()))


def pairs_of(texts: list[str]) -> Any:
    """Make a frame of assets with the labels of two people each."""
    import pandas as pd  # noqa: PLC0415 - as in `loop`
    import pyarrow as pa  # noqa: PLC0415 - as in `loop`

    people = ("ada", "bob")
    labels = pa.array(
        [
            [
                {"author": {"email": person}, "labelType": "DEFAULT", "jsonResponse": text}
                for person, text in zip(people, texts[start : start + 2], strict=True)
            ]
            for start in range(0, len(texts) - 1, 2)
        ]
    )
    return pd.DataFrame({"labels": pd.Series(labels, dtype=pd.ArrowDtype(labels.type))})


def interface() -> dict[str, Any]:
    """Return an interface that allows all answers made here."""
    names = {name: {} for name in "ABC"}

    def classes(categories: dict[str, Any]) -> dict[str, Any]:
        return {"mlTask": "CLASSIFICATION", "content": {"input": "radio", "categories": categories}}

    below = {"children": ["SPEED", "PLATE"]}
    return {
        "jobs": {
            "JOB_0": {
                "mlTask": "OBJECT_DETECTION",
                "tools": ["rectangle", "polygon"],
                "content": {"categories": dict.fromkeys(names, below)},
            },
            **{f"CLASS_{number}": classes(names) for number in range(_PER_LABEL)},
            "KIND": classes(names),
            "SPEED": classes({"FAST": {}}),
            "PLATE": {"mlTask": "TRANSCRIPTION"},
            "NOTE": {"mlTask": "TRANSCRIPTION"},
        }
    }


def in_pixels(texts: list[str]) -> Any:
    """Turn boxes into pixels with kili-formats."""
    from kili_formats import convert_to_pixel_coords  # noqa: PLC0415 - as in `loop`

    project: Any = {"inputType": "IMAGE", "jsonInterface": interface()}
    size = {"width": 1920, "height": 1080}
    return [
        convert_to_pixel_coords({"resolution": size, "latestLabel": {"jsonResponse": json.loads(text)}}, project)
        for text in texts
    ]


def parsed_labels(texts: list[str]) -> Any:
    """Parse with the official SDK."""
    from kili.utils.labels.parsing import ParsedLabel  # noqa: PLC0415 - as in `loop`

    return [ParsedLabel({"jsonResponse": json.loads(text)}, _INTERFACE, "IMAGE") for text in texts]


def seconds(function: Callable[[], Any], repeat: int = 3) -> float:
    """Return the least CPU time of a few runs."""
    times = []
    for _ in range(repeat):
        begin = time.process_time()
        result = function()
        times.append(time.process_time() - begin)
        del result
    return min(times)


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
    parser.add_argument("--annotations", type=int, default=100_000)
    parser.add_argument("--kinds", nargs="+", choices=_KINDS, default=list(_KINDS))
    parser.add_argument(
        "--growth", action="store_true", help="µs a row from 10,000 rows to 1,000,000, of mixed answers"
    )
    parser.add_argument("--sdk-python")
    parser.add_argument("--only-sdk", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.only_sdk:
        texts = json.loads(Path(options.only_sdk).read_text(encoding="utf-8"))
        print(seconds(lambda: parsed_labels(texts), repeat=1))
        return
    if options.growth:
        _growth()
        return
    print("| answers | what | seconds | times json.loads | goal | met | rows a second |")
    print("|---|---|--:|--:|--:|:-:|--:|")
    for kind in options.kinds:
        texts = answers(kind, options.annotations)
        base = seconds(lambda texts=texts: [json.loads(text) for text in texts])
        for what, took, rows in _measured(kind, texts, options.sdk_python):
            goal = _GOALS.get(what)
            times = 1e6 * took / rows if what == _ON_TOP else took / base
            met = "" if goal is None else "yes" if times <= goal else "NO"
            figures = f"{took:.3f} | {times:.2f}{' µs a row' if what == _ON_TOP else ''} | {goal or ''} | {met}"
            print(f"| {kind} | {what} | {figures} | {rows / took if took > 0 else 0:,.0f} |", flush=True)


_ON_TOP = "checks of the interface, on top of reading"
_GOALS = {"annotations": 1.2, "to_json_response": 2, "agreement": 2, "disagreements": 2, _ON_TOP: 2}


def _measured(kind: str, texts: list[str], sdk_python: str | None) -> Iterator[tuple[str, float, int]]:
    """Yield what was measured, its CPU seconds, and the rows of the table of annotations."""
    import pyarrow as pa  # noqa: PLC0415 - as in `loop`

    from pandas_kili.tidy import (  # noqa: PLC0415 - as in `loop`
        agreement,
        annotations_table,
        answer_misfits,
        disagreements,
        jobs_of,
        to_json_response,
    )
    from pandas_kili.tidy.answers.read import read_answers  # noqa: PLC0415 - as in `loop`

    frame, pairs = frame_of(texts), pairs_of(texts)
    table = annotations_table(frame)
    rows = len(table)
    jobs = jobs_of(interface())
    if faults := answer_misfits(texts, jobs):
        raise ValueError(faults[0])
    yield "json.loads, each thrown away", seconds(lambda: [bool(json.loads(text)) for text in texts]), rows
    yield "annotations", seconds(lambda: annotations_table(frame)), rows
    yield "to_json_response", seconds(lambda: to_json_response(table)), rows
    yield "agreement", seconds(lambda: agreement(pairs)), rows
    yield "disagreements", seconds(lambda: disagreements(pairs)), rows
    few, few_rows = texts[:100], rows * 100 // len(texts)
    yield "annotations of 100 of them", seconds(lambda: annotations_table(frame_of(few))), few_rows
    yield "agreement of 100 of them", seconds(lambda: agreement(pairs_of(few))), few_rows
    array = pa.array(texts).dictionary_encode().dictionary
    checked = seconds(lambda: answer_misfits(texts, jobs))
    yield _ON_TOP, checked - seconds(lambda: read_answers(array)), rows
    if kind in {"boxes", "polygons"}:
        yield "loop, the same columns", seconds(lambda: loop(texts, 17)), rows
        yield "loop, 8 columns", seconds(lambda: loop(texts, 8)), rows
    if importlib.util.find_spec("kili_formats") and kind in {"boxes", "polygons", "boxes beside a class", "mixed"}:
        yield "kili-formats, boxes in pixels", seconds(lambda: in_pixels(texts)), rows
    if kind == "boxes" and sdk_python:
        part = texts[: max(1, len(texts) // 20)]
        took = in_sdk(sdk_python, part)
        if took:
            yield "kili, parsed labels", took * len(texts) / len(part), rows


def _growth() -> None:
    """Print what a row costs in ever larger tables."""
    from pandas_kili.tidy import agreement, annotations_table, disagreements, to_json_response  # noqa: PLC0415 - as in `loop`

    rows_each = len(annotations_table(frame_of(answers("mixed", _PER_LABEL))))
    print("| rows | annotations, µs a row | to_json_response | agreement | disagreements |")
    print("|--:|--:|--:|--:|--:|")
    for wanted in (10_000, 100_000, 1_000_000):
        texts = answers("mixed", wanted * _PER_LABEL // rows_each)
        frame, pairs = frame_of(texts), pairs_of(texts)
        table = annotations_table(frame)
        costs = [
            seconds(work, repeat=2 if wanted > 100_000 else 3)  # noqa: PLR2004 - the largest takes a minute
            for work in (
                lambda frame=frame: annotations_table(frame),
                lambda table=table: to_json_response(table),
                lambda pairs=pairs: agreement(pairs),
                lambda pairs=pairs: disagreements(pairs),
            )
        ]
        print(f"| {len(table):,} | {' | '.join(f'{1e6 * cost / len(table):.2f}' for cost in costs)} |", flush=True)


if __name__ == "__main__":
    main()
