"""Training data out: COCO and YOLO of boxes, beside kili-formats in memory and the official SDK's exports of a project.

    python -m benchmarks.formats                                # 10,000 images with 100,000 boxes
    python -m benchmarks.formats --python OURS/bin/python --sdk-python THEIRS/bin/python
    python -m benchmarks.formats --mixed                        # polygons among the boxes, and classes beside and below

In memory, seconds are CPU; both begin with answers as JSON text. kili-formats is the vendor's converter
(``pip install 'kili-formats[coco]'``). From a server that takes 20 ms for each call, seconds are wall time, from the
empty process to both data sets on disk. Each contender runs in a process of its own: ours reads the project once and
writes both, the SDK's export reads the project for each format. Neither fetches a picture. Medians of `--repeat` runs.
Environments that hold the contender and no more are fair: pandera imports what it finds (hypothesis, geopandas, ...).

The floor is a process that imports pandas, asks for the same pages, eight at a time, and writes as many files of the
same length, but reads no answer. What the SDK takes, in floors, is the most that any converter in Python can reach.

The SDK comes last. It deletes 20,000 files a run, and for minutes afterwards ext4 takes up to 200 µs for a new file
instead of 7. Wait five minutes before the next run of this benchmark.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import math
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd

import pandas_kili as pk
from pandas_kili.sandbox import Fault, Sandbox

PER_IMAGE = 10
CORNERS = 12  # of a polygon
BYTES = {"COCO": 360, "YOLO": 47}  # of a box
SIZE = (1920, 1080)
CATEGORIES = "ABCD"
HEAD = """
import json, sys, time
spent, began = {}, time.perf_counter()
def stamp(part):
    global began
    spent[part], began = time.perf_counter() - began, time.perf_counter()
given = json.loads(sys.argv[1])
"""
OURS = """
import pandas_kili as pk
client = pk.Client(given["key"], given["endpoint"], max_calls_per_minute=1_000_000)
stamp("start")
fields = ["externalId", "content", "resolution.width", "resolution.height"]
fields += ["labels.labelType", "labels.createdAt", "labels.jsonResponse"]
frame = pk.read_kili(given["project"], fields=fields, client=client, disable_tqdm=True)
stamp("read")
found = frame.kili.to_coco(given["folder"] + "/coco")
stamp("coco")
frame.kili.to_yolo(given["folder"] + "/yolo")
stamp("yolo")
assert len(found["annotations"]) == given["boxes"]
"""
FLOOR = """
from concurrent.futures import ThreadPoolExecutor
import pandas, requests
session = requests.Session()
session.headers["Authorization"] = "X-API-Key: " + given["key"]
document = "query ($where: AssetWhere!, $first: PageSize!, $skip: Int!) { data: assets(where: $where, first: $first,"
document += " skip: $skip) { externalId content resolution { width height }"
document += " labels { labelType createdAt jsonResponse } } }"
def page(skip):
    variables = {"where": {"project": {"id": given["project"]}}, "first": 100, "skip": skip}
    answer = session.post(given["endpoint"], json={"query": document, "variables": variables})
    assert len(answer.json()["data"]["data"]) == min(100, given["images"] - skip)
with ThreadPoolExecutor(8) as pool:
    list(pool.map(page, range(0, given["images"], 100)))
def write(name, size):
    with open(given["folder"] + "/" + name, "wb") as file:
        file.write(b"x" * size)
write("labels.json", given["boxes"] * given["bytes of COCO"])
for number in range(given["images"]):
    write(f"{number}.txt", given["boxes"] * given["bytes of YOLO"] // given["images"])
stamp("all")
"""
SDK = """
import warnings, zipfile
warnings.simplefilter("ignore")
from kili.client import Kili
kili = Kili(given["key"], given["endpoint"], disable_tqdm=True)
stamp("start")
for format in ("coco", "yolo_v8"):
    kili.export_labels(given["project"], given["folder"] + f"/{format}.zip", format, layout="merged",
                       with_assets=False, disable_tqdm=True)
    stamp(format[:4])
with zipfile.ZipFile(given["folder"] + "/coco.zip") as archive:
    (name,) = [name for name in archive.namelist() if name.endswith("labels.json")]
    assert len(json.loads(archive.read(name))["annotations"]) == given["boxes"]
"""
TAIL = "print(json.dumps({**spent, 'CPU': time.process_time()}))"


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--images", type=int, default=10_000, metavar="N")
    parser.add_argument("--repeat", type=int, default=3, metavar="N")
    parser.add_argument(
        "--python", default=sys.executable, help="interpreter of an environment that holds this package and no more"
    )
    parser.add_argument("--sdk-python", metavar="PYTHON", help="interpreter of an environment that holds the SDK")
    parser.add_argument(
        "--mixed",
        action="store_true",
        help="every other box a polygon, classes below and beside",
    )
    chosen = parser.parse_args()
    make = mixed if chosen.mixed else boxes
    answers = [json.dumps(make(random.Random(number))) for number in range(chosen.images)]
    print(f"{chosen.images:,} images with {chosen.images * PER_IMAGE:,} objects, medians of {chosen.repeat}:")
    in_memory(answers, chosen.repeat)
    from_server(answers, chosen.repeat, chosen.python, chosen.sdk_python)


def boxes(rng: random.Random) -> dict[str, Any]:
    """Make the answer for one image: boxes."""
    found = []
    for _ in range(PER_IMAGE):
        left, top = rng.random() * 0.8, rng.random() * 0.8
        right, bottom = left + 0.02 + rng.random() * 0.15, top + 0.02 + rng.random() * 0.15
        corners = [(left, bottom), (left, top), (right, top), (right, bottom)]
        ring = {"normalizedVertices": [{"x": x, "y": y} for x, y in corners]}
        named = {"mid": str(rng.random()), "type": "rectangle", "categories": [{"name": rng.choice(CATEGORIES)}]}
        found.append({**named, "boundingPoly": [ring]})
    return {"J": {"annotations": found}}


def mixed(rng: random.Random) -> dict[str, Any]:
    """Make the answer for one image: boxes and polygons, classes below them, and one of the image."""
    answer = boxes(rng)
    for number, each in enumerate(answer["J"]["annotations"]):
        if number % 2:
            x, y = 0.1 + rng.random() * 0.8, 0.1 + rng.random() * 0.8
            angles = [math.tau * turn / CORNERS for turn in range(CORNERS)]
            ring = [{"x": x + 0.08 * math.cos(angle), "y": y + 0.06 * math.sin(angle)} for angle in angles]
            each |= {"type": "polygon", "boundingPoly": [{"normalizedVertices": ring}]}
        if number % 3:
            each["children"] = {"COLOR": chosen_class(rng)}
    return {"WEATHER": chosen_class(rng), **answer}


def chosen_class(rng: random.Random) -> dict[str, Any]:
    """Make the answer of a job of classes."""
    return {"categories": [{"name": rng.choice(CATEGORIES), "confidence": 100}]}


def interface(answers: list[str]) -> dict[str, Any]:
    """Return the jobs that answers answer."""
    has_classes = '"COLOR"' in answers[0]
    categories = {name: {"name": name, "children": ["COLOR"] * has_classes} for name in CATEGORIES}
    common = {"required": 0, "isChild": False, "content": {"input": "radio", "categories": categories}}
    jobs = {"J": {**common, "mlTask": "OBJECT_DETECTION", "tools": ["rectangle", "polygon"][: 1 + has_classes]}}
    if has_classes:
        classes = {"input": "radio", "categories": {name: {"name": name, "children": []} for name in CATEGORIES}}
        job = {**common, "mlTask": "CLASSIFICATION", "content": classes}
        jobs |= {"WEATHER": job, "COLOR": {**job, "isChild": True}}
    return jobs


def in_memory(answers: list[str], repeat: int) -> None:
    """Compare `to_coco` with the vendor's converter."""
    from kili_formats import convert_from_kili_to_coco_format  # noqa: PLC0415 - only this part needs it

    labels = pd.Series([[{"labelType": "DEFAULT", "jsonResponse": answer}] for answer in answers])
    names = [f"{number}.jpg" for number in range(len(answers))]
    size = {"resolution.width": SIZE[0], "resolution.height": SIZE[1]}
    frame = pd.DataFrame({"externalId": names, "labels": labels, **size}).convert_dtypes(dtype_backend="pyarrow")
    jobs: Any = {"J": interface(answers)["J"]}

    def theirs() -> None:
        assets = [
            {
                "externalId": name,
                "content": "",
                "resolution": {"width": SIZE[0], "height": SIZE[1]},
                "latestLabel": {"jsonResponse": json.loads(answer)},
            }
            for name, answer in zip(names, answers, strict=True)
        ]
        with contextlib.redirect_stdout(io.StringIO()):
            convert_from_kili_to_coco_format(jobs, assets, "title", "IMAGE", None, merged=True)

    costs = {"ours": cpu(frame.kili.to_coco, repeat), "theirs": cpu(theirs, repeat)}
    report("COCO in memory, CPU", costs["ours"], "kili-formats", costs["theirs"], goal=5)


def cpu(work: Callable[[], Any], repeat: int) -> float:
    """Return the median of CPU seconds, after a first run."""
    work()
    costs = []
    for _ in range(repeat):
        start = time.process_time()
        work()
        costs.append(time.process_time() - start)
    return statistics.median(costs)


def from_server(answers: list[str], repeat: int, own_python: str, sdk: str | None) -> None:
    """Compare reading a project and writing COCO and YOLO with the SDK's exports."""
    faults = [Fault("latency", times=None, seconds=0.02)]
    with tempfile.TemporaryDirectory() as folder, Sandbox(faults=faults, max_calls_per_minute=None) as sandbox:
        project = pk.create_project("Boxes", "IMAGE", {"jobs": interface(answers)}, client=sandbox.client)
        names = [f"{number}.jpg" for number in range(len(answers))]
        rows = [{"externalId": name, "content": f"https://h.invalid/{name}"} for name in names]
        for asset_id in sandbox.add_assets(project, rows):
            sandbox.set_asset(asset_id, resolution=json.dumps({"width": SIZE[0], "height": SIZE[1]}))
        labels = pd.DataFrame({"externalId": names, "author": "ada@example.com", "jsonResponse": answers})
        sandbox.add_labels(labels, project_id=project)
        given: dict[str, Any] = {"key": sandbox.api_key, "endpoint": sandbox.api_endpoint, "project": project}
        given |= {"images": len(answers), "boxes": len(answers) * PER_IMAGE}
        given |= {f"bytes of {name}": size for name, size in BYTES.items()}
        found: dict[str, list[dict[str, float]]] = {"ours": [], "theirs": [], "floor": []}
        turns = [("ours", OURS, own_python), ("floor", FLOOR, own_python)] * repeat + [("theirs", SDK, sdk)] * repeat
        for number, (name, program, python) in enumerate(turns):
            if python is not None:
                own = Path(folder) / f"{name}-{number}"
                own.mkdir()
                command = [python, "-c", HEAD + program + TAIL, json.dumps({**given, "folder": str(own)})]
                done = subprocess.run(command, capture_output=True, text=True, check=True)
                found[name].append(json.loads(done.stdout.splitlines()[-1]))
    walls = {
        name: {part: statistics.median(run[part] for run in runs) for part in runs[0]}
        for name, runs in found.items()
        if runs
    }
    for title, other in (("COCO and YOLO", ""), ("COCO alone", "yolo"), ("YOLO alone", "coco")):
        sums = {
            name: sum(seconds for part, seconds in parts.items() if part not in {other, "CPU"})
            for name, parts in walls.items()
        }
        peer = sums.get("theirs")
        report(f"{title} from a server at 20 ms, wall", sums["ours"], "official SDK", peer, goal=10)
    for name, parts in walls.items():
        print(f"* Seconds of {name}: {', '.join(f'{part} {seconds:.2f}' for part, seconds in parts.items())}")


def report(question: str, ours: float, peer: str, theirs: float | None, goal: float) -> None:
    """Print one line of the table."""
    beside = "" if theirs is None else f", {peer} {theirs:.2f} s: {theirs / ours:.1f} times (goal {goal:g})"
    print(f"* {question}: ours {ours:.2f} s{beside}", flush=True)


if __name__ == "__main__":
    main()
