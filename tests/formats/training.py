"""Labels for the tests of formats: drawn by hypothesis, or by hand."""

import json
import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import strategies as st
from PIL import Image

SIZE = (640, 480)


def detections():
    """Return the data sets of supervision, or skip the test."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of OpenCV, which is faster
        return judge("supervision").DetectionDataset


def vendor_converters():
    """Return the converters of the vendor, or skip the test."""
    judge("kili_formats.types")
    return judge("kili_formats")


def judge(name):
    """Return a library that judges exports, or skip the test and say why it is not there."""
    package = name.partition(".")[0].replace("_", "-")
    reason = f"{package} comes with '.[dev]', which needs NumPy 2; the run with the lowest versions has 1.26"
    return pytest.importorskip(name, reason=reason)


def ring(*points):
    return {"normalizedVertices": [{"x": x, "y": y} for x, y in points]}


def rectangle(left, top, right, bottom):
    return [ring((left, bottom), (left, top), (right, top), (right, bottom))]


def shape(category, rings, tool="rectangle", mid=None):
    found = {"type": tool, "categories": [{"name": category}], "boundingPoly": rings}
    return found if mid is None else {"mid": mid, **found}


def label(response, **more):
    return {"labelType": "DEFAULT", "jsonResponse": json.dumps(response), **more}


def assets(answers):
    """Return a frame of assets by their external ids; None is an asset without a label."""
    return pd.DataFrame(
        {
            "externalId": list(answers),
            "labels": [[] if answer is None else [label(answer)] for answer in answers.values()],
            "resolution.width": SIZE[0],
            "resolution.height": SIZE[1],
        }
    )


def numbered(drawn):
    return assets({f"{number}.jpg": answer for number, answer in enumerate(drawn)})


def objects(*shapes, job="OBJECTS"):
    return {job: {"annotations": list(shapes)}}


def with_pictures(frame, folder, size=SIZE):
    """Give each asset a picture on disk."""
    folder.mkdir(exist_ok=True)
    paths = []
    for number in range(len(frame)):
        path = folder / f"{number}.png"
        Image.new("RGB", size, "gray").save(path)
        paths.append(str(path))
    return frame.assign(content=paths)


SHARES = st.integers(0, 10**6).map(lambda number: number / 10**6) | st.sampled_from([0.0, 1e-6, 1 - 1e-6, 1.0])
CATEGORIES = st.sampled_from(["CAT", "DOG", "Être vivant", "a/b"])


@st.composite
def boxes(draw):
    (left, right), (top, bottom) = (sorted(draw(st.lists(SHARES, min_size=2, max_size=2, unique=True))) for _ in "xy")
    return shape(draw(CATEGORIES), rectangle(left, top, right, bottom))


@st.composite
def polygons(draw):
    points = draw(st.lists(st.tuples(SHARES, SHARES), min_size=3, max_size=8, unique=True))
    if not np.ptp(np.array(points), axis=0).all():
        points = [(0.0, 0.0), (0.5, 0.25), (0.25, 1.0)]
    return shape(draw(CATEGORIES), [ring(*points)], tool="polygon")


@st.composite
def turned(draw):
    """Draw a rectangle that was turned, about its center, in pixels."""
    x, y, half, other = (draw(st.integers(low, high)) for low, high in ((120, 520), (120, 360), (5, 60), (5, 60)))
    angle = np.radians(draw(st.integers(1, 89)))
    along, across = np.array([np.cos(angle), np.sin(angle)]), np.array([-np.sin(angle), np.cos(angle)])
    signs = ((-1, 1), (-1, -1), (1, -1), (1, 1))
    corners = [((x, y) + one * half * along + two * other * across) / SIZE for one, two in signs]
    return shape(draw(CATEGORIES), [ring(*map(tuple, np.array(corners).tolist()))])


@st.composite
def holed(draw):
    """Draw a semantic shape, with a hole in it or without."""
    left, top, width, height = (
        draw(st.integers(low, high)) / 100 for low, high in ((0, 50), (0, 50), (5, 50), (5, 50))
    )
    at = [(0, 0), (1, 0), (1, 1), (0, 1)]
    outlines = [at, *([[(0.25 + x / 2, 0.25 + y / 2) for x, y in at]] if draw(st.booleans()) else [])]
    rings = [ring(*((left + width * x, top + height * y) for x, y in each)) for each in outlines]
    return shape(draw(CATEGORIES), rings, tool="semantic")


@st.composite
def answers(draw, *kinds):
    drawn = st.lists(st.one_of(*kinds), max_size=5)
    return {job: {"annotations": draw(drawn)} for job in draw(st.sampled_from([["OBJECTS"], ["OBJECTS", "OTHERS"]]))}


@st.composite
def whole_answers(draw):
    """Draw what an asset holds: jobs of objects, some nested, some of several parts, a class, and how it is turned."""
    found = {}
    for job in draw(st.sampled_from([["OBJECTS"], ["OBJECTS", "OTHERS"]])):
        shapes = draw(st.lists(st.one_of(boxes(), polygons(), turned(), holed()), max_size=4))
        parts, category = draw(st.lists(holed(), max_size=3)), draw(CATEGORIES)
        shapes += [{**part, "mid": "parts", "categories": [{"name": category}]} for part in parts]
        found[job] = {"annotations": shapes}
        if shapes and draw(st.booleans()):
            shapes[0]["children"] = {"KIND": {"categories": [{"name": "BLACK"}]}}
    turn = draw(st.sampled_from([0, 90, 180, 270]))
    return {**found, "DAY": {"categories": [{"name": "MONDAY"}]}, "ROTATION_JOB": {"rotation": turn}}


def stored(answer):
    """Return an answer as it is on the picture as it is stored: without classes, and turned back."""
    back = {
        0: lambda x, y: (x, y),
        90: lambda x, y: (y, 1 - x),
        180: lambda x, y: (1 - x, 1 - y),
        270: lambda x, y: (1 - y, x),
    }[answer["ROTATION_JOB"]["rotation"]]
    return {
        job: {
            "annotations": [
                {
                    **each,
                    "boundingPoly": [
                        ring(*(back(at["x"], at["y"]) for at in one["normalizedVertices"]))
                        for one in each["boundingPoly"]
                    ],
                }
                for each in said["annotations"]
            ]
        }
        for job, said in answer.items()
        if "annotations" in said
    }


def drawn_in(frame):
    """Return what is drawn: for each external id the jobs, categories, tools and vertices, in their order by job."""
    found = {}
    texts = [each[0]["jsonResponse"] for each in frame["labels"]] if "labels" in frame else frame["jsonResponse"]
    for name, text in zip(frame["externalId"], texts, strict=True):
        found[name] = [
            (
                job,
                each["categories"][0]["name"],
                each["type"],
                [[(at["x"], at["y"]) for at in one["normalizedVertices"]] for one in each["boundingPoly"]],
            )
            for job, answer in sorted(json.loads(text).items())
            for each in answer["annotations"]
        ]
    return found


def edges(row):
    """Return left, top, right and bottom around the vertices of something drawn."""
    flat = np.array([at for one in row[3] for at in one])
    return [*flat.min(axis=0), *flat.max(axis=0)]


def check_close(found, expected, shown=lambda row: row[3], atol=1e-6):
    assert found.keys() == expected.keys()
    for name, rows in found.items():
        assert [row[:2] for row in rows] == [row[:2] for row in expected[name]]
        for row, other in zip(rows, expected[name], strict=True):
            for one, two in zip(shown(row), shown(other), strict=True):
                assert np.allclose(one, two, atol=atol, rtol=0)
