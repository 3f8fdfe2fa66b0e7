"""From labels to a detector and back: export, training, predictions, and where people and the model differ.

1. Handwritten digits are pasted at random places of larger pictures, which become a project of a local Kili.
2. Simulated people draw a box around each digit; one of them errs now and then.
3. The labels are exported to COCO and YOLO, with a split that stays the same when assets come, and read back.
4. A small detector is trained on the export: connected ink is a box, and a classifier of scikit-learn reads the digit.
5. What it finds goes in as predictions, and `disagreements(against=...)` ranks where people and the model differ.
   A gallery shows both beside each other.

Neither account nor network is needed: ``python examples/train.py``
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image
from scipy import ndimage
from sklearn.datasets import load_digits
from sklearn.neighbors import KNeighborsClassifier

import pandas_kili as pk
from pandas_kili.sandbox import Sandbox

SIDE, DIGIT = 160, 32  # pixels of a picture, and of a digit on it
INK = 64  # of 255; fainter pixels are paper
JOB, MODEL = "DIGITS", "digits-1"
LABELERS = {"ada@example.com": 0.0, "ben@example.com": 0.08}  # and the share of digits that they misread
SPLIT = {"train": 0.7, "val": 0.3}
FIELDS = ["id", "externalId", "content", "labels.author.email", "labels.labelType", "labels.modelName"]
FIELDS += ["labels.createdAt", "labels.jsonResponse"]


def main() -> None:
    """Run the example from end to end."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--pictures", type=int, default=200, metavar="N", help="how many pictures to make")
    here = Path(__file__).parent / "out/train"
    parser.add_argument("--out", type=Path, default=here, metavar="DIR", help="where to export to")
    chosen = parser.parse_args()
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as scratch, Sandbox(max_calls_per_minute=None) as sandbox:
        out = chosen.out
        project_id, truth = fill(sandbox, Path(scratch) / "pictures", chosen.pictures)

        read = pk.read_kili(project_id, fields=FIELDS, client=sandbox.client)
        local = read.kili.download_media(local_media_dir=Path(scratch) / "media", client=sandbox.client)
        sets = local.kili.to_coco(out / "coco", split=SPLIT, media="link", overwrite=True)
        local.kili.to_yolo(out / "yolo", split=SPLIT, media="link", overwrite=True)
        counts = {name: (len(each["images"]), len(each["annotations"])) for name, each in sets.items()}
        told = [f"{images} pictures with {boxes} boxes to {name}" for name, (images, boxes) in counts.items()]
        print(f"Exported {' and '.join(told)}.")
        again = [boxes_of(pk.read_coco(out / "coco")), boxes_of(pk.read_yolo(out / "yolo"))]
        print(f"Read back from COCO and YOLO: {again[0]} and {again[1]} boxes.")

        results = predicted(trained(sets["train"], out / "coco" / "train"), sets["val"], out / "coco" / "val")
        share = right(results, sets["val"], truth)
        print(f"On pictures that it has not seen, the detector reads {share:.0%} of the digits.")
        send(pk.read_coco(results, data_set=sets["val"]), read, project_id, sandbox)

        frame = pk.read_kili(project_id, fields=FIELDS, client=sandbox.client).assign(content=local["content"])
        ranked = frame.kili.disagreements(against=MODEL)
        worst = ranked[["externalId", "disagreement"]].merge(readings(frame, truth), on="externalId").head(10)
        by_people, by_model = (
            worst[names].ne(worst["there"], axis=0).any(axis=1).sum() for names in (list(LABELERS), [MODEL])
        )
        print(f"The {len(worst)} pictures on which people and {MODEL} differ most, with the digits that each reads.")
        print(f"People err on {by_people} of them, and {MODEL} on {by_model}:")
        print(worst.round(2).to_string(index=False))
        ranked.head(len(worst)).kili.preview(client=sandbox.client).save(out / "differ.html")
        print(f"See {out / 'differ.html'}, {out / 'coco'} and {out / 'yolo'}.")
    print(f"Done in {time.perf_counter() - start:.0f} s.")


# ------------------------------------------------------------------------------------------------ a project to read


def fill(sandbox: Sandbox, folder: Path, count: int) -> tuple[str, dict[str, list[tuple[list[float], str]]]]:
    """Make a project of pictures with the boxes that people drew; return its id and what is on the pictures."""
    folder.mkdir()
    categories = {f"D{digit}": {"name": str(digit)} for digit in range(10)}
    content = {"input": "radio", "categories": categories}
    job = {"mlTask": "OBJECT_DETECTION", "tools": ["rectangle"], "required": 1, "content": content}
    project_id = sandbox.create_project("Digits in pictures", "IMAGE", {"jobs": {JOB: job}})
    random = np.random.default_rng(7)
    truth = {f"page-{number:03}.png": paste(folder / f"page-{number:03}.png", random) for number in range(count)}
    files = pd.DataFrame({"externalId": list(truth), "content": [str(folder / name) for name in truth]})
    files.kili.append_many_to_dataset(project_id, client=sandbox.client)
    rows = [
        {"externalId": name, "author": author, "jsonResponse": drawn(found, rate, random)}
        for author, rate in LABELERS.items()
        for name, found in truth.items()
    ]
    sandbox.add_labels(pd.DataFrame(rows), project_id=project_id)
    return project_id, truth


def paste(path: Path, random: np.random.Generator) -> list[tuple[list[float], str]]:
    """Write a picture of three to five digits, one in a cell of a grid; return their boxes in pixels and classes."""
    digits = load_digits()
    page = np.zeros((SIDE, SIDE), np.uint8)
    found = []
    cells = SIDE // (DIGIT + 8)
    for cell in random.choice(cells**2, size=random.integers(3, 6), replace=False):
        number = random.integers(len(digits.images))
        ink = Image.fromarray(np.rint(digits.images[number] * 255 / 16).astype(np.uint8)).resize((DIGIT, DIGIT))
        left, top = (int(part) * (DIGIT + 8) + int(random.integers(8)) for part in (cell % cells, cell // cells))
        page[top : top + DIGIT, left : left + DIGIT] = np.asarray(ink)
        ys, xs = np.nonzero(np.asarray(ink) > INK)
        found.append(
            ([left + xs.min(), top + ys.min(), left + xs.max() + 1, top + ys.max() + 1], f"D{digits.target[number]}")
        )
    Image.fromarray(255 - page).save(path)
    return found


def drawn(found: list[tuple[list[float], str]], rate: float, random: np.random.Generator) -> str:
    """Return what a person draws: each box a pixel off, a digit misread now and then."""
    annotations = []
    for box, category in found:
        left, top, right, bottom = np.clip((np.array(box) + random.integers(-1, 2, 4)) / SIDE, 0, 1).tolist()
        read = f"D{random.integers(10)}" if random.random() < rate else category
        corners = [(left, bottom), (left, top), (right, top), (right, bottom)]
        ring = {"normalizedVertices": [{"x": x, "y": y} for x, y in corners]}
        annotations.append({"type": "rectangle", "categories": [{"name": read}], "boundingPoly": [ring]})
    return json.dumps({JOB: {"annotations": annotations}})


# ---------------------------------------------------------------------------------------------------- the detector


def crop(page: np.ndarray, box: list[float]) -> np.ndarray:
    """Return what a box holds as the 64 numbers that the classifier reads."""
    left, top, width, height = (round(edge) for edge in box)
    part = Image.fromarray(page[top : top + height, left : left + width]).resize((8, 8), Image.Resampling.BOX)
    return np.asarray(part, float).ravel() / 255


def ink_of(folder: Path, image: dict[str, Any]) -> np.ndarray:
    """Return a picture of the export, ink as large numbers."""
    return 255 - np.asarray(Image.open(folder / image["file_name"]).convert("L"))


def trained(data_set: dict[str, Any], folder: Path) -> KNeighborsClassifier:
    """Return a classifier that has seen the boxes of an export."""
    pages = {image["id"]: ink_of(folder, image) for image in data_set["images"]}
    crops = [crop(pages[each["image_id"]], each["bbox"]) for each in data_set["annotations"]]
    classes = [each["category_id"] for each in data_set["annotations"]]
    return KNeighborsClassifier(5, weights="distance").fit(crops, classes)


def predicted(model: KNeighborsClassifier, data_set: dict[str, Any], folder: Path) -> list[dict[str, Any]]:
    """Return what the detector finds on the pictures of an export, as results of COCO."""
    results = []
    for image in data_set["images"]:
        page = ink_of(folder, image)
        pieces, _ = ndimage.label(ndimage.binary_dilation(page > INK, iterations=2))
        for rows, columns in ndimage.find_objects(pieces):
            ys, xs = np.nonzero(page[rows, columns] > INK)
            left, top = columns.start + int(xs.min()), rows.start + int(ys.min())
            box = [left, top, int(np.ptp(xs)) + 1, int(np.ptp(ys)) + 1]
            (chances,) = model.predict_proba([crop(page, box)])
            best = int(chances.argmax())
            found = {"image_id": image["id"], "category_id": int(model.classes_[best]), "bbox": box}
            results.append({**found, "score": float(chances[best])})
    return results


def right(results: list[dict[str, Any]], data_set: dict[str, Any], truth: dict[str, Any]) -> float:
    """Return the share of digits that were found with their class: the center of a box lies in it."""
    names = {category["id"]: category["name"] for category in data_set["categories"]}
    files = {image["id"]: image["external_id"] for image in data_set["images"]}
    found = {(files[each["image_id"]], names[each["category_id"]], *each["bbox"]) for each in results}
    wanted = [(name, category, box) for name in files.values() for box, category in truth[name]]
    hits = [
        any(
            (name, category) == one[:2]
            and box[0] <= one[2] + one[4] / 2 <= box[2]
            and box[1] <= one[3] + one[5] / 2 <= box[3]
            for one in found
        )
        for name, category, box in wanted
    ]
    return float(np.mean(hits))


# ------------------------------------------------------------------------------------------------ predictions go in


def send(predictions: pd.DataFrame, read: pd.DataFrame, project_id: str, sandbox: Sandbox) -> None:
    """Append predictions to the assets that they are about."""
    rows = read[["id", "externalId"]].merge(predictions[["externalId", "jsonResponse"]], on="externalId")
    options = {"label_type": "PREDICTION", "model_name": MODEL, "project_id": project_id, "client": sandbox.client}
    sent = rows.kili.append_labels("jsonResponse", **options)
    print(f"Sent {len(sent)} predictions: {sent.kili.report['outcome'].value_counts().to_dict()}.")


def readings(frame: pd.DataFrame, truth: dict[str, list[tuple[list[float], str]]]) -> pd.DataFrame:
    """Return the digits that are on each picture, and those that each labeler and the model read."""
    drawn = frame.kili.annotations()
    drawn["reader"] = drawn["modelName"].fillna(drawn["author"])
    read = drawn.pivot_table("category", "externalId", "reader", aggfunc=digits)
    there = [digits(category for _, category in truth[name]) for name in read.index]
    read.insert(0, "there", there)
    return read.reset_index()


def digits(categories: Iterable[str]) -> str:
    """Return categories such as D4 as digits in their order, in one text."""
    return " ".join(sorted(category.removeprefix("D") for category in categories))


def boxes_of(frame: pd.DataFrame) -> int:
    """Count the boxes of answers."""
    return sum(len(json.loads(text)[JOB]["annotations"]) for text in frame["jsonResponse"])


if __name__ == "__main__":
    main()
